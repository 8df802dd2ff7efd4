"""A sampling grid in RAS space, its sub-boxes, and local coordinates on them."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

Box = tuple[slice, slice, slice]
Points = tuple[np.ndarray, np.ndarray, np.ndarray]


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

    def finer(self, factor: int) -> Grid:
        """Split every voxel into `factor` along the last axis (the slices)."""
        if factor == 1:
            return self
        affine = self.affine.copy()
        affine[:3, 2] /= factor
        # The centre of the first sub-slice lies (factor - 1) / 2 fine steps before the old centre.
        affine[:3, 3] -= affine[:3, 2] * (factor - 1) / 2
        return Grid((self.shape[0], self.shape[1], self.shape[2] * factor), affine)

    def box(
        self,
        frame: Frame,
        low: np.ndarray,
        high: np.ndarray,
        align: int = 1,
        within: Box | None = None,
    ) -> Box | None:
        """Return the index box that holds the local box [low, high] mm, None where it is outside.

        align: the last axis' bounds become multiples of it. within: clip to this box.
        """
        corners = (
            np.array(np.meshgrid(*zip(low, high, strict=True), indexing="ij")).reshape(3, -1).T
        )
        ras = frame.to_ras(corners)
        ijk = (ras - self.affine[:3, 3]) @ np.linalg.inv(self.affine[:3, :3]).T
        start = np.floor(ijk.min(0)).astype(int)
        stop = np.ceil(ijk.max(0)).astype(int) + 1
        start[2] -= start[2] % align
        stop[2] += -stop[2] % align
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


def average_slices(values: np.ndarray, factor: int) -> np.ndarray:
    """Average groups of `factor` along the last axis: (I, J, K * factor) to (I, J, K)."""
    if factor == 1:
        return values
    i, j, k = values.shape
    return values.reshape(i, j, k // factor, factor).mean(axis=3, dtype=np.float32)
