"""Save, export, copy, undo or edit, then go on reviewing: what is shown is what was decided.

Every one of these gives the segments other images behind our back; saving merges them into one.
"""

from __future__ import annotations

import csv
from pathlib import Path

import nibabel
import numpy as np
import pytest
import replies
import slicer
from scene_helpers import (
    CASE_GRIDS,
    CASE_SHAPE,
    expected_mask,
    make_case,
    mask_of,
    save_and_reopen,
)

from HideSeekLib.anatomy.labelmaps import labelmap_name
from HideSeekLib.case import case as case_scene
from HideSeekLib.case import files, lesions_view
from HideSeekLib.case.scene_file import save_mrb
from HideSeekLib.case.segments import segment_id

LEVELS = ("T10", "T11")
DELTAS = {"lytic": [0.9, 0.2, 0.6], "blastic": [0.7, 0.4]}
NUMBERS = {"lytic": (1, 2, 3), "blastic": (4, 5)}
AFFINE = CASE_GRIDS["oblique anisotropic"]
MESSAGES = {
    level: replies.vertebra_reply(level, (20, 30, 10 + 20 * n), DELTAS, AFFINE)
    for n, level in enumerate(LEVELS)
}


@pytest.fixture
def case(scene):
    _ct, _segmentation, made = make_case(scene, AFFINE, LEVELS)
    for level in LEVELS:
        made = made.add_vertebra(MESSAGES[level])
    return made


def save_scene(case, folder):
    save_mrb(case.node.GetScene(), folder / "case.mrb")


def save_node(case, folder):
    if case.lesions.GetStorageNode() is None:
        case.lesions.AddDefaultStorageNode()
    storage = case.lesions.GetStorageNode()
    storage.SetFileName(str(folder / "node.seg.nrrd"))
    assert storage.WriteData(case.lesions)


def collapse(into_one):
    return lambda case, folder: case.lesions.GetSegmentation().CollapseBinaryLabelmaps(into_one)


def restore_copies(case, folder):
    """As the Segment Editor's undo does: every segment takes over what a copy of it holds."""
    segmentation = case.lesions.GetSegmentation()
    for index in range(segmentation.GetNumberOfSegments()):
        segment = segmentation.GetNthSegment(index)
        copy = slicer.vtkSegment()
        copy.DeepCopy(segment)
        segment.DeepCopy(copy)


def history(case, folder):
    """The Segment Editor's own history: a state is kept, a segment is erased, undo."""
    segmentation = case.lesions.GetSegmentation()
    states = slicer.vtkSegmentationHistory()
    states.SetSegmentation(segmentation)
    states.SaveState()
    erased = segmentation.GetNthSegmentID(0)
    nothing = np.zeros(CASE_SHAPE[::-1], np.uint8)
    slicer.util.updateSegmentBinaryLabelmapFromArray(nothing, case.lesions, erased, case.ct)
    assert states.RestorePreviousState()


def copy_node(case, folder):
    copy = case.node.GetScene().AddNewNodeByClass("vtkMRMLSegmentationNode", "a copy")
    copy.Copy(case.lesions)
    copy.GetSegmentation().CollapseBinaryLabelmaps(True)


def surfaces(case, folder):
    lesions_view.show_surfaces(case.lesions, True)
    case.lesions.GetSegmentation().CollapseBinaryLabelmaps(True)


DISTURBANCES = {
    "nothing": lambda case, folder: None,
    "scene saved": save_scene,
    "node saved": save_node,
    "NIfTI exported": lambda case, folder: files.export_lesions(case, folder, ["nii.gz"]),
    ".seg.nrrd exported": lambda case, folder: files.export_lesions(case, folder, ["seg.nrrd"]),
    "merged where it fits": collapse(False),
    "merged into one": collapse(True),
    "copies restored": restore_copies,
    "editor's undo": history,
    "node copied": copy_node,
    "surfaces, then merged": surfaces,
}


