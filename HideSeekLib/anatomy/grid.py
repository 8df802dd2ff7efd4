"""A voxel grid and its frame. Pure numpy."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class Grid:
    """A voxel grid: shape (I, J, K) and affine (4, 4), voxel index (i, j, k) -> local RAS in mm."""

    shape: tuple[int, int, int]
    affine: np.ndarray

    @property
    def voxel_volume_mm3(self) -> float:
        """Volume of one voxel in mm³."""
        return float(abs(np.linalg.det(self.affine[:3, :3])))

    def ijk(self, ras: np.ndarray) -> np.ndarray:
        """Continuous voxel indices of points (..., 3) in local RAS."""
        inverse = np.linalg.inv(self.affine)
        return np.asarray(ras, float) @ inverse[:3, :3].T + inverse[:3, 3]

    def ras(self, ijk: np.ndarray) -> np.ndarray:
        """Local RAS in mm of voxel indices (..., 3)."""
        return np.asarray(ijk, float) @ self.affine[:3, :3].T + self.affine[:3, 3]
