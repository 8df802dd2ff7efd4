"""Two scans that were made differently: what is said, what is refused."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest

from hideseek_backend.followup.compare import follow_up
from hideseek_backend.followup.limits import Agreement, Limits
from hideseek_backend.followup.matching import MatchOptions
from hideseek_backend.followup.pairing import Pair
from hideseek_backend.followup.registration import Pose
from hideseek_backend.followup.scans import scan_pair, unlike_scans
from hideseek_backend.followup.timepoint import Finding, Timepoint
from hideseek_backend.volumes.volume import Volume
from hideseek_backend.wire.acquisition import UNTOLD, Acquisition, acquired
from hideseek_backend.wire.changes import FollowUp
from hideseek_backend.wire.codec import from_plain, to_plain
from hideseek_backend.wire.records import Candidate

BODY = Volume(np.ones((2, 2, 2), bool), np.eye(4))
BONE = Acquisition("Br59d", True, False, "", 1.0, 180.0, 120.0)
SOFT = Acquisition("Br40d", False, False, "", 1.0, 180.0, 120.0)
MEASURED = Limits(0.05, 0.0, 5.0, 6.0, kernel=0.1, contrast=0.2)
UNMEASURED = replace(MEASURED, kernel=None, contrast=None)


def date(scan: Acquisition, thick: float = 1.0) -> Timepoint:
    places = np.argwhere(np.ones((9, 9, 9)))
    lesion = Candidate("L1", 1, "lytic", 0.9, True, 0.9, (32,), 9, 729.0, 50.0, (4.0, 4.0, 4.0))
    finding = Finding(lesion, places.astype(float), True, np.eye(3))
    return Timepoint({"L1": BODY}, (finding,), np.array([0.8, 0.8, thick]), scan=scan)


def compare(earlier: Timepoint, current: Timepoint, limits: Limits = MEASURED) -> FollowUp:
    pairs = (Pair("L1", "L1", Pose(np.eye(4), 0.3)),)
    return follow_up(earlier, current, limits=Agreement(limits, limits), pairs=pairs)


@pytest.mark.parametrize(
    ("other", "words", "wider"),
    [
        (SOFT, "Other kernel: Br59d before, Br40d now; the limits are wider", True),
        (replace(BONE, kernel="Br64u"), "Other kernel: Br59d before, Br64u now. Do not", False),
        (replace(BONE, contrast=True), "Contrast medium was given only now", True),
        (replace(BONE, kvp=80.0), "Other tube voltage: 120 kV before, 80 kV now", False),
        (replace(BONE, diameter_mm=400.0), "over 180 mm before, 400 mm now", False),
    ],
)
def test_what_differs_is_said_and_widens_the_limits(
    other: Acquisition, words: str, wider: bool
) -> None:
    told = compare(date(BONE), date(other))
    assert any(words in warning for warning in told.warnings), told.warnings
    assert told.comparable and told.changes[0].fate == "stable"
    alike = compare(date(BONE), date(BONE))
    assert not unlike_scans(date(BONE), date(BONE))
    assert (told.changes[0].limit_percent > alike.changes[0].limit_percent) is wider
    assert (told.scan_before, told.scan) == (BONE, other)


@pytest.mark.parametrize(
    ("other", "word"), [(SOFT, "kernel for bone"), (replace(BONE, contrast=True), "contrast")]
)
def test_what_was_not_measured_is_refused(other: Acquisition, word: str) -> None:
    told = compare(date(BONE), date(other), UNMEASURED)
    assert not told.comparable and told.changes[0].fate == "not comparable"
    assert word in told.reasons[0] and word in told.changes[0].reason
    assert compare(date(BONE), date(UNTOLD), UNMEASURED).comparable  # nothing is known


def test_other_phases_are_said() -> None:
    portal = replace(BONE, contrast=True, phase="venous")
    said = unlike_scans(date(replace(portal, phase="arterial")), date(portal))
    assert said == ["Other phase of the contrast medium: arterial before, venous now."]


def test_overlapping_slices_are_as_thick_as_their_header_says() -> None:
    scans = scan_pair(date(replace(BONE, thickness_mm=5.0), 2.5), date(BONE))
    assert (scans.thickness_mm, scans.thickness_ratio) == (5.0, 5.0)
    assert scans.kernels_differ is False and scans.contrast_differs is False
    unknown = scan_pair(date(UNTOLD, 2.0), date(BONE))
    assert unknown.thickness_mm == 2.0 and unknown.kernels_differ is None


def test_what_no_header_says_is_taken_to_be_the_same_if_the_user_says_so() -> None:
    told = compare(date(UNTOLD), date(UNTOLD))
    assert "same kernel and contrast medium: the limits are wider" in told.limits
    assert told.changes[0].limit_percent == pytest.approx(
        100 * (math.exp(1.96 * 0.229) - 1), rel=0.01
    )
    pairs = (Pair("L1", "L1", Pose(np.eye(4), 0.3)),)
    agreement, alike = Agreement(MEASURED, MEASURED), MatchOptions(same_protocol=True)
    same = follow_up(date(UNTOLD), date(UNTOLD), alike, agreement, pairs=pairs)
    assert "same kernel and contrast medium: taken to be the same" in same.limits
    assert same.changes[0].limit_percent == pytest.approx(100 * (math.exp(1.96 * 0.05) - 1))
    other = follow_up(date(BONE), date(SOFT), alike, agreement, pairs=pairs)  # headers speak first
    assert "No header says" not in other.limits and other.changes[0].limit_percent > 20


@pytest.mark.parametrize(
    ("headers", "kernel", "bone", "contrast", "phase"),
    [
        ({"kernel": "B60s", "description": "Spine 1.0"}, "B60s", True, False, ""),
        ({"kernel": "Br40d\\\\3", "agent": "Ultravist 370"}, "Br40d 3", False, True, ""),
        ({"kernel": "FC08", "agent": "NONE"}, "FC08", False, False, ""),
        ({"agent": "", "description": "Abdomen portalven\u00f6s 1.0"}, "", None, True, "venous"),
        ({"agent": "", "description": "LWS nativ"}, "", None, False, "native"),
        ({"agent": "", "description": "Abdomen"}, "", None, None, ""),
        ({"kernel": "B70f", "description": "Lung 1.0"}, "B70f", False, False, ""),
    ],
)
def test_headers_are_read_as_scanners_write_them(
    headers: dict[str, str], kernel: str, bone: bool | None, contrast: bool | None, phase: str
) -> None:
    scan = acquired(thickness="1.25", kvp="120", diameter="", **headers)  # type: ignore[arg-type]
    assert (scan.kernel, scan.bone_kernel) == (kernel, bone)
    assert (scan.contrast, scan.phase) == (contrast, phase)
    assert (scan.thickness_mm, scan.kvp) == (1.25, 120.0) and np.isnan(scan.diameter_mm)
    assert str(from_plain(Acquisition, to_plain(scan))) == str(scan)
