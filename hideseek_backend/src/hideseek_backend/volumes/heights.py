"""Anterior, middle and posterior height of a vertebral body, measured in the body's own frame.

Columns along the body's axis are filled from a fine resampling of its mask; the axis is the mean of
the normals of both endplates, so that a wedged body is measured along its bisector whatever the
scan's or the patient's tilt. Heights are means over patches of columns near the middle of the body,
as the six points of quantitative morphometry are placed (Genant et al., J Bone Miner Res 1993;8:
1137), which a mask's rounded rim, an osteophyte or a Schmorl node moves little.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import ndimage

from hideseek_backend.errors import LabelError
from hideseek_backend.volumes.masks import sample_mask
from hideseek_backend.volumes.padding import BoolArray
from hideseek_backend.volumes.volume import FloatArray, apply_affine, inverse
from hideseek_backend.wire.levels import order

_STEP_MM = 0.75
_ROUNDS = 3
# A column counts as part of the body where it is at least this share of the median column: what is
# less is an osteophyte or a rim.
_LEAST_COLUMN = 0.5
PATCHES = {"anterior": (0.72, 0.92), "middle": (0.40, 0.60), "posterior": (0.08, 0.28)}
"""Patches of columns, as shares of the way from the posterior wall (0) to the anterior one (1)."""
SIDEWAYS = 0.4
"""Share of the half width that the patches reach to either side of the middle."""
# Endplates are fitted to columns that lie this far inside the footprint.
_INSIDE_MM = 2.5
# Points further from an endplate's plane than this many robust standard deviations (and 1 mm).
_TRIM = 2.5
_MIN_BODY_VOXELS = 8


@dataclass(frozen=True, eq=False)
class Heights:
    """anterior, middle, posterior: mm along `superior`, the unit vector (3,) RAS of the body's
        axis.

    anterior_direction: (3,) RAS unit vector, perpendicular to it. depth_mm: from wall to wall.
    """

    anterior: float
    middle: float
    posterior: float
    superior: FloatArray
    anterior_direction: FloatArray
    depth_mm: float

    @property
    def mm(self) -> tuple[float, float, float]:
        """Anterior, middle and posterior height."""
        return self.anterior, self.middle, self.posterior


def measure_heights(
    body: BoolArray,
    affine: FloatArray,
    *,
    vertebra: BoolArray | None = None,
    superior: ArrayLike | None = None,
) -> Heights:
    """Measure the heights of one body: (I, J, K) bool; affine (4, 4) voxel index -> RAS mm.

    vertebra: mask of the whole vertebra, same shape: the arch says which way is back; without an
    arch the patient's own front is taken. superior: (3,) RAS where the spine goes upward here, to
    start from; the patient's own up by default. Crumbs apart from the largest part are left out.

    Raises LabelError when the mask is empty or too small to have endplates.
    """
    box = _box(body)
    moved = _moved(affine, box)
    mask = _largest_part(body[box])
    centre = apply_affine(moved, np.argwhere(mask).mean(axis=0))
    front = _front(body, vertebra, affine, centre)
    hull = apply_affine(moved, _ends(mask))
    up = _unit(np.array([0.0, 0.0, 1.0]) if superior is None else np.asarray(superior, float))
    if abs(up @ front) > 0.95:
        raise LabelError(
            "Expected a body with its arch behind it, got one above or below its arch.",
            "Check the segmentation of this level.",
        )
    for _ in range(_ROUNDS):
        up = _endplate_axis(_columns(mask, moved, hull, centre, up, front))
    columns = _columns(mask, moved, hull, centre, up, front)
    heights, depth = _patches(columns)
    return Heights(*heights, columns.frame[2], columns.frame[1], depth)


def measure_spine(
    bodies: NDArray[np.uint8],
    affine: FloatArray,
    levels: Mapping[str, int],
    *,
    vertebrae: NDArray[np.uint8] | None = None,
) -> dict[str, Heights]:
    """Measure every body of a spine, each starting from the course of the spine at its place.

    bodies, vertebrae: (I, J, K) label maps; levels: name -> value. Levels without a body, or with
    one too small to measure, are left out.
    """
    boxes = ndimage.find_objects(bodies)
    found: dict[str, tuple[BoolArray, FloatArray, BoolArray | None]] = {}
    for level in sorted(levels, key=order):
        value = levels[level]
        box = boxes[value - 1] if 0 < value <= len(boxes) else None
        if box is None:
            continue
        # Room behind the body for its arch.
        room = np.ceil(30.0 / np.linalg.norm(affine[:3, :3], axis=0)).astype(int)
        wide = tuple(slice(max(0, s.start - r), s.stop + r) for s, r in zip(box, room, strict=True))
        moved = affine.copy()
        moved[:3, 3] = apply_affine(affine, [s.start for s in wide])
        own = None if vertebrae is None else vertebrae[wide] == value
        found[level] = (bodies[wide] == value, moved, own)
    centres = {
        level: apply_affine(moved, np.argwhere(body).mean(axis=0))
        for level, (body, moved, _) in found.items()
    }
    names = list(found)
    measured = {}
    for index, level in enumerate(names):
        above, below = names[max(index - 1, 0)], names[min(index + 1, len(names) - 1)]
        course = centres[above] - centres[below] if above != below else None
        body, moved, own = found[level]
        try:
            measured[level] = measure_heights(body, moved, vertebra=own, superior=course)
        except LabelError:
            continue
    return measured


@dataclass(frozen=True, eq=False)
class _Columns:
    """Columns of a body on a grid across its axis.

    frame: (3, 3) rows right, anterior, superior in RAS. x, y: mm of the grid's rows and columns,
    from the body's centre. height, top, bottom: (X, Y) mm; 0 and NaN where there is no bone.
    inside: (X, Y) bool, the body's footprint.
    """

    frame: FloatArray
    x: FloatArray
    y: FloatArray
    height: FloatArray
    top: FloatArray
    bottom: FloatArray
    inside: BoolArray


def _largest_part(body: BoolArray) -> BoolArray:
    labels, count = ndimage.label(body, np.ones((3, 3, 3)))
    sizes = np.bincount(labels.ravel(), minlength=count + 1)[1:]
    if not sizes.size or sizes.max() < _MIN_BODY_VOXELS:
        raise LabelError(
            "Expected a body to measure, got an empty or very small mask.",
            "Check the segmentation of this level, or leave the level out.",
        )
    return np.asarray(labels == 1 + int(sizes.argmax()))


def _box(mask: BoolArray) -> tuple[slice, ...]:
    """The box that holds a mask; empty where it is."""
    found = []
    for axis in range(3):
        hits = np.flatnonzero(mask.any(axis=tuple({0, 1, 2} - {axis})))
        found.append(slice(int(hits[0]), int(hits[-1]) + 1) if hits.size else slice(0, 0))
    return tuple(found)


def _moved(affine: FloatArray, box: tuple[slice, ...]) -> FloatArray:
    moved = affine.copy()
    moved[:3, 3] = apply_affine(affine, [s.start for s in box])
    return moved


def _front(
    body: BoolArray, vertebra: BoolArray | None, affine: FloatArray, centre: FloatArray
) -> FloatArray:
    """Which way is anterior: away from the arch, or the patient's own front."""
    if vertebra is not None:
        arch = vertebra & ~body
        if np.count_nonzero(arch) >= 0.1 * np.count_nonzero(body):
            behind = apply_affine(affine, np.argwhere(arch).mean(axis=0)) - centre
            return _unit(-behind)
    return np.array([0.0, 1.0, 0.0])


