"""Between HU and the intensities that a model was trained on; stored with each model."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, Literal, Protocol

import numpy as np
from numpy.typing import NDArray

from hideseek_backend.errors import ModelError
from hideseek_backend.volumes.padding import SOFT_TISSUE_HU

FloatArray = NDArray[np.float32]

_REMEDY = "Update hideseek_backend, or fetch the model again."


class IntensityMap(Protocol):
    """A map from HU to model intensity, slice by slice."""

    @property
    def unit(self) -> Literal["HU", "model"]:
        """Unit of what `shown` returns."""
        ...

    def to_intensity(self, hu: Any, valid: Any = None) -> FloatArray:
        """Map HU to model intensity.

        hu: (..., 64, 64), each trailing plane one slice. valid: bool of the same shape, false where
        nothing was measured; those pixels become soft tissue, as in the crops that models are
        trained on, and do not count for percentiles.
        Returns float32 of the same shape; a slice of one value becomes 0.
        """
        ...

    def shown(self, values: Any) -> FloatArray:
        """Model intensity as float32 in `unit`: HU where it stands for fixed HU, else itself."""
        ...

    def least(
        self, contrast_hu: float, hu: FloatArray, images: FloatArray, body: NDArray[np.bool_]
    ) -> float:
        """A contrast of so many HU in model intensity.

        hu, body: (64, 64, N). images: (N, 64, 64), the same slices in model intensity.
        """
        ...

    def to_dict(self) -> dict[str, Any]:
        """Plain values that `intensity_map` reads."""
        ...


@dataclass(frozen=True)
class Window:
    """low HU to 0, high HU to 1, clipped. Raises ModelError for a window that is not usable."""

    low: float
    high: float

    def __post_init__(self) -> None:
        if not (_is_number(self.low) and _is_number(self.high) and self.low < self.high):
            raise ModelError(f"The model's intensity map {self.to_dict()} is not usable.", _REMEDY)

    @property
    def unit(self) -> Literal["HU", "model"]:
        return "HU"

    def to_intensity(self, hu: Any, valid: Any = None) -> FloatArray:
        values, _ = _measured(hu, valid)
        low, high = np.float32(self.low), np.float32(self.high)
        return np.asarray((np.clip(values, low, high) - low) / (high - low), dtype=np.float32)

    def shown(self, values: Any) -> FloatArray:
        low, high = np.float32(self.low), np.float32(self.high)
        return np.asarray(values, dtype=np.float32) * (high - low) + low

    def least(
        self, contrast_hu: float, hu: FloatArray, images: FloatArray, body: NDArray[np.bool_]
    ) -> float:
        ends = self.shown(np.array([0.0, 1.0], dtype=np.float32)).astype(float)
        return contrast_hu / float(ends[1] - ends[0])

    def to_dict(self) -> dict[str, Any]:
        return {"kind": "window", **asdict(self)}


@dataclass(frozen=True)
class Percentile:
    """lower and upper percentile (%) of each slice's own values to 0 and 1, not clipped.

    The ends differ from slice to slice, so that intensities do not stand for fixed HU.
    Raises ModelError for percentages that are not usable.
    """

    lower: float
    upper: float

    def __post_init__(self) -> None:
        numbers = _is_number(self.lower) and _is_number(self.upper)
        if not numbers or not 0 <= self.lower < self.upper <= 100:
            raise ModelError(f"The model's intensity map {self.to_dict()} is not usable.", _REMEDY)

    @property
    def unit(self) -> Literal["HU", "model"]:
        return "model"

    def to_intensity(self, hu: Any, valid: Any = None) -> FloatArray:
        values, inside = _measured(hu, valid)
        planes = values.reshape(-1, *values.shape[-2:])
        result = np.zeros_like(planes)
        for plane, mask, out in zip(planes, inside.reshape(planes.shape), result, strict=True):
            if not mask.any():
                continue
            low, high = np.percentile(plane[mask], [self.lower, self.upper]).astype(np.float32)
            if high > low:
                out[...] = (plane - low) / (high - low)
        return result.reshape(values.shape)

    def shown(self, values: Any) -> FloatArray:
        return np.asarray(values, dtype=np.float32)

    def least(
        self, contrast_hu: float, hu: FloatArray, images: FloatArray, body: NDArray[np.bool_]
    ) -> float:
        """The map is linear in HU with a slope of each slice's own, whose median is taken."""
        if contrast_hu == 0:
            return 0.0
        slopes = []
        for index, image in enumerate(images):
            inside = body[:, :, index]
            if inside.any() and np.ptp(hu[inside, index]) > 0:
                slopes.append(np.std(image[inside]) / np.std(hu[inside, index]))
        return contrast_hu * float(np.median(slopes)) if slopes else 0.0

    def to_dict(self) -> dict[str, Any]:
        return {"kind": "percentile", **asdict(self)}


def intensity_map(stored: Mapping[str, Any]) -> IntensityMap:
    """Read a map that `to_dict` wrote; raises ModelError for one that is unknown or not usable."""
    kinds: dict[str, type[Window] | type[Percentile]] = {
        "window": Window,
        "percentile": Percentile,
    }
    values = dict(stored)
    kind = kinds.get(str(values.pop("kind", "")))
    if kind is None or set(values) != set(kind.__dataclass_fields__):
        raise ModelError(f"The model's intensity map {dict(stored)} is unknown.", _REMEDY)
    return kind(**values)


def _measured(hu: Any, valid: Any) -> tuple[FloatArray, NDArray[np.bool_]]:
    """HU with soft tissue where nothing was measured, and where something was."""
    values = np.asarray(hu, dtype=np.float32)
    inside = np.ones(values.shape, dtype=bool) if valid is None else np.asarray(valid, dtype=bool)
    return np.where(inside, values, np.float32(SOFT_TISSUE_HU)), inside


def _is_number(value: Any) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool)
