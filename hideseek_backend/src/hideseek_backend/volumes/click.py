"""Make an approximate vertebral body from one click, for a CT without a segmentation.

A body-shaped solid (a flat-backed rounded column) is fitted to the CT: its place, tilt and size
are moved until its surface lies on edges from bone to what is around, while size and place are
held near what is usual for the level. A fitted solid, unlike a region that grows, neither leaks
through a destroyed cortex nor stops at the rim of a dense or lytic metastasis.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import ndimage, optimize

from hideseek_backend.errors import InputError, LabelError
from hideseek_backend.volumes.padding import SOFT_TISSUE_HU, BoolArray, find_padding
from hideseek_backend.volumes.volume import FloatArray, Volume, apply_affine, inverse
from hideseek_backend.wire.levels import LABEL_SCHEMES, LEVELS, VERSE_VALUES

_GRID_MM = 1.25
_WINDOW_MM = 45.0
_HU_RANGE = (-100.0, 400.0)
_BLUR_MM = 0.8
# Half depth (front to back), half height and half width in mm of usual adult bodies.
_HALF_SIZES_MM = {
    "C3": (7.5, 6.5, 9.0), "C7": (8.0, 7.0, 13.0), "T1": (8.5, 8.0, 13.5), "T6": (12.5, 10.0, 13.0),
    "T12": (15.0, 12.5, 19.0), "L1": (16.0, 13.5, 21.0), "L3": (17.0, 14.0, 23.0),
    "L5": (17.5, 13.5, 25.5), "L6": (17.5, 13.5, 25.5),
}  # fmt: skip
_SIZE_SPREAD = 0.14  # of the logarithm
_PLACE_SPREAD_MM = 8.0
_TILT_SPREAD = 0.35
_PRIOR_WEIGHT = 12.0  # HU of contrast that one spread is worth
_POWER = 2.6  # of the outline seen from above; 2 is an ellipse
_BACK = 0.80  # the flat posterior wall, as a part of the half depth
_INSIDE_MM, _OUTSIDE_MM = -1.5, 2.5
_BONE_REACH_MM = 18.0


@dataclass(frozen=True, eq=False)
class _Surface:
    """Points (N, 3) and outward normals on the unit solid, and groups of equal weight."""

    points: FloatArray
    normals: FloatArray
    group: NDArray[np.int_]


def grow_body(ct: Volume, ras_point: ArrayLike, level: str) -> BoolArray:
    """Return an approximate mask (I, J, K) of the body that holds a clicked point.

    ct: HU. ras_point: (3,) RAS mm, well inside the body. level: sets the usual size.
    The mask stays within about 1.4 times the usual size of the level.

    Raises LabelError for an unknown level, InputError for a point outside the CT or in no bone.
    """
    half = usual_half_sizes(level)
    point = np.asarray(ras_point, dtype=float)
    place = ct.ijk(point)
    if point.shape != (3,) or (place < -0.5).any() or (place > np.array(ct.shape) - 0.5).any():
        raise InputError(
            f"Expected a point within the CT, got RAS {np.round(point, 1).tolist()} mm.",
            "Click inside the vertebral body.",
        )
    image, grid = _window(ct, point)
    _check_bone_near(image, grid, point)
    fitted = _fit(image, grid, point, half)
    return _rasterise(fitted, half, point, ct)


def body_map(ct: Volume, points: Mapping[str, ArrayLike]) -> Volume:
    """Return a label map of the bodies around one point each, in VerSe's numbers, uint8.

    points: RAS mm (3,) by level. Where two fitted bodies meet, a voxel belongs to the nearer point.
    Raises what `grow_body` raises.
    """
    labels = np.zeros(ct.shape, dtype=np.uint8)
    for level, point in points.items():
        low, high = _box_about(ct, np.asarray(point, dtype=float))
        body = grow_body(ct.box(low, high), point, level)
        here = labels[tuple(slice(a, b) for a, b in zip(low, high, strict=True))]
        for other in np.unique(here[body & (here > 0)]).tolist():
            shared = np.argwhere(body & (here == other))
            ras = ct.ras(shared + low)
            rival = points[LABEL_SCHEMES["verse"][other]]
            lost = shared[_distance(ras, point) >= _distance(ras, rival)]
            body[tuple(lost.T)] = False
        here[body] = VERSE_VALUES[level]
    return ct.with_data(labels)


def _distance(ras: FloatArray, point: ArrayLike) -> FloatArray:
    return np.asarray(np.linalg.norm(ras - np.asarray(point, dtype=float), axis=-1))


def _box_about(ct: Volume, point: FloatArray) -> tuple[NDArray[np.int_], NDArray[np.int_]]:
    """Corners low <= index < high of all that a body about the point, and its fit, can reach."""
    reach = (_WINDOW_MM * np.sqrt(3.0) + 4.0) / ct.spacing
    place = ct.ijk(point)
    low = np.clip(np.floor(place - reach), 0, np.array(ct.shape) - 1).astype(int)
    high = np.clip(np.ceil(place + reach) + 1, low + 1, ct.shape).astype(int)
    return low, high


def usual_half_sizes(level: str) -> FloatArray:
    """Return half depth, half height and half width (3,) in mm of a usual body of this level.

    Raises LabelError for an unknown level.
    """
    if level not in LEVELS:
        raise LabelError(
            f"Expected a vertebra level, got '{level}'.", "Levels are C1–C7, T1–T13, L1–L6."
        )
    known = sorted(_HALF_SIZES_MM, key=LEVELS.index)
    index = [LEVELS.index(name) for name in known]
    sizes = np.array([_HALF_SIZES_MM[name] for name in known])
    return np.array([np.interp(LEVELS.index(level), index, sizes[:, n]) for n in range(3)])


def _window(ct: Volume, point: FloatArray) -> tuple[NDArray[np.float32], FloatArray]:
    """A blurred, clipped, isotropic view of the CT around a point, in world axes."""
    part = ct.box(*_box_about(ct, point))
    hu = np.asarray(part.data, dtype=np.float32)
    padding = find_padding(part.data)
    if padding is not None:
        hu = np.where(padding, np.float32(SOFT_TISSUE_HU), hu)
    hu = np.clip(hu, *_HU_RANGE)
    size = int(2 * _WINDOW_MM / _GRID_MM) + 1
    grid = np.diag([_GRID_MM, _GRID_MM, _GRID_MM, 1.0])
    grid[:3, 3] = point - _WINDOW_MM
    to_part = inverse(part.affine) @ grid
    blur = np.sqrt(np.maximum((_GRID_MM / part.spacing) ** 2 - 1.0, 0.0)) * 0.42
    image = ndimage.affine_transform(
        ndimage.gaussian_filter(hu, blur), to_part[:3, :3], to_part[:3, 3],
        output_shape=(size, size, size), order=1, mode="nearest", prefilter=False,
    )  # fmt: skip
    return ndimage.gaussian_filter(image, _BLUR_MM / _GRID_MM), grid


def _check_bone_near(image: NDArray[np.float32], grid: FloatArray, point: FloatArray) -> None:
    centre = np.rint(apply_affine(inverse(grid), point)).astype(int)
    # Wide enough to reach the cortex when the click is in fatty marrow or a lytic lesion.
    reach = round(_BONE_REACH_MM / _GRID_MM)
    near = image[tuple(slice(c - reach, c + reach + 1) for c in centre)]
    if float(np.percentile(near, 95)) < 130.0:
        raise InputError(
            f"Expected bone within {_BONE_REACH_MM:g} mm of the click, got soft tissue or air.",
            "Click inside the vertebral body.",
        )


def _surface() -> _Surface:
    """Sample the unit solid: axis 0 depth (posterior +), 1 height, 2 width, each in [-1, 1]."""
    angles = np.linspace(-np.pi, np.pi, 72, endpoint=False)
    cos, sin = np.cos(angles), np.sin(angles)
    radius = (np.abs(cos) ** _POWER + np.abs(sin) ** _POWER) ** (-1.0 / _POWER)
    depth, width = radius * cos, radius * sin
    back = depth > _BACK
    normals = np.stack(
        [np.sign(depth) * np.abs(depth) ** (_POWER - 1), 0 * depth,
         np.sign(width) * np.abs(width) ** (_POWER - 1)], axis=1,
    )  # fmt: skip
    normals[back] = (1.0, 0.0, 0.0)
    normals /= np.linalg.norm(normals, axis=1, keepdims=True)
    depth = np.minimum(depth, _BACK)
    # Pedicles hold on to the sides of the posterior wall, so only its middle is an edge.
    keep = (depth < 0.5) | (back & (np.abs(width) < 0.4))
    points, outward, group = [], [], []
    for height in np.linspace(-0.75, 0.75, 7):
        points.append(np.stack([depth, np.full_like(depth, height), width], axis=1)[keep])
        outward.append(normals[keep])
        group.append(np.where(back, 1, 0)[keep])
    plane = np.stack(np.meshgrid(np.linspace(-0.9, 0.7, 11), np.linspace(-0.9, 0.9, 13)), axis=-1)
    plane = plane.reshape(-1, 2)
    plane = plane[(np.abs(plane) ** _POWER).sum(axis=1) < 0.8]
    for number, side in ((2, 1.0), (3, -1.0)):
        points.append(np.stack([plane[:, 0], np.full(len(plane), side), plane[:, 1]], axis=1))
        outward.append(np.tile([0.0, side, 0.0], (len(plane), 1)))
        group.append(np.full(len(plane), number))
    return _Surface(np.concatenate(points), np.concatenate(outward), np.concatenate(group))


def _axes(turns: FloatArray) -> FloatArray:
    """Columns: the solid's depth, height and width directions in RAS, tilted and leaned."""
    tilt, lean = turns
    depth = np.array([0.0, -np.cos(tilt), np.sin(tilt)])
    width = np.array([np.cos(lean), 0.0, np.sin(lean)])
    width -= depth * (width @ depth)
    width /= np.linalg.norm(width)
    height = np.cross(width, -depth)
    return np.stack([depth, height, width], axis=1)


