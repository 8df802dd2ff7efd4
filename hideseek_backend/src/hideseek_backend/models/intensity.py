"""Between HU and the intensities that a model was trained on; stored with each model."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hideseek_backend.errors import ModelError
from hideseek_backend.volumes.padding import SOFT_TISSUE_HU

FloatArray = NDArray[np.float32]

_FIELDS = {"window": {"kind", "low", "high"}, "percentile": {"kind", "lower", "upper"}}


def check_intensity(intensity: Mapping[str, Any]) -> None:
    """Raise ModelError unless `intensity` is one of the two known maps.

    {"kind": "window", "low": HU, "high": HU}: low to 0, high to 1, clipped.
    {"kind": "percentile", "lower": %, "upper": %}: of each slice's own values, not clipped.
    """
    kind = intensity.get("kind")
    fields = _FIELDS.get(str(kind))
    remedy = "Update hideseek_backend, or fetch the model again."
    if fields is None or set(intensity) != fields:
        raise ModelError(f"The model's intensity map {dict(intensity)} is unknown.", remedy)
    low, high = (intensity[f] for f in (("low", "high") if kind == "window" else _PERCENT))
    numbers = all(isinstance(v, (int, float)) and not isinstance(v, bool) for v in (low, high))
    if not numbers or not low < high or (kind == "percentile" and not 0 <= low < high <= 100):
        raise ModelError(f"The model's intensity map {dict(intensity)} is not usable.", remedy)


_PERCENT = ("lower", "upper")


def to_intensity(intensity: Mapping[str, Any], hu: Any, valid: Any = None) -> FloatArray:
    """Map HU to model intensity.

    hu: (..., 64, 64), each trailing plane one slice. valid: bool of the same shape, false where
    nothing was measured; those pixels become soft tissue, as in the crops that models are
    trained on, and do not count for percentiles.
    Returns float32 of the same shape; a slice of one value becomes 0.
    """
    values = np.asarray(hu, dtype=np.float32)
    inside = np.ones(values.shape, dtype=bool) if valid is None else np.asarray(valid, dtype=bool)
    values = np.where(inside, values, np.float32(SOFT_TISSUE_HU))
    if intensity["kind"] == "window":
        low, high = np.float32(intensity["low"]), np.float32(intensity["high"])
        return np.asarray((np.clip(values, low, high) - low) / (high - low), dtype=np.float32)
    planes = values.reshape(-1, *values.shape[-2:])
    kept = inside.reshape(planes.shape)
    result = np.zeros_like(planes)
    for plane, mask, out in zip(planes, kept, result, strict=True):
        if not mask.any():
            continue
        ends = [intensity["lower"], intensity["upper"]]
        low, high = np.percentile(plane[mask], ends).astype(np.float32)
        if high > low:
            out[...] = (plane - low) / (high - low)
    return result.reshape(values.shape)


def to_hu(intensity: Mapping[str, Any], values: Any) -> FloatArray:
    """Undo a window: float32 HU of the same shape.

    Raises ModelError for a percentile map, whose ends differ from slice to slice.
    """
    if intensity["kind"] != "window":
        raise ModelError(
            "Intensities of this model do not stand for fixed HU.",
            "Show them in model intensity instead.",
        )
    low, high = np.float32(intensity["low"]), np.float32(intensity["high"])
    return np.asarray(values, dtype=np.float32) * (high - low) + low
