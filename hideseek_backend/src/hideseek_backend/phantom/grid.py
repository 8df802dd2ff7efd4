"""A sampling grid in RAS space, its sub-boxes, and local coordinates on them."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import product

import numpy as np

Box = tuple[slice, slice, slice]
Points = tuple[np.ndarray, np.ndarray, np.ndarray]
_CORNERS = np.array(list(product((0, 1), repeat=3)))


@dataclass(frozen=True)
class Frame:
    """A right-handed local frame: columns of `rotation` are its axes in RAS; origin in RAS mm."""

    origin: np.ndarray
    rotation: np.ndarray

    def to_ras(self, points: np.ndarray) -> np.ndarray:
        """Map (..., 3) local mm to RAS mm."""
        return np.asarray(points) @ self.rotation.T + self.origin

    def to_local(self, points: np.ndarray) -> np.ndarray:
        """Map (..., 3) RAS mm to local mm."""
        return (np.asarray(points) - self.origin) @ self.rotation


RAS = Frame(np.zeros(3), np.eye(3))


@dataclass(frozen=True)
class Grid:
    """A regular grid: shape (I, J, K) and the affine (4, 4) from voxel index to RAS mm."""

    shape: tuple[int, int, int]
    affine: np.ndarray

    @property
    def spacing(self) -> np.ndarray:
        """(3,) voxel size in mm."""
        return np.linalg.norm(self.affine[:3, :3], axis=0)

    @property
    def full(self) -> Box:
        """The box of all voxels."""
        return (slice(0, self.shape[0]), slice(0, self.shape[1]), slice(0, self.shape[2]))

    def finer(self, factors: tuple[int, int, int]) -> Grid:
        """Split every voxel into `factors` along the axes; the field of view stays the same."""
        if factors == (1, 1, 1):
            return self
        count = np.array(factors)
        affine = self.affine.copy()
        affine[:3, :3] /= count
        # The first sub-voxel's centre lies (n - 1) / 2 fine steps before the old centre.
        affine[:3, 3] -= affine[:3, :3] @ ((count - 1) / 2)
        i, j, k = (int(n) for n in np.array(self.shape) * count)
        return Grid((i, j, k), affine)

    def box(
        self,
        frame: Frame,
        low: np.ndarray,
        high: np.ndarray,
        *,
        align: tuple[int, int, int] = (1, 1, 1),
        within: Box | None = None,
    ) -> Box | None:
        """Return the index box that holds the local box [low, high] mm, None where it is outside.

        align: bounds become multiples of these. within: clip to this box.
        """
        ends = np.stack([low, high])
        corners = ends[_CORNERS, [0, 1, 2]]
        ijk = (frame.to_ras(corners) - self.affine[:3, 3]) @ np.linalg.inv(self.affine[:3, :3]).T
        step = np.array(align)
        start = np.floor(ijk.min(0)).astype(int) // step * step
        stop = -(-(np.ceil(ijk.max(0)).astype(int) + 1) // step) * step
        limits = within or self.full
        start = np.maximum(start, [s.start for s in limits])
        stop = np.minimum(stop, [s.stop for s in limits])
        if np.any(stop <= start):
            return None
        return (slice(start[0], stop[0]), slice(start[1], stop[1]), slice(start[2], stop[2]))

    def points(self, box: Box, frame: Frame = RAS) -> Points:
        """Return local coordinates (x, y, z), each a float32 array of the box's shape, mm."""
        matrix = frame.rotation.T @ self.affine[:3, :3]
        origin = frame.rotation.T @ (self.affine[:3, 3] - frame.origin)
        axes = [np.arange(s.start, s.stop, dtype=np.float64) for s in box]
        out = []
        for a in range(3):
            i = (matrix[a, 0] * axes[0] + origin[a]).astype(np.float32)[:, None, None]
            j = (matrix[a, 1] * axes[1]).astype(np.float32)[None, :, None]
            k = (matrix[a, 2] * axes[2]).astype(np.float32)[None, None, :]
            out.append((i + j) + k)
        return out[0], out[1], out[2]


def shift_box(box: Box, outer: Box) -> Box:
    """Express `box` relative to the corner of `outer`, which holds it."""
    i, j, k = (slice(b.start - o.start, b.stop - o.start) for b, o in zip(box, outer, strict=True))
    return (i, j, k)


def average_cells(values: np.ndarray, factors: tuple[int, int, int]) -> np.ndarray:
    """Average cells of `factors` voxels: (I f0, J f1, K f2) to (I, J, K)."""
    for axis, factor in enumerate(factors):
        if factor > 1:
            shape = values.shape
            split = (*shape[:axis], shape[axis] // factor, factor, *shape[axis + 1 :])
            values = values.reshape(split).mean(axis=axis + 1, dtype=np.float32)
    return values
