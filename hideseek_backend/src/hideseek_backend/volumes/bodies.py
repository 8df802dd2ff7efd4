"""Split the vertebral body from arch and processes when only whole vertebrae are given.

The body is the thickest part of a vertebra, and its posterior wall is where the cross-section,
followed from front to back, falls from the body's to that of the two pedicles. Both hold at every
level below C2, so no shape model is needed. All work is done on a small isotropic grid in world
axes; the result is sampled back at the CT's voxels.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from hideseek_backend.errors import LabelError
from hideseek_backend.volumes.padding import BoolArray
from hideseek_backend.volumes.volume import FloatArray, apply_affine, inverse

GRID_MM = 1.25
_ROOM_MM = 5.0
_DECIMALS = 3
# A hair below one half: voxels halfway between two fall on the same side whatever the rounding.
_HALF = 0.5 - 1e-4
# Radius of the ball that the body holds and arch, pedicles and processes do not, as a part of the
# largest ball that the vertebra holds.
_CORE_PART = 0.62
_TILTS_DEGREES = np.arange(-50.0, 51.0, 5.0)
_TURNS_DEGREES = np.arange(-16.0, 17.0, 8.0)
_WALL_MM = 1.2  # blur of the cross-section along its way through the posterior wall
_BIN_MM = 0.25
# Between the pedicles the body ends in the canal, and its wall is plain to see.
_CANAL_HALF_MM = 9.0
_PROCESS_MM = 3.0  # processes thinner than twice this are taken off the sides of the body
_REACH_MM = 7.0  # corners and rims of the body lie within this of its core


@dataclass(frozen=True, eq=False)
class _Axes:
    """The body's own axes in world coordinates and the posterior wall along them."""

    centre: FloatArray
    posterior: FloatArray
    wall: float  # mm behind the centre


def split_body(vertebra: BoolArray, affine: FloatArray) -> BoolArray:
    """Return the vertebral body of one whole-vertebra mask (I, J, K), same grid.

    affine: (4, 4) voxel index -> RAS mm; any orientation, oblique or anisotropic. The arch must lie
    roughly behind the body in the patient (within 50 degrees); C1 has no body and comes back as its
    thickest part.

    Raises LabelError when the mask is empty.
    """
    mask, grid = _isotropic(vertebra, affine)
    core = _core(mask)
    axes = _posterior_wall(mask, core, grid)
    points = apply_affine(grid, np.argwhere(mask)) - axes.centre
    body = np.zeros_like(mask)
    body[mask] = points @ axes.posterior <= axes.wall
    body = _without_processes(body, core)
    return _sample_back(body, grid, vertebra, affine)


def _isotropic(vertebra: BoolArray, affine: FloatArray) -> tuple[BoolArray, FloatArray]:
    """Resample a mask to 1.25 mm world-aligned voxels around it; returns it and its affine."""
    index = np.argwhere(vertebra)
    if not len(index):
        raise LabelError(
            "Expected a vertebra to split the body from, got an empty mask.",
            "Check the segmentation of this level, or leave the level out.",
        )
    low_ijk, high_ijk = index.min(axis=0), index.max(axis=0) + 1
    window = tuple(slice(int(a), int(b)) for a, b in zip(low_ijk, high_ijk, strict=True))
    # A frame of zeros keeps the mask from growing beyond its box when sampled.
    small = np.pad(vertebra[window].astype(np.float32), 1)
    ends = np.array([low_ijk - 0.5, high_ijk - 0.5]).T
    corners = apply_affine(affine, np.array(np.meshgrid(*ends, indexing="ij")).reshape(3, -1).T)
    # Rounded, so that the same vertebra gives the same body whatever box it was cut from.
    low = np.round(corners.min(axis=0) - _ROOM_MM, _DECIMALS)
    high = np.round(corners.max(axis=0) + _ROOM_MM, _DECIMALS)
    shape = np.ceil((high - low) / GRID_MM).astype(int) + 1
    grid = np.diag([GRID_MM, GRID_MM, GRID_MM, 1.0])
    grid[:3, 3] = low
    to_mask = inverse(affine) @ grid
    to_mask[:3, 3] += 1 - low_ijk
    values = ndimage.affine_transform(
        small, to_mask[:3, :3], to_mask[:3, 3], output_shape=tuple(shape.tolist()), order=1,
        mode="grid-constant", prefilter=False,
    )  # fmt: skip
    mask = ndimage.binary_fill_holes(values >= _HALF)
    return np.asarray(mask), grid


