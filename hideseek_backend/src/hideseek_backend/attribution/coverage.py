"""Has the model seen anything like this vertebra?

A probability means something only where training covered: of metal, cement, motion, very thick
slices or another modality the classifier was never told, and it answers all the same. Latents of
training vertebrae are taken as one Gaussian for each source of training data (phantoms, real
scans), each by its principal directions with an even rest (probabilistic PCA: Tipping and Bishop,
J R Stat Soc B 1999;61:611). A vertebra is as far from training as from the nearer of them
(Mahalanobis distance; Lee et al., NeurIPS 2018), and is said to be unlike training beyond the
distance that few held-out training vertebrae reach.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hideseek_backend.errors import ModelError

FloatArray = NDArray[np.float64]

FIELDS = (
    "coverage_mean",
    "coverage_direction",
    "coverage_variance",
    "coverage_rest",
    "coverage_limit",
)


@dataclass(frozen=True, eq=False)
class Coverage:
    """G Gaussians of scaled latents, and how far from them is still near.

    mean: (G, d). direction: (G, k, d) unit vectors; variance: (G, k) along them; rest: (G,) of
    every other direction. limit: of `distance`; quantile: of held-out training vertebrae that lie
    within it.

    Raises ModelError when the shapes do not fit or a value is not usable.
    """

    mean: FloatArray
    direction: FloatArray
    variance: FloatArray
    rest: FloatArray
    limit: float
    quantile: float

    def __post_init__(self) -> None:
        groups, d = np.shape(self.mean)
        k = np.shape(self.variance)[-1]
        shapes = {
            "mean": (groups, d),
            "direction": (groups, k, d),
            "variance": (groups, k),
            "rest": (groups,),
        }
        for name, shape in shapes.items():
            array = np.array(getattr(self, name), dtype=np.float64)
            positive = name in ("mean", "direction") or (array > 0).all()
            if array.shape != shape or not np.isfinite(array).all() or not positive:
                raise ModelError(
                    f"Expected {shape} usable numbers as the model's coverage {name}, "
                    f"got {array.shape}.",
                    "Fetch the model again, or fit its coverage again.",
                )
            array.setflags(write=False)
            object.__setattr__(self, name, array)
        if not self.limit > 0:
            raise ModelError(
                f"Expected a limit above 0 in the model's coverage, got {self.limit}.",
                "Fetch the model again, or fit its coverage again.",
            )

    def slice_distance(self, scaled: FloatArray) -> FloatArray:
        """Distance (...) of each scaled latent (..., d) from the nearest Gaussian, over √d."""
        away = scaled[..., None, :] - self.mean
        along = np.einsum("...gd,gkd->...gk", away, self.direction)
        left = (away**2).sum(axis=-1) - (along**2).sum(axis=-1)
        squared = (along**2 / self.variance).sum(axis=-1) + left / self.rest
        return np.asarray(np.sqrt(squared.min(axis=-1) / scaled.shape[-1]))

    def distance(self, scaled: FloatArray) -> FloatArray:
        """Distance (...) of vertebrae from the scaled latents of their slices: (..., n, d)."""
        return pooled(self.slice_distance(scaled))

    def unlike(self, scaled: FloatArray) -> bool:
        """Whether a vertebra, (n, d), lies beyond what training covered."""
        return bool(self.distance(scaled) > self.limit)

    def tensors(self) -> dict[str, FloatArray]:
        """Return the numbers as arrays by name, for storing; `from_tensors` reads them."""
        arrays = (self.mean, self.direction, self.variance, self.rest)
        limit = np.array([self.limit, self.quantile])
        return dict(zip(FIELDS, (*arrays, limit), strict=True))

    @classmethod
    def from_tensors(cls, stored: Mapping[str, Any]) -> Coverage | None:
        """Read what `tensors` returned; None where nothing of it is there.

        Raises ModelError when a part is missing.
        """
        parts = [np.asarray(stored[name], dtype=np.float64) for name in FIELDS if name in stored]
        if not parts:
            return None
        if len(parts) < len(FIELDS) or parts[-1].shape != (2,):
            raise ModelError(
                f"Expected all of {', '.join(FIELDS)} in the classifier, or none.",
                "Fetch the model again.",
            )
        mean, direction, variance, rest, (limit, quantile) = parts
        return cls(mean, direction, variance, rest, float(limit), float(quantile))


def pooled(slice_distances: FloatArray) -> FloatArray:
    """A vertebra's distance (...) from those of its slices: (..., n)."""
    return np.asarray(slice_distances.mean(axis=-1))
