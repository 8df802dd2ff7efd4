"""What a model folder says of itself: spec.json."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from typing import Any

from hideseek_backend.attribution.intensity import IntensityMap, intensity_map
from hideseek_backend.dae.config import DaeConfig
from hideseek_backend.errors import ModelError

FORMAT = 1
CROP_SIZE = 64
SPACING_MM = 0.8
ORIENTATION = "PSR"

_REMEDY = "Fetch the model again with `hideseek models install`, or import it again."


@dataclass(frozen=True)
class ModelSpec:
    """Everything about a model but its weights.

    name: letters, digits, dot, dash, underscore.
    architecture: of the autoencoder; its `parametrization` says how it is solved.
    intensity: the map from HU.
    weights_sha256: of weights.safetensors, lower-case hexadecimal.
    weights_dtype: "float32" or "float16", as stored; the network always computes from float32.
    spacing_mm, crop_size, orientation: of the slices it was trained on.
    defaults: {"fast": {option: value}}, the complete protocol, so that the hash of a model means
        its results.
    training: how it came to be, for the reader. source: where it was imported from, if it was.
    licence: of the weights.
    """

    name: str
    architecture: DaeConfig
    intensity: IntensityMap
    weights_sha256: str
    weights_dtype: str = "float32"
    spacing_mm: float = SPACING_MM
    crop_size: int = CROP_SIZE
    orientation: str = ORIENTATION
    defaults: dict[str, dict[str, Any]] = field(default_factory=dict)
    training: dict[str, Any] = field(default_factory=dict)
    source: dict[str, Any] = field(default_factory=dict)
    licence: str = ""

    def to_json(self) -> str:
        """Return spec.json's text, the same for the same model."""
        values = {
            "format": FORMAT,
            **{entry.name: getattr(self, entry.name) for entry in fields(self)},
            "architecture": self.architecture.to_dict(),
            "intensity": self.intensity.to_dict(),
        }
        return json.dumps(values, indent=2, sort_keys=True) + "\n"

    def numerics(self) -> str:
        """Return as text what decides this model's numbers under given options.

        Two models that differ in their defaults, name or record alone have the same.
        """
        values = [self.architecture.to_dict(), self.intensity.to_dict(), self.weights_sha256]
        return json.dumps(values, sort_keys=True)

    @classmethod
    def from_json(cls, text: str, where: str = "spec.json") -> ModelSpec:
        """Read spec.json.

        Raises ModelError for text that is not JSON, a future format, unknown or missing entries,
        and geometry that this version does not run.
        """
        try:
            values = json.loads(text)
        except (ValueError, RecursionError) as error:
            raise ModelError(f"{where} is not valid JSON: {error}.", _REMEDY) from error
        if not isinstance(values, dict):
            raise ModelError(f"{where} does not describe a model.", _REMEDY)
        found = values.pop("format", None)
        if found != FORMAT:
            newer = isinstance(found, int) and found > FORMAT
            raise ModelError(
                f"{where} has format {found!r}; this version reads format {FORMAT}.",
                "Update hideseek_backend." if newer else _REMEDY,
            )
        _check_entries(values, where)
        architecture = DaeConfig.from_dict(values.pop("architecture"))
        intensity = intensity_map(values.pop("intensity"))
        spec = cls(architecture=architecture, intensity=intensity, **values)
        geometry = (spec.spacing_mm, spec.crop_size, spec.orientation)
        if geometry != (SPACING_MM, CROP_SIZE, ORIENTATION):
            raise ModelError(
                f"{where} is for slices of {geometry}; this version crops "
                f"{(SPACING_MM, CROP_SIZE, ORIENTATION)} (mm, pixels, axes).",
                "Update hideseek_backend, or use another model.",
            )
        return spec


_TYPES: dict[str, type] = {
    "name": str,
    "architecture": dict,
    "intensity": dict,
    "weights_sha256": str,
    "weights_dtype": str,
    "spacing_mm": float,
    "crop_size": int,
    "orientation": str,
    "defaults": dict,
    "training": dict,
    "source": dict,
    "licence": str,
}


def _check_entries(values: Mapping[str, Any], where: str) -> None:
    missing = sorted(set(_TYPES) - set(values))
    unknown = sorted(set(values) - set(_TYPES))
    if missing or unknown:
        raise ModelError(
            f"{where} does not fit format {FORMAT}: missing {', '.join(missing) or 'nothing'}, "
            f"unknown {', '.join(unknown) or 'nothing'}.",
            _REMEDY,
        )
    for key, kind in _TYPES.items():
        if not isinstance(values[key], kind):
            raise ModelError(
                f"{where}: expected {key} to be {kind.__name__}, got {values[key]!r}.", _REMEDY
            )
