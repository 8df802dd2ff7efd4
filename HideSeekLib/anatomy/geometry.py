"""Frames and boxes: a CT node's grid, and a segment's voxels looked up on it.

Everything is in the CT node's own frame ("local RAS"), the frame that the scanner gave it. A parent
transform on the CT moves the picture on screen, not the patient: the results get the same parent.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import slicer
import vtk
from vtk.util.numpy_support import vtk_to_numpy

from HideSeekLib.anatomy.grid import Grid
from HideSeekLib.errors import InputError, NodeGone
from HideSeekLib.i18n import _


def to_numpy(matrix: Any) -> np.ndarray:
    """(4, 4) float64 copy of a vtkMatrix4x4."""
    return np.array([[matrix.GetElement(r, c) for c in range(4)] for r in range(4)])


def to_vtk(affine: np.ndarray) -> Any:
    """vtkMatrix4x4 copy of a (4, 4) array."""
    matrix = vtk.vtkMatrix4x4()
    for r in range(4):
        for c in range(4):
            matrix.SetElement(r, c, float(affine[r, c]))
    return matrix


def in_scene(node: Any) -> bool:
    """Tell whether a node is there and still in a scene."""
    return node is not None and node.GetScene() is not None


def need(node: Any, what: str) -> Any:
    """Return the node, or raise NodeGone naming what is missing."""
    if not in_scene(node):
        raise NodeGone(
            _("{what} is no longer in the scene. Choose it again, or load it.").format(what=what)
        )
    return node


def grid_of(volume_node: Any) -> Grid:
    """Grid of a scalar volume node. Raises InputError when it has no voxels."""
    image = volume_node.GetImageData()
    if image is None or image.GetNumberOfPoints() == 0:
        raise InputError(
            _("'{name}' has no voxels. Choose a CT volume.").format(name=volume_node.GetName())
        )
    matrix = vtk.vtkMatrix4x4()
    volume_node.GetIJKToRASMatrix(matrix)
    i, j, k = image.GetDimensions()
    return Grid((i, j, k), to_numpy(matrix))


def voxels_of(volume_node: Any) -> np.ndarray:
    """(I, J, K) view of a scalar volume node's voxels; not a copy."""
    image = volume_node.GetImageData()
    i, j, k = image.GetDimensions()
    flat = vtk_to_numpy(image.GetPointData().GetScalars())
    return flat.reshape(k, j, i).transpose(2, 1, 0)


def local_to_world(node: Any, ras: Any) -> tuple[float, float, float]:
    """Move a point from a node's own frame to world RAS, through whatever transform it is under."""
    transform = vtk.vtkGeneralTransform()
    slicer.vtkMRMLTransformNode.GetTransformBetweenNodes(
        node.GetParentTransformNode(), None, transform
    )
    return tuple(transform.TransformPoint([float(v) for v in ras]))


def world_to_local(node: Any, ras: Any) -> tuple[float, float, float]:
    """Move a point from world RAS to a node's own frame."""
    transform = vtk.vtkGeneralTransform()
    slicer.vtkMRMLTransformNode.GetTransformBetweenNodes(
        None, node.GetParentTransformNode(), transform
    )
    return tuple(transform.TransformPoint([float(v) for v in ras]))


def between(source_node: Any, target_node: Any) -> np.ndarray:
    """(4, 4) matrix from one node's own frame to another's.

    Raises InputError when a warp lies between them: voxels cannot be matched one to one then.
    """
    source, target = source_node.GetParentTransformNode(), target_node.GetParentTransformNode()
    if source is target:
        return np.eye(4)
    matrix = vtk.vtkMatrix4x4()
    if not slicer.vtkMRMLTransformNode.GetMatrixTransformBetweenNodes(source, target, matrix):
        raise InputError(
            _(
                "'{a}' and '{b}' are under different non-linear transforms. Harden the transform "
                "of the segmentation, or put both under the same one."
            ).format(a=source_node.GetName(), b=target_node.GetName())
        )
    return to_numpy(matrix)


