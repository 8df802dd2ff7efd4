"""The follow-up's benchmark: its pairs are what they say, its sums are right."""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from hideseek_backend.cli import main
from hideseek_backend.errors import GeometryError
from hideseek_backend.followup.limits import Limits, ScanPair
from hideseek_backend.followup.timepoint import Timepoint
from hideseek_lab.benchmark import follow_up_dates
from hideseek_lab.benchmark.follow_up import Link, PairScore, nth_pair, score_pair
from hideseek_lab.benchmark.follow_up_dates import outlined
from hideseek_lab.benchmark.follow_up_figures import figures, fitted_limits
from hideseek_lab.benchmark.follow_up_pairs import Focus, PhantomScan

SEED = 2_229_000
LIMITS = Limits(0.03, 0.03, 2.6, 3.0, kernel=0.0, contrast=0.0)
THIN = ScanPair(2.0, 2.0, False, False)


def link(number: int, mm3: float, true: float, told: float, parts: tuple[int, int]) -> Link:
    """A focus of mm3 whose measured growth is `told`."""
    volumes = (mm3, mm3 * told) if min(parts) else (0.0, 0.0)
    return Link(number, mm3, true, parts, volumes)


def score(links: list[Link], kind: str = "changed", false: int = 0, missed: int = 0) -> PairScore:
    matched = sum(link.matched for link in links)
    return PairScore(1, kind, "same", 4, 4, 5, matched, false, missed, 1, 2, tuple(links),
                     THIN, 0.3)  # fmt: skip


def test_a_pair_is_what_it_says() -> None:
    pair = nth_pair(SEED, 1, images=False)
    assert pair.naming == "shifted" and pair.kind == "changed"
    again = nth_pair(SEED, 1, images=False)
    np.testing.assert_array_equal(pair.current.foci.data, again.current.foci.data)
    assert all(name != level for level, name in pair.current.names.items())
    for focus in pair.foci:
        for scan, volume in ((pair.earlier, focus.earlier_mm3), (pair.current, focus.current_mm3)):
            found = float((scan.foci.data == focus.number).sum()) * scan.foci.voxel_volume_mm3
            if focus.level in scan.names:
                assert found == pytest.approx(volume, rel=0.15, abs=40)
    level = next(iter(pair.current.names))
    turn = pair.current.frames[level].rotation @ pair.earlier.frames[level].rotation.T
    assert np.degrees(np.arccos((np.trace(turn) - 1) / 2)) < 15.5


def test_a_pair_is_scored_against_its_truth() -> None:
    pair = nth_pair(SEED, 0, images=False)
    one, two = (outlined(scan, pair.foci) for scan in (pair.earlier, pair.current))
    found = score_pair(pair, (one, two))
    assert (found.levels_right, found.false, found.missed) == (found.levels_shared, 0, 0)
    fates = {e.fate(LIMITS, found.scans) for e in found.links}
    assert found.kind == "unchanged" and fates <= {"stable"}
    large = [e for e in found.links if e.earlier_mm3 > 500]
    assert all(math.exp(e.error) == pytest.approx(1, abs=0.15) for e in large)


def test_thick_scans_and_contrast_are_what_they_say() -> None:
    thick = nth_pair(SEED, 3, images=False)
    assert thick.current.scan.spacing[2] == 5.0 and thick.earlier.scan.spacing[2] == 5.0
    assert nth_pair(SEED, 10, images=False).earlier.scan.spacing[2] < 2.6
    with_medium = nth_pair(SEED, 1)
    assert with_medium.current.contrast and not with_medium.earlier.contrast
    hu = [
        float(np.median(scan.ct.data[(scan.bodies.data > 0) & (scan.foci.data == 0)]))
        for scan in (with_medium.earlier, with_medium.current)
    ]
    assert 2 < hu[1] - hu[0] < 40  # marrow gains what a portal venous scan adds


