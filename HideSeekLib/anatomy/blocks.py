"""Cut what travels to the backend: a box of CT voxels around one vertebra, with its masks.

The box is on the CT's own grid, so nothing is resampled here, and carries no identifiers.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from HideSeekLib.anatomy.geometry import SegmentVoxels, between, box_of, grid_of, need, voxels_of
from HideSeekLib.anatomy.grid import Grid
from HideSeekLib.anatomy.vertebrae import match_levels, segments_by_level
from HideSeekLib.errors import InputError
from HideSeekLib.i18n import _
from HideSeekLib.wire import arrays, levels

# The backend's crop: 64 voxels of 0.8 mm about the body's centroid.
CUBE_MM = 51.2
# The centroid is known only roughly here (the backend may split the body off itself), so the box
# keeps this much more on every side.
SLACK_MM = 10.0
# No part of a vertebra is farther than this from the centre of its body; strays are.
_REACH_MM = 95.0


@dataclass(frozen=True)
class Block:
    """One vertebra's box. Index (i, j, k); affine (4, 4) index -> RAS mm in the CT's own frame.

    ct: (I, J, K) HU. vertebra: (I, J, K) uint8, 1 inside. body: the same for the vertebral
    body, or None when the backend shall split it off. origin_ijk: the box's corner in the CT.
    edges: of each axis, whether the box's low and its high face is the CT's own.
    neighbours: (I, J, K) uint8, 1 in the vertebrae next to it, or None: whether the segmentation
    lies on bone is judged by them too.
    """

    level: str
    ct: np.ndarray
    affine: np.ndarray
    vertebra: np.ndarray
    body: np.ndarray | None
    origin_ijk: tuple[int, int, int]
    edges: tuple[tuple[bool, bool], ...]
    neighbours: np.ndarray | None = None

    def message(self) -> dict[str, Any]:
        """The block as the worker's protocol has it, its arrays not yet encoded."""
        return {
            "level": self.level,
            "ct": self.ct,
            "affine": self.affine.tolist(),
            "vertebra": self.vertebra,
            "body": self.body,
            "origin_ijk": list(self.origin_ijk),
            "edges": [list(pair) for pair in self.edges],
            "neighbours": self.neighbours,
        }

    def to_json(self) -> dict[str, Any]:
        """The block with its arrays encoded, ready for `json.dumps`."""
        return {
            key: arrays.encode(value) if isinstance(value, np.ndarray) else value
            for key, value in self.message().items()
        }


def check_inputs(
    ct_node: Any, segmentation_node: Any = None, overrides: Mapping[str, str] | None = None
) -> tuple[bool, str]:
    """Tell whether the chosen nodes can be analysed: (ok, a sentence saying why not).

    overrides: segment id -> level, as the user set it. Looks at what is quick to see; the backend
    judges the voxels (Hounsfield scale, padding).
    """
    if ct_node is None or ct_node.GetScene() is None:
        return False, _("Choose a CT volume.")
    name = ct_node.GetName()
    image = ct_node.GetImageData()
    if image is None or image.GetNumberOfPoints() == 0:
        return False, _("'{name}' has no voxels. Choose a CT volume.").format(name=name)
    if ct_node.IsA("vtkMRMLLabelMapVolumeNode"):
        return False, _("'{name}' is a label map. Choose a CT volume.").format(name=name)
    if image.GetNumberOfScalarComponents() != 1:
        return False, _("'{name}' is a colour image, not a CT.").format(name=name)
    if min(image.GetDimensions()) < 2:
        return False, _("'{name}' is a single image, not a volume.").format(name=name)
    low, high = image.GetScalarRange()
    if high - low < 200:
        return False, _(
            "'{name}' spans {low:g} to {high:g}, which are not Hounsfield units. Load the CT "
            "without normalisation."
        ).format(name=name, low=low, high=high)
    if segmentation_node is None:
        return True, ""
    if segmentation_node.GetScene() is None:
        return False, _("The vertebra segmentation was deleted. Choose another.")
    if not segments_by_level(match_levels(segmentation_node, overrides)):
        return False, _(
            "No segment of '{name}' names a vertebra. Set the levels in the table, or choose "
            "another segmentation."
        ).format(name=segmentation_node.GetName())
    return True, ""


def iter_blocks(
    ct_node: Any,
    vertebra_node: Any,
    levels_wanted: Sequence[str] | None = None,
    *,
    body_node: Any = None,
    overrides: Mapping[str, str] | None = None,
) -> Iterator[Block]:
    """Cut one block after the other, from head to foot; each `next()` does one vertebra.

    levels_wanted: level names, or None for all that are matched.
    Raises InputError for a level that no segment has, NodeGone when a node is deleted meanwhile.
    """
    by_level = segments_by_level(match_levels(vertebra_node, overrides))
    run = list(by_level)
    wanted = list(by_level) if levels_wanted is None else sorted(levels_wanted, key=levels.order)
    for level in wanted:
        if level not in by_level:
            raise InputError(
                _("No segment is matched to {level}. Set its level in the table.").format(
                    level=level
                )
            )
        place = run.index(level)
        beside = [by_level[other] for other in run[max(0, place - 1) : place + 2] if other != level]
        yield cut_block(
            ct_node, vertebra_node, by_level[level], level, body_node=body_node, beside=beside
        )