def decided(case, level, polarity) -> np.ndarray:
    """The decisions as a mask on the CT's grid, from the worker's message alone."""
    kept = [n for n in NUMBERS[polarity] if case.review.kept(f"{level}:{n}")]
    return expected_mask(MESSAGES[level], kept)


def check(case, folder: Path, edited: dict | None = None) -> None:
    """Segments, tables, NIfTI and .seg.nrrd say what was decided.

    edited: (level, polarity) -> mask of segments that the reader painted in.
    """
    want = {
        (level, polarity): decided(case, level, polarity) for level in LEVELS for polarity in DELTAS
    } | (edited or {})
    for (level, polarity), mask in want.items():
        found = mask_of(case.lesions, segment_id(level, polarity), case.ct)
        assert np.array_equal(found, mask), f"{level} {polarity} on screen"
    table = case.nodes.candidates_table
    kept = {
        f"{table.GetCellText(row, 0)}:{table.GetCellText(row, 1)}"
        for row in range(table.GetNumberOfRows())
        if table.GetCellText(row, 4) == "1"
    }
    assert kept == case.review.kept_keys()
    # A copy is looked at: writing the live node is one of the disturbances, not a check.
    seg_path, nifti_path = files.export_lesions(case, folder)
    labels = np.zeros(CASE_SHAPE, np.uint8)
    for value, polarity in ((1, "lytic"), (2, "blastic")):
        for level in LEVELS:
            labels[want[level, polarity]] = value
    assert np.array_equal(np.asarray(nibabel.load(nifti_path).dataobj), labels)
    storage = slicer.vtkMRMLSegmentationStorageNode()
    storage.SetFileName(str(seg_path))
    again = case.node.GetScene().AddNewNodeByClass("vtkMRMLSegmentationNode", "read back")
    assert storage.ReadData(again)
    for (level, polarity), mask in want.items():
        found = mask_of(again, segment_id(level, polarity), case.ct)
        assert np.array_equal(found, mask), f"{level} {polarity} in the .seg.nrrd"
    case.node.GetScene().RemoveNode(again)
    candidates, _vertebrae = files.export_tables(case, folder)
    rows = list(csv.DictReader(candidates.open(encoding="utf-8")))
    assert {f"{r['vertebra']}:{r['candidate']}" for r in rows if r["kept"] == "true"} == kept


STEPS = (
    lambda case: case.decide(["T10:1"], "reject"),
    lambda case: case.decide(["T10:2", "T11:5"], "accept"),
    lambda case: case.set_threshold(0.65),
    lambda case: case.undo(),
    lambda case: case.set_threshold(0.1, live=True),
    lambda case: case.set_threshold(0.3),
    lambda case: case.decide(["T11:1", "T11:4"], "reject", "bone island"),
    lambda case: case.redo(),
    lambda case: case.undo(),
)


@pytest.mark.parametrize("name", DISTURBANCES)
def test_the_review_goes_on(case, tmp_path, name):
    for step in STEPS:
        DISTURBANCES[name](case, tmp_path)
        report = step(case)
        assert report.edited_by_hand == ()
        check(case, tmp_path)


@pytest.mark.parametrize("name", ["scene saved", "merged into one", "editor's undo"])
def test_the_review_goes_on_after_a_reload(app, tmp_path, name):
    _ct, _segmentation, made = make_case(app.scene, AFFINE, LEVELS)
    for level in LEVELS:
        made.add_vertebra(MESSAGES[level])
    DISTURBANCES[name](made, tmp_path)
    made.decide(["T10:1"], "reject")
    (tmp_path / "again").mkdir()
    fresh = save_and_reopen(app, tmp_path / "again")
    try:
        (again,) = case_scene.cases_in_scene()
        check(again, tmp_path)
        for step in STEPS[1:]:
            DISTURBANCES[name](again, tmp_path)
            assert step(again).edited_by_hand == ()
            check(again, tmp_path)
    finally:
        fresh.close()


