"""Binary labelmaps and segments made of them."""

from __future__ import annotations

from typing import Any

import numpy as np
import slicer
import vtk
from vtk.util.numpy_support import vtk_to_numpy

from HideSeekLib.anatomy.geometry import to_vtk
from HideSeekLib.anatomy.grid import Grid


def labelmap_name() -> str:
    """Slicer's name of the binary labelmap representation."""
    return str(slicer.vtkSegmentationConverter.GetSegmentationBinaryLabelmapRepresentationName())


def new_image(
    grid: Grid, low: np.ndarray, shape: np.ndarray, scalar_type: int = vtk.VTK_UNSIGNED_CHAR
) -> tuple[Any, np.ndarray]:
    """Make a zeroed labelmap for a box of the grid, and a flat view on its voxels (i fastest)."""
    image = slicer.vtkOrientedImageData()
    extent = [int(v) for a in range(3) for v in (low[a], low[a] + shape[a] - 1)]
    image.SetExtent(extent)
    image.AllocateScalars(scalar_type, 1)
    image.SetImageToWorldMatrix(to_vtk(grid.affine))
    view = vtk_to_numpy(image.GetPointData().GetScalars())
    view[:] = 0
    return image, view


def new_segment(name: str, color: tuple[float, float, float], entry: str, image: Any) -> Any:
    """Make a segment with its labelmap, colour and coded meaning."""
    segment = slicer.vtkSegment()
    segment.SetName(name)
    segment.SetColor(*color)
    segment.SetTag("TerminologyEntry", entry)
    if hasattr(segment, "SetTerminology"):  # Slicer 5.10 keeps it beside the tags
        segment.SetTerminology(entry)
    segment.AddRepresentation(labelmap_name(), image)
    return segment


def add_segment(
    node: Any, identifier: str, name: str, color: tuple[float, float, float], entry: str, image: Any
) -> None:
    """Add a segment with its labelmap, colour and coded meaning to a segmentation node."""
    node.GetSegmentation().AddSegment(new_segment(name, color, entry, image), identifier)