def test_figures_add_up() -> None:
    grown, small = link(1, 1000.0, 2.0, 2.2, (1, 1)), link(2, 100.0, 2.0, 4.0, (2, 1))
    lost = link(3, 900.0, 1.0, 1.0, (0, 0))
    still = [link(1, 800.0, 1.0, 1.02, (1, 1)), link(2, 800.0, 1.0, 1.5, (1, 1))]
    scores = [score([grown, small, lost], false=1, missed=1), score(still, "unchanged")]
    found = figures(scores, LIMITS)
    assert found.f1.value == pytest.approx(2 * 4 / (2 * 4 + 1 + 1)) and found.f1.n == 5
    assert found.f1.low <= found.f1.value <= found.f1.high
    assert found.volume_error.value == pytest.approx(0.1)  # median of 0.1, 0.02 and 0.5
    assert (found.false_changes.value, found.false_changes.n) == (0.5, 2)
    assert (found.found_changes.value, found.found_changes.n) == (0.5, 2)  # one merged
    assert found.covered.value == 0.25  # 2 % off is within 8 %, 10 % and more are not
    assert found.levels_right.value == 0.8 and found.fates_right.value == 0.5
    refused = figures(scores, Limits(0.03, 0.03, 1.0, 3.0))
    assert refused.refused == 4 and math.isnan(refused.volume_error.value)
    assert refused.f1.value == found.f1.value


def test_limits_are_those_that_the_errors_were_drawn_with() -> None:
    rng = np.random.default_rng(0)
    drawn = Limits(0.05, 0.04, 5.0, 5.0, by_slice=0.03, kernel=0.15, contrast=0.0)
    scores = []
    for n, size in enumerate(np.exp(rng.uniform(np.log(100), np.log(8000), 4000))):
        scans = ScanPair(5.0 if n % 3 == 0 else 1.0, 5.0, n % 2 == 0, n % 5 == 0)
        told = float(np.exp(rng.normal(0, drawn.sd(size, scans))))
        one = link(1, float(size), 1.0, told, (1, 1))
        scores.append(replace(score([one]), scans=scans))
    fitted = fitted_limits(scores, "a test")
    for size in (200.0, 1000.0, 5000.0):
        for thick in (1.0, 5.0):
            for kernels in (False, True):
                scans = ScanPair(thick, 1.0, kernels, False)
                assert fitted.sd(size, scans) == pytest.approx(drawn.sd(size, scans), rel=0.12)
    assert (fitted.thickness_mm, fitted.thickness_ratio, fitted.lesions) == (5.0, 5.0, 4000)


def test_what_few_lesions_speak_for_is_not_measured() -> None:
    scans = [ScanPair(5.0, 5.0, True, True)] * 9 + [ScanPair(2.0, 1.0, False, False)] * 20
    links = [link(1, 900.0, 1.0, 1.05 if n % 2 else 0.95, (1, 1)) for n in range(29)]
    fitted = fitted_limits(
        [replace(score([a]), scans=b) for a, b in zip(links, scans, strict=True)], "a test"
    )
    assert (fitted.thickness_mm, fitted.kernel, fitted.contrast) == (2.0, None, None)


def test_a_pair_that_is_not_read_is_counted_and_the_others_go_on(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    second = [focus.earlier_mm3 for focus in nth_pair(2_220_000, 1, images=False).foci]

    def refused(scan: PhantomScan, foci: Sequence[Focus]) -> Timepoint:
        if [focus.earlier_mm3 for focus in foci] == second:
            raise GeometryError("Expected the vertebra mask to lie on bone.", "Look at it.")
        return outlined(scan, foci)

    monkeypatch.setattr(follow_up_dates, "outlined", refused)
    line = ["benchmark", "follow-up", "--split", "validation", "--pairs", "2"]
    assert main([*line, "--out", str(tmp_path), "--json", str(tmp_path / "f.json")]) == 0
    told = capsys.readouterr()
    assert "not read (scan refused)        1 pairs more" in told.out
    assert "pair of seed 2220001 left out: Expected the vertebra mask to lie on bone" in told.err
    found = json.loads((tmp_path / "f.json").read_text(encoding="utf-8"))["figures"]
    assert (found["pairs"], found["not_read"]) == (1, 1)

    def all_refused(scan: PhantomScan, foci: Sequence[Focus]) -> Timepoint:
        raise GeometryError("Expected the vertebra mask to lie on bone.", "Look at it.")

    monkeypatch.setattr(follow_up_dates, "outlined", all_refused)
    assert main([*line, "--out", str(tmp_path / "none")]) == 2
    assert "No pair was read" in capsys.readouterr().err


@pytest.mark.slow
def test_the_command_prints_goes_on_and_fits(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    line = ["benchmark", "follow-up", "--split", "validation", "--pairs", "2"]
    line += ["--out", str(tmp_path / "runs"), "--json", str(tmp_path / "f.json")]
    assert main(line) == 0
    first = capsys.readouterr().out
    assert "lesions matched, F1" in first
    assert main(line) == 0 and capsys.readouterr().out == first
    assert json.loads((tmp_path / "f.json").read_text(encoding="utf-8"))["figures"]["pairs"] == 2
