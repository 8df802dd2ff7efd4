"""A region that the reader drew becomes a candidate of the case. Scores are hand-made here."""

from __future__ import annotations

import csv

import nibabel
import numpy as np
import pytest
import replies
import slicer
from scene_helpers import (
    CASE_GRIDS,
    CASE_SHAPE,
    add_segmentation,
    expected_mask,
    make_case,
    mask_of,
    save_and_reopen,
)

from HideSeekLib.case import case as case_scene
from HideSeekLib.case import files
from HideSeekLib.case.region import has_vertebrae, region_of, remember_clicked
from HideSeekLib.case.segments import segment_id
from HideSeekLib.errors import InputError, NodeGone, ReplyError

AFFINE = CASE_GRIDS["oblique anisotropic"]
VOXEL = abs(np.linalg.det(AFFINE[:3, :3]))
MESSAGE = replies.vertebra_reply(
    "T10", (20, 30, 6), {"lytic": [0.9, 0.2], "blastic": [0.7]}, AFFINE
)


def drawn() -> np.ndarray:
    """A box that shares voxels with the first lytic candidate."""
    mask = np.zeros(CASE_SHAPE, bool)
    mask[22:28, 32:38, 8:12] = True
    return mask


@pytest.fixture
def case(scene):
    _ct, _segmentation, made = make_case(scene, AFFINE, ("T10", "T11"))
    made.add_vertebra(MESSAGE)
    return made


def regions(case, mask, name="mine"):
    return add_segmentation(case.node.GetScene(), case.ct, {"r": ("my region", mask)}, name)


def scored(region, delta=0.66, polarity="lytic"):
    """What the worker could answer; every figure is made up."""
    return {
        "vertebra": region.level, "candidate": region.params["number"], "polarity": polarity,
        "delta": delta, "kept": delta >= 0.5, "p_hide": 0.4, "slices": [31], "area_px": 9,
        "volume_mm3": len(region.voxels) * VOXEL, "mean_hu": 90.0, "centroid_ras": [1.0, 2.0, 3.0],
        "source": "reader",
    }  # fmt: skip


def test_the_request_holds_the_region_and_the_others_on_one_grid(case):
    mask = drawn()
    region = region_of(case, regions(case, mask), "r")
    assert region.level == "T10" and region.params["number"] == 4
    (block,) = region.params["blocks"]
    where = tuple(
        slice(a, a + n) for a, n in zip(block["origin_ijk"], block["ct"].shape, strict=True)
    )
    assert np.array_equal(region.params["region"].astype(bool), mask[where])
    for number in (1, 2, 3):
        own = expected_mask(MESSAGE, [number])
        assert np.array_equal(region.params["others"] == number, own[where])
    back = np.zeros(CASE_SHAPE, bool)
    back[tuple(region.voxels.T)] = True
    assert np.array_equal(back, mask)


def test_a_region_of_another_grid_and_transform(case):
    """A segmentation of another tool, under a transform of its own."""
    node = regions(case, drawn())
    shift = slicer.vtkMRMLLinearTransformNode()
    case.node.GetScene().AddNode(shift)
    matrix = shift.GetMatrixTransformToParent()
    matrix.SetElement(0, 3, 2 * AFFINE[0, 0])
    matrix.SetElement(1, 3, 2 * AFFINE[1, 0])
    matrix.SetElement(2, 3, 2 * AFFINE[2, 0])
    shift.SetMatrixTransformToParent(matrix)
    node.SetAndObserveTransformNodeID(shift.GetID())
    region = region_of(case, node, "r")
    back = np.zeros(CASE_SHAPE, bool)
    back[tuple(region.voxels.T)] = True
    assert np.array_equal(back, np.roll(drawn(), 2, axis=0))


def check(case, mask, kept):
    """Voxels, volumes, tables and NIfTI hold what is kept, the shared voxels once."""
    own = {1: expected_mask(MESSAGE, [1]), 2: expected_mask(MESSAGE, [2]), 4: mask}
    lytic = np.zeros(CASE_SHAPE, bool)
    for number in kept:
        lytic |= own[number]
    found = mask_of(case.lesions, segment_id("T10", "lytic"), case.ct)
    assert np.array_equal(found, lytic)
    assert case.volume_mm3("T10", "lytic") == pytest.approx(lytic.sum() * VOXEL, rel=1e-3)
    assert {r.number for r in case.rows() if r.kept and r.polarity == "lytic"} == set(kept)


def test_it_is_kept_decided_saved_and_exported_like_the_others(app, tmp_path):
    _ct, _segmentation, case = make_case(app.scene, AFFINE, ("T10", "T11"))
    case.add_vertebra(MESSAGE)
    case.decide(["T10:2"], "accept")
    mask = drawn()
    region = region_of(case, regions(case, mask), "r")
    candidate = case.add_region(scored(region), region.voxels)
    assert (candidate.key, candidate.source) == ("T10:4", "reader")
    assert case.review.decision("T10:2").verdict == "accept", "what was decided stays"
    check(case, mask, [1, 2, 4])
    case.decide(["T10:4"], "reject")
    check(case, mask, [1, 2])
    case.undo()
    case.set_threshold(0.7)
    check(case, mask, [1, 2])
    case.decide(["T10:4"], "accept", "seen on MR")
    check(case, mask, [1, 2, 4])
    fresh = save_and_reopen(app, tmp_path)
    try:
        (again,) = case_scene.cases_in_scene()
        check(again, mask, [1, 2, 4])
        assert again.rows()[-1].source == "reader" and again.rows()[-1].reason == "seen on MR"
        again.decide(["T10:1"], "reject")
        check(again, mask, [2, 4])
        _seg, nifti = files.export_lesions(again, tmp_path)
        labels = np.asarray(nibabel.load(nifti).dataobj)
        assert np.array_equal(labels == 1, mask | expected_mask(MESSAGE, [2]))
        candidates, _vertebrae = files.export_tables(again, tmp_path)
        rows = list(csv.DictReader(candidates.open(encoding="utf-8")))
        assert [r["source"] for r in rows] == ["model"] * 3 + ["reader"]
    finally:
        fresh.close()