class SegmentVoxels:
    """Read-only look-up of one segment's voxels; the user's segmentation is never changed.

    array: (I, J, K) view of the labelmap that holds the segment, perhaps with others in it;
    value: the segment's own value there; affine: index (i, j, k) of `array` -> the segmentation
    node's own RAS. None of it exists for a segment without voxels (`empty` is True).
    """

    def __init__(self, segmentation_node: Any, segment_id: str) -> None:
        segmentation = segmentation_node.GetSegmentation()
        segment = segmentation.GetSegment(segment_id)
        if segment is None:
            raise InputError(
                _("Segment '{id}' is no longer in '{name}'.").format(
                    id=segment_id, name=segmentation_node.GetName()
                )
            )
        name = slicer.vtkSegmentationConverter.GetSegmentationBinaryLabelmapRepresentationName()
        if not segment.GetRepresentation(name):
            # A model-based segment: convert a private copy, so that the user's node stays as it is.
            copy = slicer.vtkSegmentation()
            copy.SetSourceRepresentationName(segmentation.GetSourceRepresentationName())
            copy.CopyConversionParameters(segmentation)
            copy.CopySegmentFromSegmentation(segmentation, segment_id)
            copy.CreateRepresentation(name)
            self._keep = copy
            segment = copy.GetSegment(segment_id)
        image = segment.GetRepresentation(name)
        self.value = int(segment.GetLabelValue())
        scalars = image.GetPointData().GetScalars() if image is not None else None
        self.empty = scalars is None or scalars.GetNumberOfTuples() == 0
        if self.empty:
            return
        extent = image.GetExtent()
        i, j, k = image.GetDimensions()
        self.array = vtk_to_numpy(scalars).reshape(k, j, i).transpose(2, 1, 0)
        matrix = vtk.vtkMatrix4x4()
        image.GetImageToWorldMatrix(matrix)
        self.affine = to_numpy(matrix)
        self.affine[:3, 3] += self.affine[:3, :3] @ np.array(extent[::2], float)
        # The view borrows the image's memory: keep the image as long as the view.
        self._image = image

    def contains(self, ras: np.ndarray) -> np.ndarray:
        """Tell for points (N, 3), in the segmentation's own RAS, which are in the segment."""
        if self.empty:
            return np.zeros(len(ras), bool)
        inverse = np.linalg.inv(self.affine)
        index = np.rint(np.asarray(ras, float) @ inverse[:3, :3].T + inverse[:3, 3]).astype(int)
        inside = np.all((index >= 0) & (index < self.array.shape), axis=1)
        hit = np.zeros(len(index), bool)
        i, j, k = index[inside].T
        hit[inside] = self.array[i, j, k] == self.value
        return hit

    def box(self) -> tuple[np.ndarray, np.ndarray] | None:
        """Corners [low, high) of the segment in `array` indices, or None when it has no voxel.

        Layers shared by a whole spine are large, so the search is coarse first (a sample every
        3 mm), then grows an exact box until the segment no longer touches its walls.
        """
        if self.empty:
            return None
        spacing = np.linalg.norm(self.affine[:3, :3], axis=0)
        step = np.maximum(1, (3.0 / spacing).astype(int))
        coarse = self.array[:: step[0], :: step[1], :: step[2]] == self.value
        found = box_of(coarse)
        if found is None:  # thinner than the sampling, or absent
            return box_of(self.array == self.value)
        shape = np.array(self.array.shape)
        low, high = found[0] * step, found[1] * step
        while True:
            grown_low = np.maximum(low - 2 * step, 0)
            grown_high = np.minimum(high + 2 * step, shape)
            part = self.array[
                tuple(slice(a, b) for a, b in zip(grown_low, grown_high, strict=True))
            ]
            exact = box_of(part == self.value)
            if exact is None:
                return None
            low, high = exact[0] + grown_low, exact[1] + grown_low
            open_low = (low == grown_low) & (grown_low > 0)
            open_high = (high == grown_high) & (grown_high < shape)
            if not (open_low.any() or open_high.any()):
                return low, high

    def on_grid(self, affine: np.ndarray, shape: tuple[int, ...]) -> np.ndarray:
        """Segment on another grid, nearest voxel: (I, J, K) bool.

        affine: (4, 4), that grid's index -> the segmentation's own RAS. Where the grids share a
        lattice this is a plain copy of voxels.
        """
        out = np.zeros(shape, bool)
        if self.empty:
            return out
        move = np.linalg.inv(self.affine) @ affine
        rotation, shift = move[:3, :3], move[:3, 3]
        if np.allclose(rotation, np.eye(3), atol=1e-4) and np.allclose(
            shift, np.rint(shift), atol=1e-2
        ):
            start = np.rint(shift).astype(int)
            low = np.maximum(0, -start)
            high = np.minimum(shape, np.array(self.array.shape) - start)
            if np.all(high > low):
                target = tuple(slice(a, b) for a, b in zip(low, high, strict=True))
                source = tuple(slice(a, b) for a, b in zip(low + start, high + start, strict=True))
                out[target] = self.array[source] == self.value
            return out
        j, k = np.meshgrid(np.arange(shape[1]), np.arange(shape[2]), indexing="ij")
        limits = self.array.shape
        for i in range(shape[0]):  # a slab at a time keeps the memory small
            index = [
                np.rint(rotation[a, 0] * i + rotation[a, 1] * j + rotation[a, 2] * k + shift[a])
                for a in range(3)
            ]
            inside = np.ones(j.shape, bool)
            for a in range(3):
                inside &= (index[a] >= 0) & (index[a] < limits[a])
            if inside.any():
                x, y, z = (index[a][inside].astype(int) for a in range(3))
                out[i][inside] = self.array[x, y, z] == self.value
        return out


def box_of(mask: np.ndarray) -> tuple[np.ndarray, np.ndarray] | None:
    """Corners [low, high) of the true voxels of a 3D mask, or None when there are none."""
    low, high = [], []
    for axis in range(3):
        line = np.flatnonzero(mask.any(axis=tuple(a for a in range(3) if a != axis)))
        if not len(line):
            return None
        low.append(line[0])
        high.append(line[-1] + 1)
    return np.array(low), np.array(high)
