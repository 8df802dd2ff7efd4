"""Lesion segments: one per vertebra and polarity, drawn from the candidates that are kept.

Each segment has its own small box on the CT's lattice and each candidate a list of places in that
box, so that a change of threshold rewrites only the boxes it concerns. A segment that somebody
edited by hand is theirs from then on and is not rewritten.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import slicer
import vtk
from vtk.util.numpy_support import vtk_to_numpy

from HideSeekLib.anatomy import terminology
from HideSeekLib.anatomy.geometry import SegmentVoxels, to_vtk
from HideSeekLib.anatomy.grid import Grid
from HideSeekLib.i18n import _
from HideSeekLib.wire.results import POLARITIES, VertebraReply


def segment_id(level: str, polarity: str) -> str:
    """Id of a lesion segment; stable, so that scripts and saved scenes can name it."""
    return f"HideSeek_{level}_{polarity}"


def segment_name(level: str, polarity: str) -> str:
    """Name of a lesion segment, as the user reads it ("T10 lytic")."""
    return f"{level} {_('lytic') if polarity == 'lytic' else _('blastic')}"


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


@dataclass
class _Box:
    """One segment's voxels: places maps a candidate key to flat indices in the image's view."""

    low: np.ndarray
    shape: np.ndarray
    places: dict[str, np.ndarray]
    image: Any
    view: np.ndarray
    written: frozenset[str] | None = None  # keys that the segment shows; None before the first time


class LesionSegments:
    """The lesion segments of one case in a segmentation node."""

    def __init__(self, node: Any, grid: Grid) -> None:
        self.node = node
        self._grid = grid
        self._boxes: dict[tuple[str, str], _Box] = {}
        self.edited: set[tuple[str, str]] = set()

    def put(self, reply: VertebraReply) -> None:
        """Take in a vertebra's candidates; its segments are made or replaced, empty at first."""
        self.forget(reply.level)
        for polarity in POLARITIES:
            keys = {c.key: c.number for c in reply.candidates if c.polarity == polarity}
            box = self._new_box({key: reply.voxels.get(n) for key, n in keys.items()})
            if box is None:
                continue
            self._boxes[reply.level, polarity] = box
            add_segment(
                self.node,
                segment_id(reply.level, polarity),
                segment_name(reply.level, polarity),
                terminology.POLARITY_COLORS[polarity],
                terminology.lesion_entry(reply.level, polarity),
                box.image,
            )

    def forget(self, level: str) -> None:
        """Remove a vertebra's segments, those edited by hand excepted (they get a free name)."""
        segmentation = self.node.GetSegmentation()
        for polarity in POLARITIES:
            identifier = segment_id(level, polarity)
            edited = (level, polarity) in self.edited or self._is_edited((level, polarity))
            self._boxes.pop((level, polarity), None)
            segment = segmentation.GetSegment(identifier)
            if segment is None:
                continue
            if edited:
                copy = slicer.vtkSegment()
                copy.DeepCopy(segment)
                copy.SetName(_("{name} (edited)").format(name=segment.GetName()))
                segmentation.AddSegment(copy, segmentation.GenerateUniqueSegmentID(identifier))
                self.edited.discard((level, polarity))
            segmentation.RemoveSegment(identifier)

    def adopt(self, replies: Iterable[VertebraReply], kept: Iterable[str]) -> None:
        """Take over the segments of a reloaded scene, which should show the kept candidates.

        A segment whose voxels are others was edited by hand; one that is gone was removed by hand.
        """
        kept = set(kept)
        segmentation = self.node.GetSegmentation()
        for reply in replies:
            for polarity in POLARITIES:
                where = (reply.level, polarity)
                keys = {c.key: c.number for c in reply.candidates if c.polarity == polarity}
                box = self._new_box({key: reply.voxels.get(n) for key, n in keys.items()})
                if box is None:
                    continue
                self._boxes[where] = box
                box.written = frozenset(kept & keys.keys())
                if where in self.edited:
                    continue
                self._paint(box, box.written)
                if self._is_edited(where):
                    self.edited.add(where)
                    continue
                # On disk all segments share one large layer; a box each is what makes us quick.
                segment = segmentation.GetSegment(segment_id(*where))
                segment.SetLabelValue(1)
                segment.AddRepresentation(labelmap_name(), box.image)
        segmentation.Modified()

    def apply(
        self, kept: set[str], only: Iterable[str] | None = None
    ) -> tuple[list[str], list[str]]:
        """Write the kept candidates into the segments.

        only: candidate keys that changed; None writes every segment.
        Returns the names of segments that were written, and of those left alone as edited by hand.
        """
        changed = None if only is None else set(only)
        written, left = [], []
        for where, box in self._boxes.items():
            if changed is not None and not changed & box.places.keys():
                continue
            wanted = frozenset(kept & box.places.keys())
            if wanted == box.written:
                continue
            if where in self.edited or self._is_edited(where):
                self.edited.add(where)
                left.append(segment_name(*where))
                continue
            self._paint(box, wanted)
            box.written = wanted
            # Both: views ask the array for its range, and an old range says "still empty".
            box.image.GetPointData().GetScalars().Modified()
            box.image.Modified()
            written.append(segment_name(*where))
        return written, left

    def restore(self, level: str, polarity: str, kept: set[str]) -> None:
        """Draw a segment from its candidates again, giving up what was edited by hand in it."""
        box = self._boxes.get((level, polarity))
        if box is None:
            return
        segmentation = self.node.GetSegmentation()
        identifier = segment_id(level, polarity)
        if segmentation.GetSegment(identifier) is not None:
            segmentation.RemoveSegment(identifier)
        box.image, box.view = new_image(self._grid, box.low, box.shape)
        box.written = frozenset(kept & box.places.keys())
        self._paint(box, box.written)
        self.edited.discard((level, polarity))
        add_segment(
            self.node,
            identifier,
            segment_name(level, polarity),
            terminology.POLARITY_COLORS[polarity],
            terminology.lesion_entry(level, polarity),
            box.image,
        )

    def _new_box(self, voxels: Mapping[str, np.ndarray | None]) -> _Box | None:
        """Box about all voxels, or None without any candidate. One voxel stands for none at all."""
        if not voxels:
            return None
        none = np.zeros((0, 3), np.int32)
        given = {key: none if index is None else index for key, index in voxels.items()}
        everything = np.concatenate([*given.values()])
        low = everything.min(0) if len(everything) else np.zeros(3, int)
        high = everything.max(0) + 1 if len(everything) else np.ones(3, int)
        shape = high - low
        image, view = new_image(self._grid, low, shape)
        places = {}
        for key, index in given.items():
            i, j, k = (index - low).T.astype(np.int64)
            places[key] = i + shape[0] * (j + shape[1] * k)
        return _Box(low, shape, places, image, view)

    @staticmethod
    def _paint(box: _Box, keys: Iterable[str]) -> None:
        box.view[:] = 0
        for key in keys:
            box.view[box.places[key]] = 1

    def _is_edited(self, where: tuple[str, str]) -> bool:
        """Tell whether a segment shows something else than what was last written into it."""
        box = self._boxes.get(where)
        if box is None or box.written is None:
            return False
        segmentation = self.node.GetSegmentation()
        segment = segmentation.GetSegment(segment_id(*where))
        if segment is None:
            return True
        expected = np.zeros(box.view.shape, bool)
        for key in box.written:
            expected[box.places[key]] = True
        if segment.GetRepresentation(
            labelmap_name()
        ) is box.image and box.image.GetNumberOfPoints() == len(box.view):
            # Ask the image for its scalars anew: the view may be that of an array it gave up.
            now = vtk_to_numpy(box.image.GetPointData().GetScalars())
            return not np.array_equal(now == segment.GetLabelValue(), expected)
        found = SegmentVoxels(self.node, segment_id(*where))
        part = found.box()
        if part is None:
            return bool(expected.any())
        low, high = part
        count = np.count_nonzero(
            found.array[tuple(slice(a, b) for a, b in zip(low, high, strict=True))] == found.value
        )
        affine = self._grid.affine.copy()
        affine[:3, 3] += affine[:3, :3] @ box.low
        on_box = found.on_grid(affine, tuple(int(n) for n in box.shape))
        flat = on_box.transpose(2, 1, 0).reshape(-1)
        return count != np.count_nonzero(expected) or not np.array_equal(flat, expected)
