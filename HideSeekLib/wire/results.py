"""Read the backend's answer for one vertebra. No MRML: JSON in, frozen dataclasses out."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from HideSeekLib.errors import ReplyError
from HideSeekLib.wire import arrays, levels

POLARITIES = ("lytic", "blastic")


@dataclass(frozen=True)
class Candidate:
    """One candidate lesion. delta: Hide-and-Seek attribution; kept: the backend's own verdict at
    its threshold; area in crop pixels, volume in mm³, mean_hu in HU, centroid in RAS mm."""

    vertebra: str
    number: int
    polarity: str
    delta: float
    kept: bool
    p_hide: float
    slices: tuple[int, ...]
    area_px: int
    volume_mm3: float
    mean_hu: float
    centroid_ras: tuple[float, float, float]

    @property
    def key(self) -> str:
        """Name of the candidate within a case, as the report has it: "T12:3"."""
        return f"{self.vertebra}:{self.number}"


@dataclass(frozen=True)
class Evidence:
    """Sagittal slices of one crop: affine (4, 4) crop index (p, s, r) -> RAS mm; slices: the k of
    each; image, healthy, difference: (64, 64, n) float32, difference = healthy - image; unit: "HU"
    or another name for the model's own intensity."""

    affine: np.ndarray
    slices: tuple[int, ...]
    image: np.ndarray | None
    healthy: np.ndarray
    difference: np.ndarray
    unit: str = "HU"


@dataclass(frozen=True)
class VertebraReply:
    """The backend's answer for one vertebra.

    voxels: candidate number -> (N, 3) int32 voxel indices (i, j, k) on the CT's own grid.
    Volumes in mm³; p values in [0, 1]; reason: why it was not analysed, "" if it was.
    """

    level: str
    p_malignant: float
    p_healthy_image: float | None
    analysed: bool
    reason: str
    phenotype: str | None
    candidates: tuple[Candidate, ...]
    voxels: Mapping[int, np.ndarray]
    body_volume_mm3: float
    lytic_volume_mm3: float
    blastic_volume_mm3: float
    evidence: Evidence | None = None
    warnings: tuple[str, ...] = ()
    seconds: float = 0.0
    options: Mapping[str, Any] = field(default_factory=dict)


def parse_vertebra(
    message: Any, options: Mapping[str, Any] | None = None, unit: str = "HU"
) -> VertebraReply:
    """Check and convert the "vertebra" object of a worker's reply.

    options: what the analysis was run with, kept with the result; unit: of the evidence arrays.
    Raises ReplyError naming the field that is missing or wrong; nothing is guessed.
    """
    if not isinstance(message, dict):
        raise ReplyError(f"expected a vertebra object, got {type(message).__name__}")
    level = _get(message, "level", str)
    if level not in levels.LEVELS:
        raise ReplyError(f"expected a vertebral level, got {level!r}")
    candidates = tuple(_candidate(level, c) for c in _get(message, "candidates", list))
    numbers = [c.number for c in candidates]
    if len(set(numbers)) != len(numbers):
        raise ReplyError(f"{level}: two candidates have the same number")
    return VertebraReply(
        level=level,
        p_malignant=_or_nan(message, "p_malignant"),
        p_healthy_image=_maybe(message, "p_healthy_image"),
        analysed=_get(message, "analysed", bool),
        reason=_get(message, "reason", str),
        phenotype=message.get("phenotype"),
        candidates=candidates,
        voxels=_voxels(level, message, set(numbers)),
        body_volume_mm3=_or_nan(message, "body_volume_mm3"),
        lytic_volume_mm3=_or_nan(message, "lytic_volume_mm3"),
        blastic_volume_mm3=_or_nan(message, "blastic_volume_mm3"),
        evidence=_evidence(level, message.get("evidence"), unit),
        warnings=tuple(str(w) for w in message.get("warnings") or ()),
        seconds=_maybe(message, "seconds") or 0.0,
        options=dict(options or {}),
    )


