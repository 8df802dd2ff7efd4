"""Between HU and the intensities that a model was trained on."""

from __future__ import annotations

from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

FloatArray = NDArray[np.float32]


class IntensityModel(Protocol):
    """What is needed of a model's intensity map; see `models.Model`."""

    @property
    def spec(self) -> Any: ...

    def to_intensity(self, hu: Any, valid: Any) -> Any: ...

    def to_hu(self, intensity: Any) -> Any: ...


def invertible(model: IntensityModel) -> bool:
    """Whether intensities stand for fixed HU: a window does, a per-slice percentile does not."""
    return bool(model.spec.intensity["kind"] == "window")


def as_shown(model: IntensityModel, images: Tensor) -> FloatArray:
    """Images (N, 1, 64, 64) as (N, 64, 64) float32: HU where the map is invertible."""
    values = images[:, 0].cpu().numpy()
    if invertible(model):
        values = np.asarray(model.to_hu(values))
    return np.asarray(values, dtype=np.float32)


def least_residual(
    model: IntensityModel,
    hu: FloatArray,
    images: FloatArray,
    body: NDArray[np.bool_],
    min_contrast: float,
) -> float:
    """`min_contrast` HU in model intensity.

    hu, body: (64, 64, N). images: (N, 64, 64), the same slices in model intensity. A window has
    one slope; a percentile map is linear in HU with a slope of each slice's own, whose median is
    taken.
    """
    if min_contrast == 0:
        return 0.0
    if invertible(model):
        ends = np.asarray(model.to_hu(np.array([0.0, 1.0], dtype=np.float32)), dtype=float)
        return min_contrast / float(ends[1] - ends[0])
    slopes = []
    for index, image in enumerate(images):
        inside = body[:, :, index]
        if inside.any() and np.ptp(hu[inside, index]) > 0:
            slopes.append(np.std(image[inside]) / np.std(hu[inside, index]))
    return min_contrast * float(np.median(slopes)) if slopes else 0.0