def _fit(
    image: NDArray[np.float32], grid: FloatArray, point: FloatArray, half: FloatArray
) -> FloatArray:
    """Return (8,): shift in RAS mm (3), tilt and lean in radians, logarithms of the sizes (3)."""
    surface = _surface()
    weight = 1.0 / np.bincount(surface.group)[surface.group] / 4.0
    to_image = inverse(grid)
    ends = np.array([_INSIDE_MM, _OUTSIDE_MM])
    spread = np.array([_PLACE_SPREAD_MM] * 3 + [_TILT_SPREAD] * 2 + [_SIZE_SPREAD] * 3)

    def cost(values: FloatArray) -> float:
        axes = _axes(values[3:5])
        sizes = half * np.exp(values[5:8])
        on = (surface.points * sizes) @ axes.T + point + values[:3]
        out = surface.normals @ axes.T
        samples = on[None] + ends[:, None, None] * out[None]
        index = apply_affine(to_image, samples).reshape(-1, 3).T
        hu = ndimage.map_coordinates(image, index, order=1, mode="nearest", prefilter=False)
        inside, outside = hu.reshape(2, -1)
        contrast = float(((inside - outside) * weight).sum())
        return float(-contrast + _PRIOR_WEIGHT * ((values / spread) ** 2).sum())

    starts = [
        np.array([x, y, z, tilt, 0.0, 0.0, 0.0, 0.0])
        for x in (-7.0, 0.0, 7.0)
        for y in (-7.0, 0.0, 7.0)
        for z in (-8.0, -4.0, 0.0, 4.0, 8.0)
        for tilt in (-0.5, -0.25, 0.0, 0.25, 0.5)
    ]
    starts.sort(key=cost)
    starts = _apart(starts)
    best: optimize.OptimizeResult | None = None
    for start in starts[:4]:
        simplex = np.vstack([start, start + np.diag(spread * 0.5)])
        found = optimize.minimize(
            cost,
            start,
            method="Nelder-Mead",
            options={"initial_simplex": simplex, "maxfev": 500, "xatol": 0.02, "fatol": 0.1},
        )
        if best is None or found.fun < best.fun:
            best = found
    if best is None:
        raise RuntimeError("no start was tried")
    return np.asarray(best.x, dtype=np.float64)