def _core(mask: BoolArray) -> BoolArray:
    """The part of the mask that a large ball fits into: the body without its rims and corners."""
    depth = ndimage.distance_transform_edt(np.pad(mask, 1))[1:-1, 1:-1, 1:-1] * GRID_MM
    radius = _CORE_PART * float(depth.max())
    seeds = depth >= radius
    labels, count = ndimage.label(seeds)
    if count > 1:
        # The body's seeds are the most; a thick spinous process or lateral mass has few.
        sizes = np.bincount(labels.ravel())
        sizes[0] = 0
        seeds = labels == int(sizes.argmax())
    away = ndimage.distance_transform_edt(~seeds) * GRID_MM
    return np.asarray(mask & (away < radius))


def _posterior_wall(mask: BoolArray, core: BoolArray, grid: FloatArray) -> _Axes:
    """Find the plane behind the body across which the cross-section falls the most."""
    centre = apply_affine(grid, np.argwhere(core).mean(axis=0))
    near = ndimage.distance_transform_edt(~core) * GRID_MM < _REACH_MM + 3.0
    points = apply_affine(grid, np.argwhere(mask & near)) - centre
    arch = apply_affine(grid, np.argwhere(mask & ~near)) - centre
    # RAS: posterior is -y. The arch says how far the vertebra is turned about the vertical.
    yaw = 0.0
    if len(arch):
        behind = arch.mean(axis=0)
        if behind[1] < 0:
            yaw = float(np.clip(np.arctan2(behind[0], -behind[1]), -0.6, 0.6))
    best: tuple[float, FloatArray, float] | None = None
    for turn in yaw + np.radians(_TURNS_DEGREES):
        level = np.array([np.sin(turn), -np.cos(turn), 0.0])
        side = np.array([np.cos(turn), np.sin(turn), 0.0])
        middle = points[np.abs(points @ side) < _CANAL_HALF_MM]
        for tilt in np.radians(_TILTS_DEGREES):
            posterior = np.cos(tilt) * level + np.array([0.0, 0.0, np.sin(tilt)])
            drop, wall = _largest_drop(middle @ posterior)
            if best is None or drop > best[0]:
                best = (drop, posterior, wall)
    if best is None:
        raise RuntimeError("no plane was tried")
    return _Axes(centre, best[1], best[2])


def _largest_drop(depth: FloatArray) -> tuple[float, float]:
    """Steepest fall of the cross-section behind the centre: (voxels a mm², depth in mm)."""
    # Bins far finer than the voxels, then a blur wider than them: tilted planes of voxels would
    # otherwise beat against the bins.
    counts, edges = np.histogram(depth, bins=np.arange(-10.0, 40.0, _BIN_MM))
    slope = ndimage.gaussian_filter1d(
        counts.astype(float), _WALL_MM / _BIN_MM, order=1, mode="constant"
    )
    middle = (edges[:-1] + edges[1:]) / 2
    slope[middle < 0.0] = 0.0
    best = int(slope.argmin())
    return float(-slope[best]), float(middle[best])


def _without_processes(body: BoolArray, core: BoolArray) -> BoolArray:
    """Take thin processes off the sides and keep what is near the core."""
    inside = ndimage.distance_transform_edt(np.pad(body, 1))[1:-1, 1:-1, 1:-1] * GRID_MM
    thick = inside >= _PROCESS_MM
    opened = ndimage.distance_transform_edt(~thick) * GRID_MM < _PROCESS_MM + GRID_MM
    away = ndimage.distance_transform_edt(~core) * GRID_MM
    kept = body & opened & (away < _REACH_MM)
    labels, count = ndimage.label(kept)
    if count > 1:
        sizes = np.bincount(labels.ravel())
        sizes[0] = 0
        kept = labels == int(sizes.argmax())
    return np.asarray(kept)


def _sample_back(
    body: BoolArray, grid: FloatArray, vertebra: BoolArray, affine: FloatArray
) -> BoolArray:
    """Take the body's value at the centre of each voxel of the vertebra."""
    index = np.argwhere(vertebra)
    place = apply_affine(inverse(grid) @ affine, index)
    values: NDArray[np.float32] = ndimage.map_coordinates(
        body.astype(np.float32), place.T, order=1, mode="grid-constant", prefilter=False
    )
    out = np.zeros(vertebra.shape, dtype=bool)
    out[tuple(index.T)] = values >= _HALF
    return out