def _ends(mask: BoolArray) -> NDArray[np.int_]:
    """Index (N, 3) of the first and last voxel of lines along axis 2: all outermost ones."""
    lines = np.argwhere(mask.any(axis=2))
    along = mask[lines[:, 0], lines[:, 1]]
    last = mask.shape[2] - 1 - along[:, ::-1].argmax(axis=1)
    return np.concatenate([np.column_stack([lines, k]) for k in (along.argmax(axis=1), last)])


def _columns(
    mask: BoolArray,
    affine: FloatArray,
    hull: FloatArray,
    centre: FloatArray,
    up: FloatArray,
    front: FloatArray,
) -> _Columns:
    """Fill columns along `up` from the mask, linearly interpolated and cut at one half.

    hull: (N, 3) RAS of voxels, the outermost among them.
    """
    anterior = _unit(front - (front @ up) * up)
    frame = np.stack([np.cross(anterior, up), anterior, up])
    points = (hull - centre) @ frame.T
    half_voxel = np.abs(frame @ affine[:3, :3]).sum(axis=1) / 2
    low, high = points.min(axis=0) - half_voxel, points.max(axis=0) + half_voxel
    counts = np.ceil((high - low) / _STEP_MM).astype(int) + 2
    axes = [lo + _STEP_MM * (np.arange(n) - 0.5) for lo, n in zip(low, counts, strict=True)]
    # index = A⁻¹ (centre + frameᵀ q), q = origin + step · n
    to_index = np.eye(4)
    to_index[:3, :3] = inverse(affine)[:3, :3] @ frame.T * _STEP_MM
    start = centre + np.array([a[0] for a in axes]) @ frame
    to_index[:3, 3] = apply_affine(inverse(affine), start)
    solid = sample_mask(mask, to_index, [np.arange(n) for n in counts], beyond="empty")
    filled = solid.any(axis=2)
    first = solid.argmax(axis=2)
    last = solid.shape[2] - 1 - solid[:, :, ::-1].argmax(axis=2)
    bottom = np.where(filled, axes[2][first] - _STEP_MM / 2, np.nan)
    top = np.where(filled, axes[2][last] + _STEP_MM / 2, np.nan)
    # What is empty between the endplates (a hole of the mask) is bone of the body all the same.
    height = np.where(filled, top - bottom, 0.0)
    inside = height >= _LEAST_COLUMN * np.median(height[filled])
    labels, count = ndimage.label(inside)
    if count > 1:
        inside = labels == 1 + int(np.bincount(labels.ravel())[1:].argmax())
    return _Columns(frame, axes[0], axes[1], height, top, bottom, np.asarray(inside))


