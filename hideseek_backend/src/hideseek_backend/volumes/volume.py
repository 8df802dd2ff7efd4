"""A 3D image together with its place in the patient."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from hideseek_backend.errors import GeometryError, InputError

FloatArray = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Volume:
    """Hold voxels and the map from voxel index to patient coordinates.

    data: (I, J, K), any real dtype; a CT is in Hounsfield units.
    affine: (4, 4) float64, voxel index (i, j, k, 1) -> RAS mm. Oblique, flipped and anisotropic
    grids are all allowed; sheared ones are caught by `checks.check_grid`.

    Raises InputError when data is not 3D, GeometryError when the affine is not invertible.
    """

    data: NDArray[Any]
    affine: FloatArray

    def __post_init__(self) -> None:
        data = np.asarray(self.data)
        if data.ndim != 3:
            raise InputError(
                f"Expected a 3D image, got {data.ndim} dimensions {data.shape}.",
                "Give one 3D volume: extract a single frame or channel first.",
            )
        affine = np.array(self.affine, dtype=np.float64)
        if affine.shape != (4, 4):
            raise GeometryError(
                f"Expected a 4x4 affine (voxel index to RAS mm), got shape {affine.shape}.",
                "Pass the affine of the image, as nibabel's `image.affine`.",
            )
        if not np.isfinite(affine).all() or abs(np.linalg.det(affine[:3, :3])) < 1e-9:
            raise GeometryError(
                f"Expected an invertible affine, got {affine.tolist()}.",
                "The image has no usable position or spacing: export it again from the source.",
            )
        affine.setflags(write=False)
        object.__setattr__(self, "data", data)
        object.__setattr__(self, "affine", affine)

    @property
    def shape(self) -> tuple[int, int, int]:
        """Voxels along i, j, k."""
        i, j, k = self.data.shape
        return int(i), int(j), int(k)

    @property
    def spacing(self) -> FloatArray:
        """(3,) distance in mm between neighbours along i, j, k."""
        return np.asarray(np.linalg.norm(self.affine[:3, :3], axis=0), dtype=np.float64)

    @property
    def voxel_volume_mm3(self) -> float:
        """Volume of one voxel in mm³."""
        return float(abs(np.linalg.det(self.affine[:3, :3])))

    def ras(self, ijk: ArrayLike) -> FloatArray:
        """Map voxel indices (..., 3), fractions allowed, to RAS mm (..., 3)."""
        return apply_affine(self.affine, ijk)

    def ijk(self, ras: ArrayLike) -> FloatArray:
        """Map RAS mm (..., 3) to fractional voxel indices (..., 3)."""
        return apply_affine(inverse(self.affine), ras)

    def with_data(self, data: NDArray[Any]) -> Volume:
        """Return other voxels (I, J, K) on the same grid.

        Raises GeometryError when the shape differs.
        """
        if data.shape != self.data.shape:
            raise GeometryError(
                f"Expected an array of shape {self.data.shape}, got {data.shape}.",
                "Resample it onto this grid first.",
            )
        return Volume(data, self.affine)

    def box(self, low: ArrayLike, high: ArrayLike) -> Volume:
        """Return the sub-volume low <= index < high (3 integers each) with its own affine."""
        lo, hi = np.asarray(low, dtype=int), np.asarray(high, dtype=int)
        affine = self.affine.copy()
        affine[:3, 3] = self.ras(lo)
        return Volume(self.data[lo[0] : hi[0], lo[1] : hi[1], lo[2] : hi[2]], affine)


def apply_affine(matrix: FloatArray, points: ArrayLike) -> FloatArray:
    """Apply a 4x4 matrix to points (..., 3)."""
    values = np.asarray(points, dtype=np.float64)
    return np.asarray(values @ matrix[:3, :3].T + matrix[:3, 3], dtype=np.float64)


def inverse(matrix: FloatArray) -> FloatArray:
    """Return the inverse of a 4x4 matrix."""
    return np.asarray(np.linalg.inv(matrix), dtype=np.float64)
