"""Δ as the confidence of predicted components, from a case's candidates.csv."""

from __future__ import annotations

import csv
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from hideseek_backend.errors import InputError

_COLUMNS = ("polarity", "delta", "kept", "centroid_r_mm", "centroid_a_mm", "centroid_s_mm")


@dataclass(frozen=True)
class ScoredCandidate:
    """A kept candidate: its polarity, its Δ and its centroid in RAS mm."""

    polarity: str
    delta: float
    centroid: tuple[float, float, float]


def read_candidates(path: Path) -> list[ScoredCandidate]:
    """Read the kept candidates of a candidates.csv.

    Raises InputError when columns are missing or a number is none.
    """
    with path.open(newline="", encoding="utf-8") as stream:
        reader = csv.DictReader(stream)
        missing = sorted(set(_COLUMNS) - set(reader.fieldnames or ()))
        if missing:
            raise InputError(
                f"{path} lacks the columns {', '.join(missing)}.",
                "Take the table that `hideseek segment` wrote beside lesions.nii.gz.",
            )
        try:
            return [
                ScoredCandidate(
                    row["polarity"],
                    float(row["delta"]),
                    (
                        float(row["centroid_r_mm"]),
                        float(row["centroid_a_mm"]),
                        float(row["centroid_s_mm"]),
                    ),
                )
                for row in reader
                if row["kept"].strip().lower() in ("1", "true", "yes")
            ]
        except ValueError as error:
            raise InputError(
                f"{path} holds a cell that is no number: {error}.", "Restore the original table."
            ) from error


def component_confidence(
    components: list[tuple[str, NDArray[np.float64]]], candidates: list[ScoredCandidate]
) -> list[float]:
    """Give every component the highest Δ among the candidates that belong to it.

    components: (polarity, (N, 3) RAS mm of its voxels) of each. A candidate belongs to the
    component of its polarity with the voxel nearest to its centroid (a centroid may lie outside
    a hollow lesion). Components that no candidate belongs to get 0.
    """
    confidence = [0.0] * len(components)
    for candidate in candidates:
        centroid = np.asarray(candidate.centroid)
        distances = [
            float(((points - centroid) ** 2).sum(axis=1).min())
            if polarity == candidate.polarity and len(points)
            else np.inf
            for polarity, points in components
        ]
        if not distances or not np.isfinite(min(distances)):
            continue
        nearest = int(np.argmin(distances))
        confidence[nearest] = max(confidence[nearest], candidate.delta)
    return confidence