def test_a_second_analysis_does_not_lose_it(case):
    region = region_of(case, regions(case, drawn()), "r")
    case.add_region(scored(region), region.voxels)
    newer = case.add_vertebra(MESSAGE)
    assert newer is not case
    assert [r.source for r in case.rows()][-1] == "reader" and len(newer.rows()) == 3


def test_a_vertebra_that_was_not_analysed(case):
    mask = np.zeros(CASE_SHAPE, bool)
    mask[30:40, 30:40, 18:22] = True
    region = region_of(case, regions(case, mask), "r")
    assert region.level == "T11" and not region.params["others"].any()
    case.add_region(scored(region, polarity="blastic"), region.voxels)
    found = mask_of(case.lesions, segment_id("T11", "blastic"), case.ct)
    assert np.array_equal(found, mask)
    assert case.volume_mm3("T11", "blastic") == pytest.approx(mask.sum() * VOXEL)


def test_a_region_in_a_vertebra_that_was_clicked(scene):
    """There is no segmentation then: the body about the click stands for the vertebra."""
    ct, segmentation, _case = make_case(scene, AFFINE, ("T10",))
    body = np.zeros(CASE_SHAPE, bool)
    body[10:70, 10:60, 5:15] = True
    node = add_segmentation(scene, ct, {"body_T10": ("T10 body (approximate)", body)}, "T10 body")
    scene.RemoveNode(segmentation)
    case = case_scene.begin_run(ct, None, model={"name": "bundled", "hash": "clicked"})
    case.add_vertebra(MESSAGE)
    assert not has_vertebrae(case)
    drawn_node = regions(case, drawn())
    with pytest.raises(NodeGone):
        region_of(case, drawn_node, "r")
    for _again in (1, 2):
        remember_clicked(case, node)
    assert has_vertebrae(case)
    region = region_of(case, drawn_node, "r")
    (block,) = region.params["blocks"]
    assert region.level == "T10" and np.array_equal(block["body"], block["vertebra"])
    case.add_region(scored(region), region.voxels)
    check(case, drawn(), [1, 4])
    outside = np.zeros(CASE_SHAPE, bool)
    outside[80:85, 70:75, 50:55] = True
    with pytest.raises(InputError, match="T10 body"):
        region_of(case, regions(case, outside, "outside"), "r")


def test_a_region_is_rejected_or_taken_away_and_comes_back(app, tmp_path):
    _ct, _segmentation, case = make_case(app.scene, AFFINE, ("T10", "T11"))
    case.add_vertebra(MESSAGE)
    region = region_of(case, regions(case, drawn()), "r")
    key = case.add_region(scored(region), region.voxels).key
    case.decide([key], "reject")
    check(case, drawn(), [1])
    case.undo()
    check(case, drawn(), [1, 4])
    case.remove_region(key)
    check(case, drawn(), [1])
    assert key not in {r.key for r in case.rows()}
    assert len(case.vertebra_rows()[0].candidates) == 3
    assert case.nodes.candidates_table.GetNumberOfRows() == 3
    case.undo()
    check(case, drawn(), [1, 4])
    case.redo()
    with pytest.raises(ValueError, match="reject"):
        case.remove_region("T10:1")
    # Another region does not take its number: an undo may bring it back.
    assert region_of(case, regions(case, drawn()), "r").params["number"] == 5
    assert not (region_of(case, regions(case, drawn()), "r").params["others"] == 4).any()
    fresh = save_and_reopen(app, tmp_path)
    try:
        (again,) = case_scene.cases_in_scene()
        check(again, drawn(), [1])
        again.undo()
        check(again, drawn(), [1, 4])
    finally:
        fresh.close()


def test_an_edited_segment_stays_the_readers(case):
    array = np.ascontiguousarray(drawn().astype(np.uint8).transpose(2, 1, 0))
    identifier = segment_id("T10", "lytic")
    slicer.util.updateSegmentBinaryLabelmapFromArray(array, case.lesions, identifier, case.ct)
    region = region_of(case, regions(case, drawn()), "r")
    case.add_region(scored(region), region.voxels)
    assert np.array_equal(mask_of(case.lesions, identifier, case.ct), drawn())
    case.restore_segment("T10", "lytic")
    check(case, drawn(), [1, 4])


def test_what_cannot_be_scored_says_so(case):
    node = regions(case, np.zeros(CASE_SHAPE, bool), "empty")
    with pytest.raises(InputError, match="empty"):
        region_of(case, node, "r")
    outside = np.zeros(CASE_SHAPE, bool)
    outside[80:85, 70:75, 50:55] = True
    with pytest.raises(InputError, match="no vertebra"):
        region_of(case, regions(case, outside, "outside"), "r")
    region = region_of(case, regions(case, drawn()), "r")
    with pytest.raises(ReplyError, match="number"):
        case.add_region({**scored(region), "candidate": 1}, region.voxels)
    with pytest.raises(ReplyError):
        case.add_region({"vertebra": "T10"}, region.voxels)
    assert len(case.rows()) == 3