def _endplate_axis(columns: _Columns) -> FloatArray:
    """The mean of the normals of planes through both endplates, as a RAS unit vector."""
    depth = ndimage.distance_transform_edt(np.pad(columns.inside, 1))[1:-1, 1:-1] * _STEP_MM
    core = depth > min(_INSIDE_MM, 0.5 * float(depth.max()))
    x, y = np.meshgrid(columns.x, columns.y, indexing="ij")
    normals = []
    for surface in (columns.top, columns.bottom):
        slope = _plane(x[core], y[core], surface[core])
        normals.append(_unit(np.array([-slope[0], -slope[1], 1.0])))
    return _unit(_unit(normals[0] + normals[1]) @ columns.frame)


def _plane(x: FloatArray, y: FloatArray, z: FloatArray) -> FloatArray:
    """Slopes (2,) of the plane through points, without those far from it."""
    design = np.stack([x, y, np.ones_like(x)], axis=1)
    used = np.ones(len(z), dtype=bool)
    fit = np.zeros(3)
    for _ in range(5):
        fit = np.linalg.lstsq(design[used], z[used], rcond=None)[0]
        away = np.abs(z - design @ fit)
        near = away <= max(1.0, _TRIM * 1.4826 * float(np.median(away)))
        if (near == used).all():
            break
        used = near
    return np.asarray(fit[:2])


def _patches(columns: _Columns) -> tuple[tuple[float, float, float], float]:
    """Mean height of the anterior, middle and posterior patch, and the depth of the body, mm."""
    across = columns.inside.any(axis=1)
    middle = columns.x[across].mean()
    half = 0.5 * np.ptp(columns.x[across]) + _STEP_MM / 2
    near = np.abs(columns.x - middle) <= SIDEWAYS * half
    inside = columns.inside[near]
    # The wall: where half of the columns across the middle are in.
    along = columns.y[inside.mean(axis=0) >= 0.5]
    if not along.size:
        raise LabelError(
            "Expected a body with a middle, got a mask with a gap there.",
            "Check the segmentation of this level.",
        )
    back, depth = along.min() - _STEP_MM / 2, float(np.ptp(along)) + _STEP_MM
    share = (columns.y - back) / depth
    found = []
    for low, high in PATCHES.values():
        patch = np.zeros_like(inside)
        patch[:, (share >= low) & (share <= high)] = True
        values = columns.height[near][patch & inside]
        found.append(float(values.mean()) if values.size else float("nan"))
    return (found[0], found[1], found[2]), depth


def _unit(vector: FloatArray) -> FloatArray:
    return np.asarray(vector / np.linalg.norm(vector), dtype=np.float64)
