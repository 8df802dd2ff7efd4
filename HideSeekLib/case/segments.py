"""Lesion segments: one per vertebra and polarity, drawn from the candidates that are kept.

Each segment has its own small box on the CT's lattice and each candidate a list of places in that
box, so that a change of threshold rewrites only the boxes it concerns. A segment that somebody
edited by hand is theirs from then on and is not rewritten.

No image is remembered: saving a segmentation, exporting it and the Segment Editor give segments
other images, shared ones with other label values among them, and the old ones are seen by nobody.
Before anything is drawn each segment is asked for its image, and gets its own small one back.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import slicer
import vtk
from vtk.util.numpy_support import vtk_to_numpy

from HideSeekLib.anatomy.geometry import SegmentVoxels, to_numpy
from HideSeekLib.anatomy.grid import Grid
from HideSeekLib.anatomy.labelmaps import add_segment, labelmap_name, new_image
from HideSeekLib.case.reply import VertebraReply
from HideSeekLib.i18n import _
from HideSeekLib.wire import codes
from HideSeekLib.wire.codes import POLARITIES


def segment_id(level: str, polarity: str) -> str:
    """Id of a lesion segment; stable, so that scripts and saved scenes can name it."""
    return f"HideSeek_{level}_{polarity}"


def segment_name(level: str, polarity: str) -> str:
    """Name of a lesion segment, as the user reads it ("T10 lytic")."""
    return f"{level} {_('lytic') if polarity == 'lytic' else _('blastic')}"


@dataclass
class _Box:
    """One segment's voxels: places maps a candidate key to flat indices in the image's view."""

    low: np.ndarray
    shape: np.ndarray
    places: dict[str, np.ndarray]
    written: frozenset[str] = frozenset()  # keys that the segment shows

    def image(self, grid: Grid) -> Any:
        """Labelmap of the box that shows what is written."""
        image, view = new_image(grid, self.low, self.shape)
        self.paint(view, 1)
        return image

    def paint(self, view: np.ndarray, value: int) -> None:
        """Draw what is written into the flat view of an image of the box."""
        view[:] = 0
        for key in self.written:
            view[self.places[key]] = value

    def expected(self) -> np.ndarray:
        """What is written as a flat mask."""
        mask = np.zeros(int(np.prod(self.shape)), bool)
        for key in self.written:
            mask[self.places[key]] = True
        return mask


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
            self._add(reply.level, polarity)

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

    def extend(self, reply: VertebraReply, polarity: str) -> None:
        """Take in that a vertebra has more candidates of a polarity; what is shown stays."""
        where = (reply.level, polarity)
        before = self._boxes.get(where)
        keys = {c.key: c.number for c in reply.candidates if c.polarity == polarity}
        box = self._new_box({key: reply.voxels.get(n) for key, n in keys.items()})
        if box is None:
            return
        if before is not None:
            box.written = before.written
            if where in self.edited or self._is_edited(where):
                self.edited.add(where)
                self._boxes[where] = box
                return
            self.node.GetSegmentation().RemoveSegment(segment_id(*where))
        self._boxes[where] = box
        self._add(*where)

    def adopt(self, replies: Iterable[VertebraReply], kept: Iterable[str]) -> None:
        """Take over the segments of a reloaded scene, which should show the kept candidates.

        A segment whose voxels are others was edited by hand; one that is gone was removed by hand.
        """
        kept = set(kept)
        for reply in replies:
            for polarity in POLARITIES:
                where = (reply.level, polarity)
                keys = {c.key: c.number for c in reply.candidates if c.polarity == polarity}
                box = self._new_box({key: reply.voxels.get(n) for key, n in keys.items()})
                if box is None:
                    continue
                self._boxes[where] = box
                box.written = frozenset(kept & keys.keys())
        self._reclaim()

    def apply(
        self, kept: set[str], only: Iterable[str] | None = None
    ) -> tuple[list[str], list[str]]:
        """Write the kept candidates into the segments.

        only: candidate keys that changed; None writes every segment.
        Returns the names of segments that were written, and of those left alone as edited by hand.
        """
        self._reclaim()
        changed = None if only is None else set(only)
        segmentation = self.node.GetSegmentation()
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
            segment = segmentation.GetSegment(segment_id(*where))
            image = segment.GetRepresentation(labelmap_name())
            scalars = image.GetPointData().GetScalars()
            box.written = wanted
            box.paint(vtk_to_numpy(scalars), int(segment.GetLabelValue()))
            # Both: views ask the array for its range, and an old range says "still empty".
            scalars.Modified()
            image.Modified()
            written.append(segment_name(*where))
        return written, left

    def edited_now(self, level: str) -> frozenset[str]:
        """Polarities of a level whose segment shows something else than what is kept."""
        own = [where for where in self._boxes if where[0] == level]
        return frozenset(w[1] for w in own if w in self.edited or self._is_edited(w))

    def restore(self, level: str, polarity: str, kept: set[str]) -> None:
        """Draw a segment from its candidates again, giving up what was edited by hand in it."""
        box = self._boxes.get((level, polarity))
        if box is None:
            return
        segmentation = self.node.GetSegmentation()
        identifier = segment_id(level, polarity)
        if segmentation.GetSegment(identifier) is not None:
            segmentation.RemoveSegment(identifier)
        box.written = frozenset(kept & box.places.keys())
        self.edited.discard((level, polarity))
        self._add(level, polarity)

    def _add(self, level: str, polarity: str) -> None:
        add_segment(
            self.node,
            segment_id(level, polarity),
            segment_name(level, polarity),
            codes.COLORS[polarity],
            codes.lesion_entry(level, polarity),
            self._boxes[level, polarity].image(self._grid),
        )

    def _reclaim(self) -> None:
        """Give every segment that nobody edited its own image back, where it has another.

        A segment whose voxels are others was edited by hand; one that is gone was removed by hand.
        """
        segmentation = self.node.GetSegmentation()
        images = {
            identifier: segmentation.GetSegment(identifier).GetRepresentation(labelmap_name())
            for identifier in segmentation.GetSegmentIDs()
        }
        users = Counter(id(image) for image in images.values())
        given = False
        for where, box in self._boxes.items():
            if where in self.edited:
                continue
            image = images.get(segment_id(*where))
            if image is not None and users[id(image)] == 1 and self._fits(box, image):
                continue
            if self._is_edited(where):
                self.edited.add(where)
                continue
            segment = segmentation.GetSegment(segment_id(*where))
            segment.SetLabelValue(1)
            segment.AddRepresentation(labelmap_name(), box.image(self._grid))
            given = True
        if given:
            segmentation.Modified()

    def _fits(self, box: _Box, image: Any) -> bool:
        """Tell whether an image is on exactly a box, so that it can be drawn into."""
        extent = np.array(image.GetExtent())
        if (extent[::2] != box.low).any() or (extent[1::2] != box.low + box.shape - 1).any():
            return False
        matrix = vtk.vtkMatrix4x4()
        image.GetImageToWorldMatrix(matrix)
        return bool(np.allclose(to_numpy(matrix), self._grid.affine, atol=1e-6))

    def _new_box(self, voxels: Mapping[str, np.ndarray | None]) -> _Box | None:
        """Box about all voxels, or None without any candidate. One voxel stands for none at all."""
        if not voxels:
            return None
        none = np.zeros((0, 3), np.int32)
        given = {key: none if index is None else index for key, index in voxels.items()}
        everything = np.concatenate([*given.values()])
        low = everything.min(0) if len(everything) else np.zeros(3, int)
        high = everything.max(0) + 1 if len(everything) else np.ones(3, int)
        # No flat boxes: Slicer makes no surface of a labelmap that is one voxel thick and empty.
        flat = high - low < 2
        high = np.minimum(high + flat, self._grid.shape)
        low = np.where(high - low < 2, np.maximum(low - 1, 0), low)
        shape = high - low
        places = {}
        for key, index in given.items():
            i, j, k = (index - low).T.astype(np.int64)
            places[key] = i + shape[0] * (j + shape[1] * k)
        return _Box(low, shape, places)

    def _is_edited(self, where: tuple[str, str]) -> bool:
        """Tell whether a segment shows something else than what was last written into it."""
        box = self._boxes.get(where)
        if box is None:
            return False
        segment = self.node.GetSegmentation().GetSegment(segment_id(*where))
        if segment is None:
            return True
        expected = box.expected()
        image = segment.GetRepresentation(labelmap_name())
        if image is not None and self._fits(box, image):
            now = vtk_to_numpy(image.GetPointData().GetScalars())
            return not np.array_equal(now == segment.GetLabelValue(), expected)
        found = SegmentVoxels(self.node, segment_id(*where))
        if found.empty:
            return bool(expected.any())
        count = np.count_nonzero(found.array == found.value)  # a speck far away counts
        affine = self._grid.affine.copy()
        affine[:3, 3] += affine[:3, :3] @ box.low
        on_box = found.on_grid(affine, tuple(int(n) for n in box.shape))
        flat = on_box.transpose(2, 1, 0).reshape(-1)
        return count != np.count_nonzero(expected) or not np.array_equal(flat, expected)