def paint(case, level, polarity, corner) -> np.ndarray:
    """Add a cube of voxels to a segment as the Segment Editor's Paint does; returns the mask."""
    mask = mask_of(case.lesions, segment_id(level, polarity), case.ct)
    i, j, k = corner
    mask[i : i + 3, j : j + 3, k : k + 2] = True
    array = np.ascontiguousarray(mask.astype(np.uint8).transpose(2, 1, 0))
    slicer.util.updateSegmentBinaryLabelmapFromArray(
        array, case.lesions, segment_id(level, polarity), case.ct
    )
    return mask


@pytest.mark.parametrize(
    "name", ["nothing", "scene saved", "merged where it fits", "merged into one", "editor's undo"]
)
def test_an_edit_by_hand_stays_and_the_others_follow(case, tmp_path, name):
    DISTURBANCES[name](case, tmp_path)
    mine = {("T10", "lytic"): paint(case, "T10", "lytic", (60, 50, 40))}
    DISTURBANCES[name](case, tmp_path)
    for step in STEPS:
        report = step(case)
        assert set(report.edited_by_hand) <= {"T10 lytic"}
        DISTURBANCES[name](case, tmp_path)
        check(case, tmp_path, mine)
    case.restore_segment("T10", "lytic")
    check(case, tmp_path)


def test_another_segment_in_the_same_layer_is_left_alone(case, tmp_path):
    """The Segment Editor puts the reader's own segments into the layer that ours were merged to."""
    segmentation = case.lesions.GetSegmentation()
    segmentation.CollapseBinaryLabelmaps(True)
    segmentation.AddEmptySegment("mine", "mine")
    mask = np.zeros(CASE_SHAPE, bool)
    mask[50:55, 40:45, 30:35] = True
    array = np.ascontiguousarray(mask.astype(np.uint8).transpose(2, 1, 0))
    slicer.util.updateSegmentBinaryLabelmapFromArray(array, case.lesions, "mine", case.ct)
    segmentation.CollapseBinaryLabelmaps(True)
    for step in STEPS:
        assert step(case).edited_by_hand == ()
        segmentation.CollapseBinaryLabelmaps(False)
        check(case, tmp_path)
        assert np.array_equal(mask_of(case.lesions, "mine", case.ct), mask)


def test_an_export_leaves_the_segmentation_on_screen_as_it_is(case, tmp_path):
    segmentation = case.lesions.GetSegmentation()

    def images():
        return [
            segmentation.GetNthSegment(n).GetRepresentation(labelmap_name())
            for n in range(segmentation.GetNumberOfSegments())
        ]

    before = images()
    files.export_lesions(case, tmp_path)
    assert [a is b for a, b in zip(before, images(), strict=True)] == [True] * 4


def test_nothing_kept_of_a_flat_lesion_makes_no_noise(case, capfd):
    """An empty labelmap of one voxel would end in errors of VTK, which are no user's business."""
    for corner in ((20, 30, 22), (CASE_SHAPE[0] - 9, CASE_SHAPE[1] - 8, CASE_SHAPE[2] - 8)):
        message = replies.vertebra_reply("T10", corner, {"lytic": [0.1]}, AFFINE, size=1)
        case = case.add_vertebra(message)
        capfd.readouterr()
        lesions_view.show_surfaces(case.lesions, True)
        assert "ERR|" not in capfd.readouterr().err
        case.decide(["T10:1"], "accept")
        found = mask_of(case.lesions, segment_id("T10", "lytic"), case.ct)
        assert np.array_equal(found, expected_mask(message, [1]))
        case.decide(["T10:1"], None)


def test_surfaces_follow_after_a_save(case, tmp_path):
    lesions_view.show_surfaces(case.lesions, True)
    save_node(case, tmp_path)
    case.set_threshold(1.0)
    case.decide(["T10:1"], "accept")

    def points(level, polarity):
        surface = (
            case.lesions.GetSegmentation()
            .GetSegment(segment_id(level, polarity))
            .GetRepresentation(lesions_view.surface_name())
        )
        return 0 if surface is None else surface.GetNumberOfPoints()

    assert points("T10", "lytic") > 0
    assert points("T10", "blastic") == points("T11", "lytic") == points("T11", "blastic") == 0