def _apart(starts: list[FloatArray]) -> list[FloatArray]:
    """Keep the best starts, leaving out those next to a better one."""
    kept: list[FloatArray] = []
    for start in starts:
        if all(np.abs((start - other)[:3]).max() > 4.5 for other in kept):
            kept.append(start)
    return kept


def _rasterise(values: FloatArray, half: FloatArray, point: FloatArray, ct: Volume) -> BoolArray:
    """Mark the CT's voxels whose centres lie in the fitted solid."""
    axes = _axes(values[3:5])
    sizes = half * np.exp(np.clip(values[5:8], -0.35, 0.35))
    centre = point + values[:3]
    reach = np.linalg.norm(sizes) / ct.spacing + 1
    place = ct.ijk(centre)
    low = np.clip(np.floor(place - reach), 0, ct.shape).astype(int)
    high = np.clip(np.ceil(place + reach) + 1, 0, ct.shape).astype(int)
    where = tuple(slice(int(a), int(b)) for a, b in zip(low, high, strict=True))
    index = np.stack(
        np.meshgrid(*(np.arange(a, b) for a, b in zip(low, high, strict=True)), indexing="ij"),
        axis=-1,
    )
    local = (ct.ras(index) - centre) @ axes / sizes
    outline = np.abs(local[..., 0]) ** _POWER + np.abs(local[..., 2]) ** _POWER
    mask = np.zeros(ct.shape, dtype=bool)
    mask[where] = (outline <= 1.0) & (local[..., 0] <= _BACK) & (np.abs(local[..., 1]) <= 1.0)
    return mask
