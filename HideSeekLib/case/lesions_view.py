"""How lesion segments look, and their 3D surfaces."""

from __future__ import annotations

from typing import Any

import slicer

from HideSeekLib.anatomy.geometry import in_scene, to_vtk
from HideSeekLib.anatomy.grid import Grid


def surface_name() -> str:
    """Slicer's name of the closed surface representation."""
    return str(slicer.vtkSegmentationConverter.GetSegmentationClosedSurfaceRepresentationName())


def prepare(node: Any, ct_node: Any, grid: Grid) -> None:
    """Set up an empty lesion segmentation: binary labelmaps in the CT's geometry; display."""
    segmentation = node.GetSegmentation()
    segmentation.SetSourceRepresentationName(
        slicer.vtkSegmentationConverter.GetSegmentationBinaryLabelmapRepresentationName()
    )
    # Strong smoothing makes surfaces of small lesions vanish.
    segmentation.SetConversionParameter("Smoothing factor", "0.2")
    if ct_node is not None:
        node.SetReferenceImageGeometryParameterFromVolumeNode(ct_node)
    else:
        image = slicer.vtkOrientedImageData()
        image.SetExtent(*(v for n in grid.shape for v in (0, n - 1)))
        image.SetImageToWorldMatrix(to_vtk(grid.affine))
        segmentation.SetConversionParameter(
            slicer.vtkSegmentationConverter.GetReferenceImageGeometryParameterName(),
            slicer.vtkSegmentationConverter.SerializeImageGeometry(image),
        )
    node.CreateDefaultDisplayNodes()
    display = node.GetDisplayNode()
    if display is not None:
        display.SetOpacity2DFill(0.35)
        display.SetOpacity2DOutline(1.0)


def has_surfaces(node: Any) -> bool:
    """Tell whether the segmentation has 3D surfaces now."""
    return in_scene(node) and bool(node.GetSegmentation().ContainsRepresentation(surface_name()))


def show_surfaces(node: Any, on: bool) -> None:
    """Show the lesions in 3D views, or stop showing them there."""
    if not in_scene(node):
        return
    if on:
        node.CreateClosedSurfaceRepresentation()
    else:
        node.RemoveClosedSurfaceRepresentation()