def _get(message: Mapping[str, Any], key: str, kind: type) -> Any:
    value = message.get(key)
    if not isinstance(value, kind):
        raise ReplyError(f"'{key}': expected {kind.__name__}, got {value!r:.60}")
    return value


def _number(message: Mapping[str, Any], key: str) -> float:
    value = message.get(key)
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        raise ReplyError(f"'{key}': expected a number, got {value!r:.60}")
    return float(value)


def _maybe(message: Mapping[str, Any], key: str) -> float | None:
    return None if message.get(key) is None else _number(message, key)


def _or_nan(message: Mapping[str, Any], key: str) -> float:
    """A number, or NaN where the backend sends null (JSON has no NaN)."""
    if key not in message:
        raise ReplyError(f"'{key}' is missing")
    value = _maybe(message, key)
    return math.nan if value is None else value


def _candidate(level: str, message: Any) -> Candidate:
    if not isinstance(message, dict):
        raise ReplyError(f"{level}: expected a candidate object, got {type(message).__name__}")
    polarity = _get(message, "polarity", str)
    if polarity not in POLARITIES:
        raise ReplyError(f"{level}: expected a polarity in {POLARITIES}, got {polarity!r}")
    number = _get(message, "candidate", int)
    centroid = _get(message, "centroid_ras", list)
    if number < 1 or len(centroid) != 3:
        raise ReplyError(f"{level}: candidate {number} has centroid {centroid!r:.60}")
    return Candidate(
        vertebra=level,
        number=number,
        polarity=polarity,
        delta=_or_nan(message, "delta"),
        kept=_get(message, "kept", bool),
        p_hide=_or_nan(message, "p_hide"),
        slices=tuple(int(k) for k in _get(message, "slices", list)),
        area_px=int(_number(message, "area_px")),
        volume_mm3=_number(message, "volume_mm3"),
        mean_hu=_or_nan(message, "mean_hu"),
        centroid_ras=(float(centroid[0]), float(centroid[1]), float(centroid[2])),
    )


def _voxels(level: str, message: Mapping[str, Any], known: set[int]) -> dict[int, np.ndarray]:
    """Voxel indices on the CT's grid of every candidate, from the block's label array."""
    encoded = message.get("block_labels")
    if encoded is None:
        return {}
    labels = arrays.decode(encoded)
    origin = message.get("block_origin_ijk")
    if labels.ndim != 3 or not isinstance(origin, list) or len(origin) != 3:
        raise ReplyError(f"{level}: block_labels has shape {labels.shape}, origin {origin!r:.60}")
    index = np.argwhere(labels)
    values = labels[tuple(index.T)]
    strangers = set(np.unique(values).tolist()) - known
    if strangers:
        raise ReplyError(f"{level}: voxels are labelled {sorted(strangers)}, which no candidate is")
    index = (index + np.array(origin, int)).astype(np.int32)
    return {number: index[values == number] for number in sorted(known)}


def _evidence(level: str, message: Any, unit: str) -> Evidence | None:
    if not message:
        return None
    if not isinstance(message, dict):
        raise ReplyError(f"{level}: expected an evidence object, got {type(message).__name__}")
    slices = tuple(int(k) for k in _get(message, "slices", list))
    if not slices:
        return None
    affine = np.asarray(message.get("affine"), float)
    if affine.shape != (4, 4) or abs(np.linalg.det(affine[:3, :3])) < 1e-9:
        raise ReplyError(f"{level}: evidence has no usable affine")
    volumes: dict[str, np.ndarray | None] = {}
    for name in ("image", "healthy", "difference"):
        volumes[name] = arrays.decode(message[name]) if message.get(name) is not None else None
        found = volumes[name]
        if found is not None and (found.ndim != 3 or found.shape[2] != len(slices)):
            raise ReplyError(
                f"{level}: {name} has shape {found.shape}, expected {len(slices)} slices"
            )
    healthy, difference = volumes["healthy"], volumes["difference"]
    if healthy is None or difference is None:
        raise ReplyError(f"{level}: evidence lacks the healthy edit or the difference")
    return Evidence(affine, slices, volumes["image"], healthy, difference, unit)
