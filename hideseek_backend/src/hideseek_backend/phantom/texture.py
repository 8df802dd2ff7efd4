"""Band-limited random fields that can be evaluated at any point of space.

One periodic bank of smooth Gaussian noise is made once per process; a `Noise` looks it up at an
own random place and orientation. So a field is an implicit function of RAS points, the same on
any grid, and costs one table look-up per point.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from scipy.ndimage import gaussian_filter
from scipy.spatial.transform import Rotation

_BANK_SIZE = 128  # a power of two, so that wrapping is a bit mask
_BANK_SIGMA = 4.0  # voxels of the bank per correlation length
_BANK_SEED = 20240607  # the bank is part of the phantom's definition: changing it changes them all


@lru_cache(maxsize=1)
def _bank() -> np.ndarray:
    """Return the (128, 128, 128) float32 periodic noise, mean 0 and variance 1."""
    white = np.random.default_rng(_BANK_SEED).standard_normal((_BANK_SIZE,) * 3, dtype=np.float32)
    smooth = gaussian_filter(white, _BANK_SIGMA, mode="wrap")
    smooth -= smooth.mean()
    return np.ascontiguousarray(smooth / smooth.std(), dtype=np.float32)


@dataclass(frozen=True)
class Noise:
    """A stationary Gaussian field of mean 0 and variance 1 over space.

    offset: (3,) place in the bank, bank voxels; rotation: (3, 3) its orientation.
    """

    offset: np.ndarray
    rotation: np.ndarray

    @classmethod
    def draw(cls, rng: np.random.Generator, *, rotate: bool = True) -> Noise:
        """Draw a field; `rotate=False` keeps the axes, for fields with a grain (trabeculae)."""
        offset = rng.uniform(0, _BANK_SIZE, 3)
        matrix = Rotation.from_quat(rng.standard_normal(4)).as_matrix() if rotate else np.eye(3)
        return cls(offset, matrix)

    def _coordinates(
        self, x: np.ndarray, y: np.ndarray, z: np.ndarray, lengths: tuple[float, float, float]
    ) -> list[np.ndarray]:
        matrix = (self.rotation * (_BANK_SIGMA / np.asarray(lengths))).astype(np.float32)
        offset = self.offset.astype(np.float32)
        if np.count_nonzero(matrix) == 3 and np.all(np.diag(matrix) != 0):
            return [p * matrix[a, a] + offset[a] for a, p in enumerate((x, y, z))]
        return [x * r[0] + y * r[1] + z * r[2] + o for r, o in zip(matrix, offset, strict=True)]

    def fast(
        self,
        x: np.ndarray,
        y: np.ndarray,
        z: np.ndarray,
        length: float | tuple[float, float, float],
    ) -> np.ndarray:
        """Evaluate by the nearest bank voxel: steps of 0.25 correlation lengths, for textures.

        x, y, z: arrays that broadcast together, mm; length: correlation length(s) in mm.
        """
        lengths = (length,) * 3 if np.isscalar(length) else length
        index = [
            c.astype(np.int32) & (_BANK_SIZE - 1)
            for c in self._coordinates(x, y, z, lengths)  # type: ignore[arg-type]
        ]
        return _bank().ravel()[(index[0] << 14) | (index[1] << 7) | index[2]]


@dataclass(frozen=True)
class Waves:
    """A sum of plane waves of mean 0 and variance 1: a smooth field that bends surfaces.

    vectors: (n, 3) wave vectors in rad/mm; phases: (n,) rad.
    """

    vectors: np.ndarray
    phases: np.ndarray

    @classmethod
    def draw(cls, rng: np.random.Generator, count: int, shortest: float, longest: float) -> Waves:
        """Draw `count` waves of isotropic direction, wavelengths in [shortest, longest] mm."""
        direction = rng.standard_normal((count, 3))
        direction /= np.linalg.norm(direction, axis=1, keepdims=True)
        length = np.exp(rng.uniform(np.log(shortest), np.log(longest), (count, 1)))
        return cls(direction * 2 * np.pi / length, rng.uniform(0, 2 * np.pi, count))

    def __call__(self, x: np.ndarray, y: np.ndarray, z: np.ndarray) -> np.ndarray:
        """Evaluate at local points (mm): float32 of their shape."""
        total = np.zeros(x.shape, np.float32)
        vectors, phases = self.vectors.astype(np.float32), self.phases.astype(np.float32)
        for n in range(len(phases)):
            total += np.sin(x * vectors[n, 0] + y * vectors[n, 1] + z * vectors[n, 2] + phases[n])
        return total * np.float32(np.sqrt(2.0 / len(self.phases)))


def ramp(distance: np.ndarray, width: float) -> np.ndarray:
    """Turn a signed distance (mm, negative inside) into coverage in [0, 1] over `width` mm."""
    return np.clip(0.5 - distance * np.float32(1.0 / width), 0.0, 1.0, dtype=np.float32)


def smooth_max(first: np.ndarray, second: np.ndarray, radius: float) -> np.ndarray:
    """Return the maximum of two distances with the edge between them rounded by ~ `radius` mm."""
    r = np.float32(radius)
    blend = np.maximum(r - np.abs(first - second), 0)
    return np.maximum(first, second) + blend * blend * np.float32(0.25 / radius)


def lerp(base: np.ndarray, value: np.ndarray | float, weight: np.ndarray) -> np.ndarray:
    """Return base + weight (value - base)."""
    return base + weight * (value - base)