def cut_block(
    ct_node: Any,
    vertebra_node: Any,
    segment_id: str,
    level: str,
    *,
    body_node: Any = None,
    beside: Sequence[str] = (),
) -> Block:
    """Cut the block of one segment: the vertebra and the whole 51.2 mm crop cube about its body.

    body_node: a segmentation of bodies, by level or all in one segment; or None. beside: segments
    of the vertebrae next to it.
    Raises InputError when the segment has no voxel on the CT or the body segmentation has none for
    it; NodeGone when a node was deleted.
    """
    need(ct_node, _("The CT"))
    need(vertebra_node, _("The vertebra segmentation"))
    grid = grid_of(ct_node)
    to_segment = between(ct_node, vertebra_node)
    voxels = SegmentVoxels(vertebra_node, segment_id)
    low, high = _box_on_grid(voxels, to_segment, grid, level)
    affine = shifted(grid.affine, low)
    vertebra = voxels.on_grid(to_segment @ affine, tuple(high - low))
    tight = box_of(vertebra)
    if tight is None:
        raise _off_the_ct(level)
    body = None
    if body_node is not None:
        body = _body(ct_node, body_node, level, affine, vertebra)
    center = _centroid(body) if body is not None else _bulk_centre(vertebra, affine)
    center_ras = affine[:3, :3] @ center + affine[:3, 3]
    cube_low, cube_high = cube_about(grid, center_ras, CUBE_MM / 2 + SLACK_MM)
    vertebra_low, vertebra_high = low + tight[0], low + tight[1]
    near_low, near_high = cube_about(grid, center_ras, _REACH_MM)
    box_low = np.minimum(cube_low, np.maximum(vertebra_low, near_low))
    box_high = np.maximum(cube_high, np.minimum(vertebra_high, near_high))
    affine = shifted(grid.affine, box_low)
    vertebra = _pad_to(vertebra, low, box_low, box_high)
    if body is not None:
        body = _pad_to(body, low, box_low, box_high)
    neighbours = None
    if beside:
        neighbours = np.zeros(vertebra.shape, np.uint8)
        for other in beside:
            neighbours |= SegmentVoxels(vertebra_node, other).on_grid(
                to_segment @ affine, vertebra.shape
            )
    where = tuple(slice(a, b) for a, b in zip(box_low, box_high, strict=True))
    return Block(
        level,
        hounsfield(voxels_of(ct_node)[where]),
        affine,
        vertebra.astype(np.uint8),
        None if body is None else body.astype(np.uint8),
        (int(box_low[0]), int(box_low[1]), int(box_low[2])),
        tuple(
            (bool(low == 0), bool(high == size))
            for low, high, size in zip(box_low, box_high, grid.shape, strict=True)
        ),
        neighbours,
    )


def block_from_body(ct_node: Any, body_node: Any, segment_id: str, level: str) -> Block:
    """Cut the block of a vertebra of which only the body is known (a pick without segmentation).

    The body stands for the vertebra too. Raises as `cut_block` does.
    """
    block = cut_block(ct_node, body_node, segment_id, level)
    return Block(
        level,
        block.ct,
        block.affine,
        block.vertebra,
        block.vertebra.copy(),
        block.origin_ijk,
        block.edges,
    )


def _off_the_ct(level: str) -> InputError:
    return InputError(
        _(
            "The segment of {level} has no voxel on the CT. The segmentation may belong to another "
            "scan, or be under another transform."
        ).format(level=level)
    )


def shifted(affine: np.ndarray, index: np.ndarray) -> np.ndarray:
    """The affine (4, 4) of a box whose corner has this index (3,)."""
    moved = affine.copy()
    moved[:3, 3] += affine[:3, :3] @ index
    return moved


def _box_on_grid(
    voxels: SegmentVoxels, to_segment: np.ndarray, grid: Grid, level: str
) -> tuple[np.ndarray, np.ndarray]:
    """Corners [low, high) on the CT's grid of the box that holds the segment, clipped to the CT."""
    box = voxels.box()
    if box is None:
        raise InputError(
            _("The segment of {level} is empty. Segment it, or leave the level out.").format(
                level=level
            )
        )
    low, high = box
    corners = np.array([[(low, high)[b][a] - 0.5 for a, b in enumerate(bits)] for bits in _BITS])
    to_ct = np.linalg.inv(grid.affine) @ np.linalg.inv(to_segment) @ voxels.affine
    index = corners @ to_ct[:3, :3].T + to_ct[:3, 3]
    ct_low = np.maximum(np.floor(index.min(0)).astype(int), 0)
    ct_high = np.minimum(np.ceil(index.max(0)).astype(int) + 1, grid.shape)
    if np.any(ct_high <= ct_low):
        raise _off_the_ct(level)
    return ct_low, ct_high


