"""An approximate vertebral body around a point, from the CT alone. Pure numpy.

Rays go out from the point in all directions. Along each, the wall is where bone gives way to
something less dense, not too far from where the wall of an average body would be. The distances are
smoothed over neighbouring rays, which bridges pedicles, vessels and defects of the cortex, and the
centre moves to the middle of what was found. No more is claimed than a starting point to correct.
"""

from __future__ import annotations

from collections.abc import Generator

import numpy as np

from .grid import Grid

# Half axes of an average body, mm: right-left, front-back, up-down; by first letter and number of
# the last level that they hold for.
_HALF_AXES_MM = (
    ("C", 7, (10.0, 8.5, 7.0)),
    ("T", 4, (14.0, 10.5, 9.0)),
    ("T", 8, (15.0, 13.0, 10.0)),
    ("T", 13, (18.5, 14.5, 11.5)),
    ("L", 6, (22.0, 16.5, 13.0)),
)
_STEP_MM = 0.5
_RADII_MM = np.arange(4.0, 36.0, _STEP_MM)
_ELEVATIONS = 25
_AZIMUTHS = 48
_ROUNDS = 4
# A wall twice (or half) as far as expected must show this much more contrast to be believed.
_PRIOR_HU = 450.0


def half_axes_mm(level: str) -> np.ndarray:
    """Half axes (3,) in mm of an average body of a level: right-left, front-back, up-down.

    Raises ValueError for an unknown level.
    """
    for letter, last, axes in _HALF_AXES_MM:
        if level[:1] == letter and level[1:].isdigit() and int(level[1:]) <= last:
            return np.array(axes)
    raise ValueError(f"expected a vertebral level, got {level!r}")


def grow_body(
    voxels: np.ndarray, grid: Grid, seed_ras: np.ndarray, level: str = "L1"
) -> tuple[np.ndarray, np.ndarray]:
    """Grow a body from a point in one go; see `grow_steps`."""
    steps = grow_steps(voxels, grid, seed_ras, level)
    while True:
        try:
            next(steps)
        except StopIteration as end:
            mask, low = end.value
            return mask, low


def grow_steps(
    voxels: np.ndarray, grid: Grid, seed_ras: np.ndarray, level: str
) -> Generator[None, None, tuple[np.ndarray, np.ndarray]]:
    """Grow a body from a point in short steps, so that a window can stay alive between them.

    voxels: (I, J, K) HU on `grid`; seed_ras: (3,) mm in the grid's RAS; level: sets the size that
    is expected. Returns (mask, low): a bool box on the grid and the index (3,) of its corner.
    """
    axes = half_axes_mm(level)
    reach = 2.2 * float(axes.max()) + 6.0
    corners = np.array([[a, b, c] for a in (-1, 1) for b in (-1, 1) for c in (-1, 1)]) * reach
    index = grid.ijk(seed_ras + corners)
    low = np.clip(np.floor(index.min(0)).astype(int), 0, np.array(grid.shape) - 1)
    high = np.clip(np.ceil(index.max(0)).astype(int) + 1, low + 1, grid.shape)
    box = np.asarray(voxels[tuple(slice(a, b) for a, b in zip(low, high, strict=True))], np.float32)
    box = _smoothed(np.clip(box, -200, 800))
    yield
    affine = grid.affine.copy()
    affine[:3, 3] += affine[:3, :3] @ low
    to_index = np.linalg.inv(affine)

    directions = _directions()
    center = np.asarray(seed_ras, float)
    expected = 1.0 / np.linalg.norm(directions / axes, axis=-1)
    radii = expected
    for _round in range(_ROUNDS):
        radii = _walls(box, to_index, center, directions, expected)
        surface = directions * radii[..., None]
        weight = np.linalg.norm(directions[..., :2], axis=-1) * radii**2 + 1e-6
        # 3/4: the centroid of a cone from the centre lies three quarters of the way out.
        shift = 0.75 * (surface * weight[..., None]).sum((0, 1)) / weight.sum()
        center = center + shift
        yield
        if np.linalg.norm(shift) < 0.5:
            break
    return _fill(box.shape, affine, center, radii), low


def _smoothed(box: np.ndarray) -> np.ndarray:
    """Mean over 3 voxels along each axis: noise down, walls kept."""
    for axis in range(3):
        padded = np.pad(box, [(1, 1) if a == axis else (0, 0) for a in range(3)], mode="edge")
        n = box.shape[axis]
        parts = [np.take(padded, range(s, s + n), axis) for s in range(3)]
        box = (parts[0] + parts[1] + parts[2]) / np.float32(3)
    return box


