"""Results into the scene, review applied to it, saved and reopened. Replies are hand-made."""

from __future__ import annotations

import numpy as np
import pytest
import replies
import slicer
import vtk
from scene_helpers import (
    CASE_GRIDS as GRIDS,
)
from scene_helpers import (
    expected_mask,
    make_case,
    mask_of,
    save_and_reopen,
    to_numpy_affine,
)

from HideSeekLib.anatomy.geometry import voxels_of
from HideSeekLib.case import case as case_scene
from HideSeekLib.case import views
from HideSeekLib.case.segments import segment_id


@pytest.mark.parametrize("grid", GRIDS)
def test_voxels_land_exactly_and_survive_the_mrb(app, tmp_path, grid):
    affine = GRIDS[grid]
    ct, _segmentation, case = make_case(app.scene, affine)
    message = replies.vertebra_reply(
        "T10",
        (20, 30, 22),
        {"lytic": [0.9, 0.2, 0.6], "blastic": [0.7, 0.4]},
        affine,
        evidence=True,
    )
    case.add_vertebra(message)
    case.decide(["T10:2"], "accept", "Läsion, sicher")
    case.set_threshold(0.65)
    kept = {"lytic": [1, 2], "blastic": [4]}
    for polarity, numbers in kept.items():
        found = mask_of(case.lesions, segment_id("T10", polarity), ct)
        assert np.array_equal(found, expected_mask(message, numbers))

    fresh = save_and_reopen(app, tmp_path)
    try:
        (again,) = case_scene.cases_in_scene()
        assert again.name == "CT HideSeek"
        assert again.review.threshold == 0.65
        assert again.review.decision("T10:2").reason == "Läsion, sicher"
        assert to_numpy_affine(again.ct) == pytest.approx(affine, abs=1e-4)
        for polarity, numbers in kept.items():
            found = mask_of(again.lesions, segment_id("T10", polarity), again.ct)
            assert np.array_equal(found, expected_mask(message, numbers))
        # The review goes on where it was: first what was done is undone, then something new.
        assert again.undo().changed == {"T10:3"}
        assert np.array_equal(
            mask_of(again.lesions, segment_id("T10", "lytic"), again.ct),
            expected_mask(message, [1, 2, 3]),
        )
        report = again.set_threshold(0.1)
        assert report.edited_by_hand == ()
        for polarity, numbers in {"lytic": [1, 2, 3], "blastic": [4, 5]}.items():
            found = mask_of(again.lesions, segment_id("T10", polarity), again.ct)
            assert np.array_equal(found, expected_mask(message, numbers))
        assert [r.kept for r in again.rows()] == [True] * 5
    finally:
        fresh.close()


def test_evidence_keeps_every_voxel_in_its_place(scene):
    affine = GRIDS["oblique anisotropic"]
    _ct, _segmentation, case = make_case(scene, affine)
    message = replies.vertebra_reply("T10", (20, 30, 22), {"lytic": [0.9]}, affine, evidence=True)
    case.add_vertebra(message)
    crop = np.array(message["evidence"]["affine"])
    for node, offset in ((case.nodes.healthy("T10"), 0), (case.nodes.difference("T10"), None)):
        volume, to_ras = voxels_of(node), to_numpy_affine(node)
        assert np.linalg.det(to_ras[:3, :3]) > 0
        assert volume.shape == (64, 64, 3)
        for p, s, k in ((0, 0, 30), (5, 60, 31), (63, 10, 32)):
            ras = crop[:3, :3] @ [p, s, k] + crop[:3, 3]
            index = np.linalg.inv(to_ras) @ [*ras, 1]
            i, j, n = np.rint(index[:3]).astype(int)
            assert index[:3] == pytest.approx([i, j, n], abs=1e-6)
            assert volume[i, j, n] == (10 * p + s + 1000 * k if offset == 0 else 5)


def test_volumes_equal_the_backends_until_something_is_changed(scene):
    affine = GRIDS["axis-aligned"]
    _ct, _segmentation, case = make_case(scene, affine)
    message = replies.vertebra_reply(
        "T10", (20, 30, 22), {"lytic": [0.9, 0.2], "blastic": [0.7]}, affine
    )
    message["lytic_volume_mm3"] += 0.125  # the backend's own figure is shown, not ours
    case.add_vertebra(message)
    row = case.vertebra_rows()[0]
    assert row.lytic_volume_mm3 == message["lytic_volume_mm3"]
    assert row.blastic_volume_mm3 == message["blastic_volume_mm3"]
    case.decide(["T10:2"], "accept")
    row = case.vertebra_rows()[0]
    assert row.lytic_volume_mm3 == pytest.approx(2 * 27.0)
    assert row.lytic_fraction == pytest.approx(54 / 20000)
    case.undo()
    assert case.vertebra_rows()[0].lytic_volume_mm3 == message["lytic_volume_mm3"]


def test_tables_follow_the_review(scene):
    affine = GRIDS["axis-aligned"]
    _ct, _segmentation, case = make_case(scene, affine)
    case.add_vertebra(replies.vertebra_reply("T10", (20, 30, 22), {"lytic": [0.9, 0.2]}, affine))
    table = case.nodes.candidates_table.GetTable()
    assert [table.GetValueByName(r, "kept").ToInt() for r in range(2)] == [1, 0]
    case.decide(["T10:1"], "reject", "Schmorl node")
    assert [table.GetValueByName(r, "kept").ToInt() for r in range(2)] == [0, 0]
    assert table.GetValueByName(0, "decision").ToString() == "reject"
    assert table.GetValueByName(0, "reason").ToString() == "Schmorl node"
    assert case.nodes.candidates_table.GetColumnUnitLabel("volume_mm3") == "mm3"
    vertebrae = case.nodes.vertebra_table.GetTable()
    assert vertebrae.GetValueByName(0, "lytic_volume_mm3").ToDouble() == 0.0