_BITS = np.array([[a, b, c] for a in (0, 1) for b in (0, 1) for c in (0, 1)])


def cube_about(grid: Grid, center_ras: np.ndarray, half: float) -> tuple[np.ndarray, np.ndarray]:
    """Corners [low, high) on the grid of a cube about a point, `half` a side in mm, clipped."""
    index = grid.ijk(center_ras + (2 * _BITS - 1) * half)
    low = np.clip(np.floor(index.min(0)).astype(int), 0, np.array(grid.shape) - 1)
    high = np.minimum(np.ceil(index.max(0)).astype(int) + 1, grid.shape)
    return low, np.maximum(high, low + 1)


def _pad_to(
    mask: np.ndarray, low: np.ndarray, box_low: np.ndarray, box_high: np.ndarray
) -> np.ndarray:
    """Put a mask whose corner is at `low` into the box [box_low, box_high); the rest is cut off."""
    out = np.zeros(box_high - box_low, bool)
    start = np.maximum(low, box_low)
    stop = np.minimum(low + mask.shape, box_high)
    out[tuple(slice(a, b) for a, b in zip(start - box_low, stop - box_low, strict=True))] = mask[
        tuple(slice(a, b) for a, b in zip(start - low, stop - low, strict=True))
    ]
    return out


def _centroid(mask: np.ndarray) -> np.ndarray:
    return np.array([axis.mean() for axis in np.nonzero(mask)])


def _bulk_centre(mask: np.ndarray, affine: np.ndarray) -> np.ndarray:
    """Index (3,) of the thickest part of a vertebra: its body, not its processes.

    The mean of the mask would lie in the spinal canal. A cube of about 24 mm holds more bone about
    the body's centre than anywhere else; the count in every cube comes from one running sum.
    """
    spacing = np.linalg.norm(affine[:3, :3], axis=0)
    step = np.maximum(1, np.rint(2.0 / spacing).astype(int))
    coarse = mask[:: step[0], :: step[1], :: step[2]].astype(np.int32)
    width = np.maximum(1, np.rint(24.0 / (spacing * step)).astype(int))
    for axis in range(3):
        half = int(width[axis]) // 2 + 1
        pad = [(0, 0)] * 3
        pad[axis] = (half, half)
        total = np.cumsum(np.pad(coarse, pad), axis=axis)
        n, span = total.shape[axis], 2 * half - 1
        coarse = np.take(total, range(span, n), axis) - np.take(total, range(n - span), axis)
    best = np.argwhere(coarse == coarse.max()).mean(0)
    return np.minimum(best * step, np.array(mask.shape) - 1)


def _body(
    ct_node: Any, body_node: Any, level: str, affine: np.ndarray, vertebra: np.ndarray
) -> np.ndarray:
    """Body mask on the box: the body segment of this level, else all bodies within the vertebra."""
    need(body_node, _("The body segmentation"))
    to_segment = between(ct_node, body_node)
    matches = match_levels(body_node)
    same_level = [m.segment_id for m in matches if m.level == level]
    chosen = same_level or [m.segment_id for m in matches if m.level is None and m.is_body]
    if not chosen:
        raise InputError(
            _(
                "'{name}' has no body for {level}. Name its segments by level, or one segment "
                "'vertebrae_body', or choose no body segmentation."
            ).format(name=body_node.GetName(), level=level)
        )
    body = np.zeros(vertebra.shape, bool)
    for segment_id in chosen:
        body |= SegmentVoxels(body_node, segment_id).on_grid(to_segment @ affine, vertebra.shape)
    if not same_level:
        body &= vertebra
    if not body.any():
        raise InputError(
            _("The body segmentation '{name}' has no voxel within {level}.").format(
                name=body_node.GetName(), level=level
            )
        )
    return body


def hounsfield(voxels: np.ndarray) -> np.ndarray:
    """HU to send: int16 where that holds every value exactly, else float32, NaN included.

    Nothing is rounded or clipped here, so that the backend judges the CT as it is.
    """
    if voxels.dtype == np.int16:
        return np.ascontiguousarray(voxels)
    limits = np.iinfo(np.int16)
    whole = np.rint(voxels)
    if np.array_equal(whole, voxels) and whole.min() >= limits.min and whole.max() <= limits.max:
        return whole.astype(np.int16)
    return voxels.astype(np.float32)