def _directions() -> np.ndarray:
    """Unit vectors (elevation, azimuth, 3) in RAS, pole to pole."""
    elevation = np.linspace(-np.pi / 2, np.pi / 2, _ELEVATIONS)[:, None]
    azimuth = np.arange(_AZIMUTHS)[None, :] * (2 * np.pi / _AZIMUTHS)
    return np.stack(
        [
            np.cos(elevation) * np.cos(azimuth),
            np.cos(elevation) * np.sin(azimuth),
            np.sin(elevation) * np.ones_like(azimuth),
        ],
        axis=-1,
    )


def _sample(box: np.ndarray, to_index: np.ndarray, ras: np.ndarray) -> np.ndarray:
    """Trilinear samples of the box at points (..., 3); air outside it."""
    index = ras @ to_index[:3, :3].T + to_index[:3, 3]
    shape = np.array(box.shape)
    outside = np.any((index < 0) | (index > shape - 1), axis=-1)
    index = np.clip(index, 0, shape - 1)
    base = np.minimum(index.astype(int), np.maximum(shape - 2, 0))
    part = index - base
    out = np.zeros(index.shape[:-1], np.float32)
    for corner in range(8):
        offset = np.array([(corner >> a) & 1 for a in range(3)])
        place = np.minimum(base + offset, shape - 1)
        weight = np.prod(np.where(offset, part, 1 - part), axis=-1)
        out += weight * box[place[..., 0], place[..., 1], place[..., 2]]
    out[outside] = -200
    return out


def _walls(
    box: np.ndarray,
    to_index: np.ndarray,
    center: np.ndarray,
    directions: np.ndarray,
    expected: np.ndarray,
) -> np.ndarray:
    """Distance (elevation, azimuth) in mm from the centre to the wall, smoothed over rays."""
    points = center + directions[..., None, :] * _RADII_MM[:, None]
    profile = _sample(box, to_index, points)
    inner, outer = int(2.0 / _STEP_MM), int(3.0 / _STEP_MM)
    total = np.cumsum(np.pad(profile, ((0, 0), (0, 0), (1, 0))), axis=-1)
    n = profile.shape[-1]
    at = np.arange(inner, n - outer)
    within = (total[..., at] - total[..., at - inner]) / inner
    beyond = (total[..., at + outer] - total[..., at]) / outer
    ratio = np.log2(_RADII_MM[at] / expected[..., None])
    score = within - beyond - _PRIOR_HU * ratio**2
    radii = _RADII_MM[at][np.argmax(score, axis=-1)]
    for _pass in range(2):
        radii = _over_neighbours(radii, np.median)
    return _over_neighbours(radii, np.mean)


def _over_neighbours(radii: np.ndarray, reduce: object) -> np.ndarray:
    """Median or mean over 3 x 5 rays; azimuth wraps round, and each pole is a single ray."""
    padded = np.pad(radii, ((1, 1), (0, 0)), mode="edge")
    padded = np.pad(padded, ((0, 0), (2, 2)), mode="wrap")
    rows, columns = radii.shape
    stack = np.stack(
        [padded[a : a + rows, b : b + columns] for a in range(3) for b in range(5)], axis=0
    )
    out: np.ndarray = reduce(stack, axis=0)  # type: ignore[operator]
    out[0], out[-1] = np.median(out[0]), np.median(out[-1])
    return out


def _fill(
    shape: tuple[int, ...], affine: np.ndarray, center: np.ndarray, radii: np.ndarray
) -> np.ndarray:
    """Voxels of the box nearer to the centre than the wall in their direction."""
    mask = np.zeros(shape, bool)
    j, k = np.meshgrid(np.arange(shape[1]), np.arange(shape[2]), indexing="ij")
    for i in range(shape[0]):
        offset = (
            affine[:3, 0] * i
            + affine[:3, 1] * j[..., None]
            + affine[:3, 2] * k[..., None]
            + affine[:3, 3]
            - center
        )
        distance = np.linalg.norm(offset, axis=-1)
        near = distance <= radii.max()
        if not near.any():
            continue
        part, far = offset[near], distance[near]
        up = np.arcsin(np.clip(part[:, 2] / np.maximum(far, 1e-6), -1, 1))
        row = (up / np.pi + 0.5) * (_ELEVATIONS - 1)
        turn = np.arctan2(part[:, 1], part[:, 0]) / (2 * np.pi) * _AZIMUTHS % _AZIMUTHS
        mask[i][near] = far <= _interpolate(radii, row, turn)
    return mask


def _interpolate(radii: np.ndarray, row: np.ndarray, turn: np.ndarray) -> np.ndarray:
    """Bilinear look-up of the wall distance between rays."""
    top = np.minimum(row.astype(int), _ELEVATIONS - 2)
    left = turn.astype(int) % _AZIMUTHS
    right = (left + 1) % _AZIMUTHS
    down, across = row - top, turn - np.floor(turn)
    upper = radii[top, left] * (1 - across) + radii[top, right] * across
    lower = radii[top + 1, left] * (1 - across) + radii[top + 1, right] * across
    return np.asarray(upper * (1 - down) + lower * down)
