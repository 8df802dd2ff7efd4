"""Has the model seen anything like this vertebra?

A probability means something only where training covered: of metal, cement, very thick slices or
another modality the classifier was never told, and it answers all the same. A vertebra is held
against the training in two ways: by its latents, and by what the network makes of its picture.
Each is a Gaussian for every source of training data (phantoms, real scans), of latents one for each
class, so that disease is as much at home as health (Mahalanobis distances; Lee et al., NeurIPS
2018). Each source has the distances that few of its held-out training vertebrae exceed; a vertebra
is said to be unlike training where no source holds it within both of its own. Latents
have too many directions for a plain Gaussian: the principal ones are kept and the rest is even
(probabilistic PCA; Tipping and Bishop, J R Stat Soc B 1999;61:611).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from hideseek_backend.attribution.stored import stored_array
from hideseek_backend.errors import ModelError

FloatArray = NDArray[np.float64]

_MIDDLE = slice(16, 48)  # 25.6 mm of a crop of 64 voxels: bone, its edges and its neighbours'
_ROWS = slice(8, 56)  # 38.4 mm: four steps of slices that are 10 mm thick
_BLUR_PX = (0.0, 1.0, 2.5)
_DENSE_HU = 1300.0  # cement and metal; a bone island seldom reaches it
_FLOOR = 1e-3
PICTURE_FEATURES = len(_BLUR_PX) + 4
_EXPECTED_EVERY = 4
_PREFIX = "coverage_"
_REFIT = "Fetch the model again, or fit its coverage again."
_POSITIVE = ("variance", "rest", "limits", "training")


@dataclass(frozen=True, eq=False)
class Coverage:
    """Gaussians of scaled latents and of pictures of G sources, and how far from them is near.

    mean: (G, C, d) of C classes. direction: (G, C, k, d) unit vectors; variance: (G, C, k) along
    them; rest: (G, C) of every other direction. picture_mean: (G, f), picture_precision: (G, f, f)
    of `picture_features`. limits: (G, 2) largest distance of latents and of pictures from each
    source. training: (2,) the quantile of held-out vertebrae of a source that lie within both of
    its limits, and the thickest slices of training, mm.

    Raises ModelError when the shapes do not fit or a value is not usable.
    """

    mean: FloatArray
    direction: FloatArray
    variance: FloatArray
    rest: FloatArray
    picture_mean: FloatArray
    picture_precision: FloatArray
    limits: FloatArray
    training: FloatArray

    def __post_init__(self) -> None:
        if np.ndim(self.mean) != 3:
            raise ModelError(
                "Expected the model's coverage for each source and class.",
                _REFIT,
            )
        groups, classes, d = np.shape(self.mean)
        k = np.shape(self.variance)[-1]
        shapes = {
            "mean": (groups, classes, d),
            "direction": (groups, classes, k, d),
            "variance": (groups, classes, k),
            "rest": (groups, classes),
            "picture_mean": (groups, PICTURE_FEATURES),
            "picture_precision": (groups, PICTURE_FEATURES, PICTURE_FEATURES),
            "limits": (groups, 2),
            "training": (2,),
        }
        for name, shape in shapes.items():
            array = stored_array(
                getattr(self, name), shape, f"model's coverage {name}", _REFIT,
                positive=name in _POSITIVE,
            )  # fmt: skip
            object.__setattr__(self, name, array)

    @property
    def quantile(self) -> float:
        """Share of held-out training vertebrae of a source that lie within both of its limits."""
        return float(self.training[0])

    @property
    def thickest_mm(self) -> float:
        """Thickest slices that training covered."""
        return float(self.training[1])

    def latent_distance(self, scaled: FloatArray) -> FloatArray:
        """Distances (..., G) of vertebrae from the scaled latents of their slices: (..., n, d)."""
        away = scaled[..., None, None, :] - self.mean
        along = np.einsum("...gcd,gckd->...gck", away, self.direction)
        left = (away**2).sum(axis=-1) - (along**2).sum(axis=-1)
        squared = (along**2 / self.variance).sum(axis=-1) + left / self.rest
        # A slice is as far as the nearer class, a vertebra as its slices in the mean.
        slices = np.sqrt(squared.min(axis=-1) / scaled.shape[-1])
        return np.asarray(slices.mean(axis=-2))

    def picture_distance(self, features: FloatArray) -> FloatArray:
        """Distances (..., G) of vertebrae from their `picture_features`: (..., f)."""
        away = features[..., None, :] - self.picture_mean
        squared = np.einsum("...gi,gij,...gj->...g", away, self.picture_precision, away)
        return np.asarray(np.sqrt(squared.clip(0) / PICTURE_FEATURES))

    def unlike(self, scaled: FloatArray, features: FloatArray, thickness_mm: float) -> bool:
        """Whether a vertebra, (n, d) and (f,), of a scan lies beyond what training covered."""
        distances = self.latent_distance(scaled), self.picture_distance(features)
        held = (np.stack(distances, axis=-1) <= self.limits).all(axis=-1)
        return bool(not held.any() or thickness_mm > self.thickest_mm + 1e-3)

    def tensors(self) -> dict[str, FloatArray]:
        """Return the numbers as arrays by name, for storing; `from_tensors` reads them."""
        return {_PREFIX + f.name: getattr(self, f.name) for f in fields(self)}

    @classmethod
    def from_tensors(cls, stored: Mapping[str, Any]) -> Coverage | None:
        """Read what `tensors` returned; None where nothing of it is there.

        Raises ModelError when a part is missing.
        """
        found = {name: stored[name] for name in STORED if name in stored}
        if not found:
            return None
        if len(found) < len(STORED):
            raise ModelError(
                f"Expected all of {', '.join(STORED)} in the classifier, or none.",
                "Fetch the model again.",
            )
        return cls(**{name.removeprefix(_PREFIX): array for name, array in found.items()})


STORED = tuple(_PREFIX + f.name for f in fields(Coverage))
"""Names of the stored arrays."""


def expected_of(count: int) -> list[int]:
    """Which of the `count` slices that p is read from are held against what the network expects.

    Two of nine, spread evenly: to expect one takes as long as to read p from three.
    """
    return list(range(min(_EXPECTED_EVERY // 2, count - 1), count, _EXPECTED_EVERY))


def picture_features(
    images: NDArray[np.float32], expected: NDArray[np.float32], hu: NDArray[np.float32]
) -> FloatArray:
    """What tells a vertebra's pictures of an unknown kind: (f,), means over its slices.

    images: (n, 64, 64) in model intensity; hu: the same in HU; expected: (m, 64, 64), what the
    network makes of the latents alone of those that `expected_of` names. Logarithms of what the
    network did not expect, at three scales, of the finest texture, of the share above 1,300 HU, of
    how much steeper the picture is from top to bottom than from front to back, and of how evenly it
    changes from row to row going up (slices too thick for their grid change in steps); all in the
    middle of the crop.
    """
    middle = (slice(None), _MIDDLE, _MIDDLE)
    unexpected = images[expected_of(len(images))] - expected
    amounts = [_rms(_blurred(unexpected, px)[middle]) for px in _BLUR_PX]
    amounts.append(_rms((images - _blurred(images, 1.0))[middle]))
    # A mass, not a noisy cortex.
    dense = (_blurred(hu[middle], 1.0) > _DENSE_HU).mean(axis=(1, 2)) + 3 * _FLOOR
    upright, level = (
        np.abs(np.diff(images, axis=axis))[middle].mean(axis=(1, 2)) + _FLOOR for axis in (2, 1)
    )
    rows = np.abs(np.diff(images, axis=2))[:, _ROWS, _ROWS].mean(axis=1)
    evenness = (np.median(rows, axis=1) + _FLOOR) / (rows.mean(axis=1) + _FLOOR)
    columns = [*(np.maximum(a, _FLOOR) for a in amounts), dense, upright / level, evenness]
    return np.array([np.log(column.astype(np.float64)).mean() for column in columns])


def _blurred(images: NDArray[np.float32], px: float) -> NDArray[np.float32]:
    return np.asarray(ndimage.gaussian_filter(images, (0, px, px))) if px else images


def _rms(values: NDArray[np.float32]) -> NDArray[np.float32]:
    return np.asarray(np.sqrt((values**2).mean(axis=(1, 2))))
