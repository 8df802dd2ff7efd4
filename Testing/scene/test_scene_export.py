"""Files that come out: segments, NIfTI and tables; and the phantom for the Sample Data module."""

from __future__ import annotations

import csv
import os

import nibabel
import numpy as np
import pytest
import replies
import slicer
from scene_helpers import add_ct

from HideSeekLib.case import case as case_scene
from HideSeekLib.case import files as export
from HideSeekLib.case.segments import segment_id
from HideSeekLib.errors import NodeGone, SceneError

SHAPE = (70, 60, 50)
AFFINE = replies.ct_affine()


@pytest.fixture
def case(scene):
    ct = add_ct(scene, np.zeros(SHAPE, np.int16), AFFINE, "Müller, Ärzte (groß)")
    made = case_scene.begin_run(ct, model={"hash": "abc", "name": "bundled"}, options={"tau": 0.5})
    made.add_vertebra(
        replies.vertebra_reply("T10", (20, 30, 22), {"lytic": [0.9, 0.2], "blastic": [0.8]}, AFFINE)
    )
    return made


def test_nifti_is_on_the_cts_grid_voxel_by_voxel(case, tmp_path):
    folder = tmp_path / "Füße 脊椎"
    (path,) = export.export_lesions(case, folder, ["nii.gz"])
    image = nibabel.load(path)
    assert image.shape == SHAPE and image.get_data_dtype() == np.uint8
    assert image.affine == pytest.approx(AFFINE, abs=1e-4)
    expected = np.zeros(SHAPE, np.uint8)
    for key, value in (("T10:1", 1), ("T10:3", 2)):
        expected[tuple(case.voxels(key).T)] = value
    assert np.array_equal(np.asarray(image.dataobj), expected)
    case.decide(["T10:2"], "accept")
    export.export_lesions(case, folder, ["nii.gz"])
    accepted = np.asarray(nibabel.load(path).dataobj)
    assert (accepted == 1).sum() == 2 * (expected == 1).sum()
    assert [p.name for p in folder.iterdir()] == ["lesions.nii.gz"], "no drafts are left"


def test_seg_nrrd_opens_again_with_names_colours_and_codes(case, scene, tmp_path):
    (path,) = export.export_lesions(case, tmp_path, ["seg.nrrd"])
    assert case.lesions.GetStorageNode() is None, "the scene's own node is not tied to the file"
    node = scene.AddNewNodeByClass("vtkMRMLSegmentationNode", "again")
    storage = slicer.vtkMRMLSegmentationStorageNode()
    storage.SetFileName(str(path))
    assert storage.ReadData(node)
    ct = case.ct
    for polarity, name, key in (
        ("lytic", "T10 lytic", "T10:1"),
        ("blastic", "T10 blastic", "T10:3"),
    ):
        segment = node.GetSegmentation().GetSegment(segment_id("T10", polarity))
        assert segment.GetName() == name
        array = slicer.util.arrayFromSegmentBinaryLabelmap(node, segment_id("T10", polarity), ct)
        expected = np.zeros(SHAPE, bool)
        expected[tuple(case.voxels(key).T)] = True
        assert np.array_equal(array.transpose(2, 1, 0).astype(bool), expected)
    header = path.read_bytes()[:4000].decode("latin-1")
    assert "14799000" in header and "99HIDESEEK" in header


def test_nothing_kept_still_gives_files(case, tmp_path):
    case.set_threshold(1.0)
    files = export.export_lesions(case, tmp_path)
    assert not np.asarray(nibabel.load(files[1]).dataobj).any()
    assert files[0].stat().st_size > 0


def test_tables(case, tmp_path):
    case.decide(["T10:2"], "accept", 'say "yes", please')
    candidates, vertebrae = export.export_tables(case, tmp_path)
    rows = list(csv.DictReader(candidates.open(encoding="utf-8")))
    assert [r["kept"] for r in rows] == ["true", "true", "true"]
    assert rows[1]["decision"] == "accept" and rows[1]["reason"] == 'say "yes", please'
    assert float(rows[0]["centroid_r_mm"]) == pytest.approx(
        case.rows()[0].centroid_ras[0], abs=0.01
    )
    (row,) = csv.DictReader(vertebrae.open(encoding="utf-8"))
    assert row["vertebra"] == "T10" and row["analysed"] == "true"
    assert float(row["lytic_volume_mm3"]) == pytest.approx(
        case.vertebra_rows()[0].lytic_volume_mm3, rel=1e-5
    )


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write anywhere")
def test_a_read_only_folder_says_so(case, tmp_path):
    tmp_path.chmod(0o500)
    with pytest.raises(SceneError, match="cannot be written"):
        export.export_tables(case, tmp_path)
    tmp_path.chmod(0o700)


def test_a_place_that_cannot_hold_files_says_so(case, tmp_path):
    (tmp_path / "file").write_text("x")
    with pytest.raises(SceneError, match="cannot be made"):
        export.export_tables(case, tmp_path / "file" / "below")
    (tmp_path / "lesions.nii.gz").mkdir()
    with pytest.raises(SceneError, match="cannot be written"):
        export.export_lesions(case, tmp_path, ["nii.gz"])
    assert [p.name for p in tmp_path.iterdir() if p.name.startswith(".")] == []


def test_deleted_lesions_and_odd_formats(case, tmp_path):
    with pytest.raises(ValueError, match="format"):
        export.export_lesions(case, tmp_path, ["stl"])
    case.ct.GetScene().RemoveNode(case.lesions)
    with pytest.raises(NodeGone):
        export.export_lesions(case, tmp_path)
