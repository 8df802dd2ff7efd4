"""Segments for regions that a reader draws, and a ball to draw with where no Segment Editor is."""

from __future__ import annotations

from typing import Any

import numpy as np

from HideSeekLib.anatomy.geometry import SegmentVoxels, need, world_to_local
from HideSeekLib.anatomy.grid import Grid
from HideSeekLib.anatomy.labelmaps import labelmap_name, new_image
from HideSeekLib.case.case import Case
from HideSeekLib.i18n import _

COLOR = (0.25, 0.85, 0.65)
"""Of a drawn region: neither lytic red, blastic blue nor the yellow of what is selected."""


def new_region(case: Case, node: Any = None) -> tuple[Any, str]:
    """Make an empty segment to draw in; returns its node and id.

    node: the segmentation that it goes to; None makes or finds the case's own for regions.
    Raises NodeGone when the CT was deleted.
    """
    ct = need(case.ct, _("The CT"))
    scene = ct.GetScene()
    if node is None:
        name = _("{case} regions").format(case=case.name)
        node = scene.GetFirstNodeByName(name)
        if node is None:
            node = scene.AddNewNodeByClass("vtkMRMLSegmentationNode", name)
            node.CreateDefaultDisplayNodes()
            node.SetReferenceImageGeometryParameterFromVolumeNode(ct)
            node.SetAndObserveTransformNodeID(ct.GetTransformNodeID())
    segmentation = node.GetSegmentation()
    number = segmentation.GetNumberOfSegments() + 1
    segment_id = segmentation.AddEmptySegment("", _("Region {n}").format(n=number))
    segmentation.GetSegment(segment_id).SetColor(*COLOR)
    return node, segment_id


def draw_ball(
    case: Case,
    node: Any,
    segment_id: str,
    ras_world: tuple[float, float, float],
    radius_mm: float,
    *,
    erase: bool = False,
) -> int:
    """Add a ball to a segment on the CT's grid, or take it away; returns the segment's voxels.

    ras_world: its centre in world RAS (mm). A voxel belongs to it when its centre does; one voxel
    always does. What lies outside the CT is left out. Raises NodeGone when the CT was deleted.
    """
    ct = need(case.ct, _("The CT"))
    grid = case.record.grid
    ball = _ball(grid, np.array(world_to_local(ct, ras_world)), radius_mm)
    before = _voxels(node, segment_id, grid)
    both = np.concatenate([before, ball])
    if not len(both):
        return 0
    # Never flat: Slicer makes no surface of a labelmap that is one voxel thick.
    low, high = both.min(0) - 1, both.max(0) + 2
    image, view = new_image(grid, low, high - low)
    shape = high - low
    for voxels, value in ((before, 1), (ball, 0 if erase else 1)):
        i, j, k = (voxels - low).T.astype(np.int64)
        view[i + shape[0] * (j + shape[1] * k)] = value
    segment = node.GetSegmentation().GetSegment(segment_id)
    segment.SetLabelValue(1)
    segment.AddRepresentation(labelmap_name(), image)
    node.GetSegmentation().Modified()
    return int(np.count_nonzero(view))


def _ball(grid: Grid, center: np.ndarray, radius_mm: float) -> np.ndarray:
    """Voxels whose centre lies in a ball, and the one nearest to its own centre: (N, 3)."""
    index = grid.ijk(center)
    # How far a step of one mm in any direction can go along each axis.
    per_mm = np.linalg.norm(np.linalg.inv(grid.affine[:3, :3]), axis=1)
    reach = np.ceil(radius_mm * per_mm).astype(int) + 1
    low = np.maximum(np.rint(index).astype(int) - reach, 0)
    high = np.minimum(np.rint(index).astype(int) + reach + 1, grid.shape)
    if np.any(high <= low):
        return np.zeros((0, 3), np.int32)
    axes = [np.arange(a, b) for a, b in zip(low, high, strict=True)]
    box = np.stack(np.meshgrid(*axes, indexing="ij"), axis=-1).reshape(-1, 3)
    inside = np.linalg.norm(grid.ras(box) - center, axis=1) <= radius_mm
    inside |= np.all(box == np.rint(index).astype(int), axis=1)
    return box[inside].astype(np.int32)


def _voxels(node: Any, segment_id: str, grid: Grid) -> np.ndarray:
    """A segment's voxels on the grid, (N, 3)."""
    found = SegmentVoxels(node, segment_id)
    box = found.box()
    if box is None:
        return np.zeros((0, 3), np.int32)
    part = found.array[tuple(slice(a, b) for a, b in zip(*box, strict=True))]
    index = np.argwhere(part == found.value) + box[0]
    ras = index @ found.affine[:3, :3].T + found.affine[:3, 3]
    ijk = np.rint(grid.ijk(ras)).astype(np.int32)
    return ijk[np.all((ijk >= 0) & (ijk < grid.shape), axis=1)]