def test_segments_carry_colour_code_and_geometry(scene):
    affine = GRIDS["oblique anisotropic"]
    ct, _segmentation, case = make_case(scene, affine)
    case.add_vertebra(
        replies.vertebra_reply("T10", (20, 30, 22), {"lytic": [0.9], "blastic": [0.8]}, affine)
    )
    segmentation = case.lesions.GetSegmentation()
    lytic = segmentation.GetSegment(segment_id("T10", "lytic"))
    blastic = segmentation.GetSegment(segment_id("T10", "blastic"))
    assert (lytic.GetName(), blastic.GetName()) == ("T10 lytic", "T10 blastic")
    assert lytic.GetColor()[0] > 0.8 > 0.3 > lytic.GetColor()[2]
    assert blastic.GetColor()[2] > 0.8 > 0.3 > blastic.GetColor()[0]
    assert (
        case.lesions.GetNodeReference(case.lesions.GetReferenceImageGeometryReferenceRole()) is ct
    )
    sh = slicer.vtkMRMLSubjectHierarchyNode.GetSubjectHierarchyNode(scene)
    folder = sh.GetItemParent(sh.GetItemByDataNode(case.lesions))
    assert sh.GetItemName(folder) == "CT HideSeek"
    assert sh.GetItemParent(sh.GetItemByDataNode(case.nodes.candidates_table)) == folder


def test_nothing_of_the_users_is_touched(scene):
    affine = GRIDS["oblique anisotropic"]
    ct, segmentation, case = make_case(scene, affine)
    voxels = voxels_of(ct).copy()
    mask = mask_of(segmentation, "vertebrae_T10", ct)
    times = (ct.GetMTime(), segmentation.GetMTime(), segmentation.GetSegmentation().GetMTime())
    names = list(range(segmentation.GetSegmentation().GetNumberOfSegments()))
    from HideSeekLib.anatomy.blocks import iter_blocks

    list(iter_blocks(ct, segmentation))
    case.add_vertebra(
        replies.vertebra_reply("T10", (20, 30, 22), {"lytic": [0.9]}, affine, evidence=True)
    )
    case.decide(["T10:1"], "reject")
    case.undo()
    assert (
        ct.GetMTime(),
        segmentation.GetMTime(),
        segmentation.GetSegmentation().GetMTime(),
    ) == times
    assert np.array_equal(voxels_of(ct), voxels)
    assert np.array_equal(mask_of(segmentation, "vertebrae_T10", ct), mask)
    assert names == list(range(segmentation.GetSegmentation().GetNumberOfSegments()))


def test_a_segment_edited_by_hand_is_left_alone(app, tmp_path):
    affine = GRIDS["axis-aligned"]
    ct, _segmentation, case = make_case(app.scene, affine)
    message = replies.vertebra_reply(
        "T10", (20, 30, 22), {"lytic": [0.9, 0.6], "blastic": [0.8]}, affine
    )
    case.add_vertebra(message)
    drawn = expected_mask(message, [1, 2])
    drawn[2:5, 2:5, 2:5] = True
    array = np.ascontiguousarray(drawn.astype(np.uint8).transpose(2, 1, 0))
    slicer.util.updateSegmentBinaryLabelmapFromArray(
        array, case.lesions, segment_id("T10", "lytic"), ct
    )
    report = case.set_threshold(0.95)
    assert report.edited_by_hand == ("T10 lytic",)
    assert report.segments == ("T10 blastic",)
    assert np.array_equal(mask_of(case.lesions, segment_id("T10", "lytic"), ct), drawn)
    # Reopened, it is still the reader's own drawing.
    fresh = save_and_reopen(app, tmp_path)
    try:
        (again,) = case_scene.cases_in_scene()
        assert again.set_threshold(0.1).edited_by_hand == ("T10 lytic",)
        assert np.array_equal(mask_of(again.lesions, segment_id("T10", "lytic"), again.ct), drawn)
        again.restore_segment("T10", "lytic")
        assert np.array_equal(
            mask_of(again.lesions, segment_id("T10", "lytic"), again.ct),
            expected_mask(message, [1, 2]),
        )
        assert again.set_threshold(0.7).segments == ("T10 lytic",)
    finally:
        fresh.close()


def test_the_highlight_is_hidden_before_it_is_added(scene):
    """Slicer's Data module does not look again whether a node is hidden."""
    _ct, _segmentation, case = make_case(scene, GRIDS["axis-aligned"])
    case.add_vertebra(
        replies.vertebra_reply("T10", (20, 30, 6), {"lytic": [0.9]}, GRIDS["axis-aligned"])
    )
    added = []

    def note(caller, event, node):
        added.append((node.GetName(), bool(node.GetHideFromEditors())))

    note.CallDataType = vtk.VTK_OBJECT
    tag = scene.AddObserver(slicer.vtkMRMLScene.NodeAddedEvent, note)
    views.highlight(case, ["T10:1"])
    scene.RemoveObserver(tag)
    assert (views.HIGHLIGHT_NAME, True) in added
