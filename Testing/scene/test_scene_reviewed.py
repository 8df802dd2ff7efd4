"""The voxels that leave the house: as the review and the reader's brush left them, each once."""

from __future__ import annotations

import json

import numpy as np
import pytest
import replies
import slicer
from hypothesis import given, settings
from hypothesis import strategies as st
from scene_helpers import CASE_GRIDS, CASE_SHAPE, expected_mask, make_case
from test_scene_region import drawn, regions, scored

from HideSeekLib.case.files import lesion_map
from HideSeekLib.case.region import region_of
from HideSeekLib.case.reviewed import reviewed, shared_out
from HideSeekLib.case.segments import segment_id
from HideSeekLib.case.stored_case import stored_case
from HideSeekLib.wire import arrays
from HideSeekLib.wire.codec import from_plain
from HideSeekLib.wire.lines import encode_line
from HideSeekLib.wire.records import VertebraMessage

AFFINE = CASE_GRIDS["oblique anisotropic"]
MESSAGE = replies.vertebra_reply(
    "T10", (20, 30, 6), {"lytic": [0.9, 0.8], "blastic": [0.7]}, AFFINE
)


@pytest.fixture
def case(scene):
    _ct, _segmentation, made = make_case(scene, AFFINE, ("T10", "T11"))
    made.add_vertebra(MESSAGE)
    return made


def paint(case, polarity, mask):
    array = np.ascontiguousarray(mask.astype(np.uint8).transpose(2, 1, 0))
    where = (case.lesions, segment_id("T10", polarity), case.ct)
    slicer.util.updateSegmentBinaryLabelmapFromArray(array, *where)


def of(case):
    (row,) = (r for r in case.vertebra_rows() if r.level == "T10")
    return reviewed(case, row)


def mask_of(index):
    mask = np.zeros(CASE_SHAPE, bool)
    mask[tuple(index.T)] = True
    return mask


def test_untouched_it_is_what_was_analysed(case):
    now = of(case)
    assert now.changed == () and [c.delta for c in now.candidates] == [0.9, 0.8, 0.7]
    for number in (1, 2, 3):
        assert np.array_equal(mask_of(now.voxels[number]), expected_mask(MESSAGE, [number]))


def test_painted_voxels_join_whom_they_touch_and_lose_the_delta(case):
    lytic = expected_mask(MESSAGE, [1, 2])
    first = np.argwhere(expected_mask(MESSAGE, [1]))
    grown = lytic.copy()
    i, j, k = first.min(0)
    grown[i, j - 4 : j, k] = True  # a stalk at the first candidate
    grown[70, 60, 40] = True  # a speck far from all
    paint(case, "lytic", grown)
    assert np.array_equal(lesion_map(case) == 1, grown), "the NIfTI too"
    now = of(case)
    assert np.array_equal(mask_of(now.voxels[1]) | mask_of(now.voxels[2]), grown)
    assert not (mask_of(now.voxels[1]) & mask_of(now.voxels[2])).any()
    assert mask_of(now.voxels[1])[i, j - 4, k]
    changed = {c.key: c for c in now.candidates if c.key in now.changed}
    assert "T10:1" in changed and "T10:3" not in changed
    one = changed["T10:1"]
    assert np.isnan(one.delta) and np.isnan(one.p_hide)
    voxel = case.record.grid.voxel_volume_mm3
    assert one.volume_mm3 == pytest.approx(len(now.voxels[1]) * voxel)
    hu = slicer.util.arrayFromVolume(case.ct).transpose(2, 1, 0)[tuple(now.voxels[1].T)]
    assert one.mean_hu == pytest.approx(hu.mean())


def test_erased_wholly_it_has_no_voxel_and_is_still_named(case):
    case.lesions.GetSegmentation().RemoveSegment(segment_id("T10", "blastic"))
    now = of(case)
    assert len(now.voxels[3]) == 0 and now.changed == ("T10:3",)


def test_what_is_painted_where_nothing_is_kept_is_the_readers(case):
    case.decide(["T10:3"], "reject")
    paint(case, "blastic", drawn())
    now = of(case)
    new = now.candidates[-1]
    assert (new.number, new.source, new.decision, new.polarity) == (
        4,
        "reader",
        "accept",
        "blastic",
    )
    assert np.array_equal(mask_of(now.voxels[4]), drawn()) and np.isnan(new.delta)


def test_a_region_over_a_candidate_takes_the_voxels_they_share(case):
    region = region_of(case, regions(case, drawn()), "r")
    case.add_region(scored(region, polarity="blastic"), region.voxels)
    now = of(case)
    assert np.array_equal(mask_of(now.voxels[4]), drawn())
    alone = expected_mask(MESSAGE, [1]) & ~drawn()
    assert np.array_equal(mask_of(now.voxels[1]), alone) and "T10:1" in now.changed


def test_the_stored_case_is_what_the_backend_reads_and_names_nobody(case):
    case.ct.SetName("Doe^Jane")
    case.record.provenance["inputs"] = {"ct": "Doe_Jane.nii.gz"}
    stored = json.loads(encode_line(stored_case(case)))
    assert "Doe" not in json.dumps(stored)
    assert stored["provenance"]["labels"]["levels"] == ["T10", "T11"]
    read = {v["vertebra"]: from_plain(VertebraMessage, v, "v") for v in stored["vertebrae"]}
    labels, origin = read["T10"].block_labels, read["T10"].block_origin_ijk
    where = tuple(slice(o, o + n) for o, n in zip(origin, labels.shape, strict=True))
    for number in (1, 2, 3):
        assert np.array_equal(labels == number, expected_mask(MESSAGE, [number])[where])
    assert arrays.decode(stored["vertebrae"][0]["block_labels"]).sum() == labels.sum()


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 2**32 - 1), st.integers(1, 3))
def test_every_voxel_has_one_owner(seed, count):
    rng = np.random.default_rng(seed)
    drawn_mask = rng.random((6, 7, 5)) < 0.4
    labels = np.where(rng.random(drawn_mask.shape) < 0.3, rng.integers(0, count + 1), 0)
    owners = {n: np.argwhere(labels == n).astype(np.int32) for n in range(1, count + 1)}
    shares = shared_out(np.argwhere(drawn_mask).astype(np.int32), owners)
    found = np.concatenate(list(shares.values()))
    assert len(found) == len(np.unique(found, axis=0)) == drawn_mask.sum()
    for number, index in owners.items():
        kept = {*map(tuple, index.tolist())} & {*map(tuple, np.argwhere(drawn_mask).tolist())}
        assert kept <= {*map(tuple, shares[number].tolist())}, "a voxel stays with its owner"


def test_one_voxel_far_away_is_an_edit(case):
    paint(case, "blastic", expected_mask(MESSAGE, [3]))
    assert case.edited_by_hand("T10") == frozenset()
    mask = expected_mask(MESSAGE, [3])
    mask[71, 61, 41] = True
    paint(case, "blastic", mask)
    assert case.edited_by_hand("T10") == {"blastic"}
