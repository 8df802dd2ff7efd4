"""lesions.seg.nrrd is what 3D Slicer writes itself: read by Slicer's own storage node."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import SimpleITK
from sample_case import AFFINE, sample_case

from hideseek_backend.report.segnrrd import Segment, lesion_segments, write_segmentation
from hideseek_backend.volumes.volume import Volume
from hideseek_backend.wire.codes import COLORS, lesion_entry

NAMES = ["T12 lytic", "T12 blastic", "L1 lytic", "L1 blastic"]


@pytest.fixture(name="written")
def written_file(tmp_path: Path) -> Path:
    path = tmp_path / "lesions.seg.nrrd"
    write_segmentation(path, *lesion_segments(sample_case()))
    return path


def test_segments_are_levels_and_polarities_of_kept_lesions() -> None:
    case = sample_case()
    labels, segments = lesion_segments(case)
    assert [s.name for s in segments] == NAMES
    assert [s.value for s in segments] == [1, 2, 3, 4]
    assert np.array_equal(labels.data > 0, case.lesions.data > 0)
    assert np.array_equal(np.isin(labels.data, (1, 3)), case.lesions.data == 1)


def test_itk_reads_the_same_voxels_at_the_same_place(written: Path) -> None:
    image = SimpleITK.ReadImage(str(written))
    labels, _ = lesion_segments(sample_case())
    assert np.array_equal(SimpleITK.GetArrayFromImage(image).T, labels.data)
    index = (5, 7, 11)
    lps = np.array(image.TransformIndexToPhysicalPoint(index))
    assert np.allclose(lps * (-1, -1, 1), labels.ras(index), atol=1e-3)


def test_the_same_result_gives_the_same_bytes(written: Path, tmp_path: Path) -> None:
    again = tmp_path / "again.seg.nrrd"
    write_segmentation(again, *lesion_segments(sample_case()))
    assert again.read_bytes() == written.read_bytes()


def test_terms_are_those_of_the_slicer_extension() -> None:
    root = Path(__file__).resolve().parents[3]
    if not (root / "HideSeekLib" / "terminology.py").is_file():
        pytest.skip("the Slicer extension is not beside this package")
    sys.path.insert(0, str(root))
    try:
        from HideSeekLib import terminology
    finally:
        sys.path.remove(str(root))
    for level in ("C3", "T1", "T12", "T13", "L5", "L6"):
        for polarity in ("lytic", "blastic"):
            assert lesion_entry(level, polarity) == terminology.lesion_entry(level, polarity)
    assert terminology.POLARITY_COLORS == COLORS


def _slicer_segmentation(path: Path) -> tuple[Any, Any]:
    """Read a file with Slicer's storage node; return the node and what must stay alive with it."""
    slicer = pytest.importorskip("slicer", reason="slicer-core is not installed")
    scene = slicer.vtkMRMLScene()
    logic = slicer.vtkSlicerApplicationLogic()
    logic.SetMRMLScene(scene)
    segmentations = slicer.vtkSlicerSegmentationsModuleLogic()
    segmentations.SetMRMLApplicationLogic(logic)
    segmentations.SetMRMLScene(scene)
    node = scene.AddNewNodeByClass("vtkMRMLSegmentationNode")
    node.AddDefaultStorageNode()
    storage = node.GetStorageNode()
    storage.SetFileName(str(path))
    assert storage.ReadData(node) == 1
    return node, (scene, logic, segmentations)


def _sorted(points: np.ndarray) -> np.ndarray:
    return points[np.lexsort(np.round(points, 2).T)]


def test_slicer_reads_names_colours_terms_and_voxels(written: Path) -> None:
    node, _alive = _slicer_segmentation(written)
    import slicer
    import vtk
    from vtk.util.numpy_support import vtk_to_numpy

    segmentation = node.GetSegmentation()
    assert segmentation.GetNumberOfSegments() == 4
    labels, segments = lesion_segments(sample_case())
    for index, expected in enumerate(segments):
        segment = segmentation.GetNthSegment(index)
        assert segmentation.GetNthSegmentID(index) == expected.identifier
        assert segment.GetName() == expected.name
        assert np.allclose(segment.GetColor(), COLORS[expected.polarity], atol=1e-5)
        term, level = vtk.reference(""), vtk.reference("")
        assert segment.GetTag("TerminologyEntry", term)
        assert term.get() == lesion_entry(expected.level, expected.polarity)
        assert segment.GetTag("HideSeek.Level", level) and level.get() == expected.level
        image = slicer.vtkOrientedImageData()
        assert node.GetBinaryLabelmapRepresentation(expected.identifier, image)
        values = vtk_to_numpy(image.GetPointData().GetScalars())
        i0, i1, j0, j1, k0, k1 = image.GetExtent()
        shape = (k1 - k0 + 1, j1 - j0 + 1, i1 - i0 + 1)
        found = np.argwhere(values.reshape(shape).transpose(2, 1, 0)) + (i0, j0, k0)
        matrix = vtk.vtkMatrix4x4()
        image.GetImageToWorldMatrix(matrix)
        affine = np.array([[matrix.GetElement(r, c) for c in range(4)] for r in range(4)])
        ras = found @ affine[:3, :3].T + affine[:3, 3]
        wanted = labels.ras(np.argwhere(labels.data == expected.value))
        assert ras.shape == wanted.shape
        assert np.allclose(
            ras[np.lexsort(np.round(ras, 2).T)],
            wanted[np.lexsort(np.round(wanted, 2).T)],
            atol=1e-3,
        )
    assert segmentation.GetConversionParameter("Reference image geometry").startswith("-0.6999")


def test_slicer_reads_a_case_without_lesions(tmp_path: Path) -> None:
    path = tmp_path / "none.seg.nrrd"
    write_segmentation(path, Volume(np.zeros((4, 5, 6), np.uint8), AFFINE), ())
    node, _alive = _slicer_segmentation(path)
    assert node.GetSegmentation().GetNumberOfSegments() == 0


def test_names_and_identifiers() -> None:
    segment = Segment("L3", "blastic", 7)
    assert (segment.name, segment.identifier) == ("L3 blastic", "L3_blastic")
