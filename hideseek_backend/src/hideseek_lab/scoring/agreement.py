"""Agreement of readings over cases: ICC(2,1) of volumes, FROC, and counts between two raters."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from hideseek_backend.errors import InputError
from hideseek_lab.scoring.metrics import UnitScores

ONE_ML_MM3 = 1000.0


def icc_2_1(ratings: ArrayLike) -> float:
    """Intraclass correlation ICC(2,1): two-way random effects, absolute agreement, single measure.

    ratings: (targets, raters), at least 2 by 2. Returns NaN when nothing varies.
    Raises InputError for another shape. Shrout and Fleiss 1979; McGraw and Wong 1996.
    """
    table = np.asarray(ratings, dtype=float)
    if table.ndim != 2 or min(table.shape) < 2:
        raise InputError(
            f"ICC(2,1) needs at least 2 targets and 2 raters, got an array of {table.shape}.",
            "Give one row a case and one column a rater.",
        )
    rows, columns, error = mean_squares(table)
    n, k = table.shape
    denominator = rows + (k - 1) * error + k * (columns - error) / n
    return float((rows - error) / denominator) if denominator > 0 else math.nan


def mean_squares(table: NDArray[np.float64]) -> tuple[float, float, float]:
    """Mean squares of targets (rows), raters (columns) and what is left, of a two-way table.

    table: (targets, raters), at least 2 by 2. Shrout and Fleiss 1979, table 1.
    """
    n, k = table.shape
    mean = table.mean()
    rows = k * ((table.mean(axis=1) - mean) ** 2).sum() / (n - 1)
    columns = n * ((table.mean(axis=0) - mean) ** 2).sum() / (k - 1)
    residual = table - table.mean(axis=1, keepdims=True) - table.mean(axis=0) + mean
    error = (residual**2).sum() / ((n - 1) * (k - 1))
    return float(rows), float(columns), float(error)


@dataclass(frozen=True)
class FrocCase:
    """Lesions of one case for a FROC curve.

    volumes_mm3: (L,) reference lesions. confidences, predicted_mm3: (P,) predicted components.
    hits: (P,) for each component the indices of the reference lesions it overlaps.
    """

    volumes_mm3: tuple[float, ...]
    confidences: tuple[float, ...]
    predicted_mm3: tuple[float, ...]
    hits: tuple[tuple[int, ...], ...]


@dataclass(frozen=True)
class FrocCurve:
    """Sensitivity against false positives per case, from the strictest threshold on.

    sensitivity, false_positives: (T,), both rising. lesions: how many the curve is about.
    """

    thresholds: NDArray[np.float64]
    sensitivity: NDArray[np.float64]
    false_positives: NDArray[np.float64]
    lesions: int
    cases: int

    def area(self, limit: float) -> float:
        """Area under the piecewise-linear curve up to `limit` false positives per case.

        The curve starts at (0, 0) and stays level after its last point: sensitivity cannot fall.
        """
        if not self.lesions:
            return math.nan
        x = np.concatenate([[0.0], self.false_positives])
        y = np.concatenate([[0.0], self.sensitivity])
        last = int(np.searchsorted(x, limit, side="right")) - 1
        x_cut, y_cut = x[: last + 1], y[: last + 1]
        if x[last] < limit:
            end = y[last]
            if last + 1 < len(x):
                share = (limit - x[last]) / (x[last + 1] - x[last])
                end = y[last] + share * (y[last + 1] - y[last])
            x_cut, y_cut = np.append(x_cut, limit), np.append(y_cut, end)
        return float((np.diff(x_cut) * (y_cut[1:] + y_cut[:-1]) / 2).sum())


def froc(cases: Sequence[FrocCase], min_volume_mm3: float = 0.0) -> FrocCurve:
    """Sweep the confidence threshold over all predicted components.

    A lesion is found when any component at or above the threshold overlaps it. A component that
    overlaps no lesion at all is false. With `min_volume_mm3` only lesions of that size are to be
    found, and only false components of that size count.
    Raises InputError without cases.
    """
    if not cases:
        raise InputError("A FROC curve needs at least one case, got none.", "Give cases.")
    best: list[float] = []
    false: list[float] = []
    levels: list[float] = []
    for case in cases:
        reached = [-math.inf] * len(case.volumes_mm3)
        for confidence, volume, hits in zip(
            case.confidences, case.predicted_mm3, case.hits, strict=True
        ):
            levels.append(confidence)
            for lesion in hits:
                reached[lesion] = max(reached[lesion], confidence)
            if not hits and volume >= min_volume_mm3:
                false.append(confidence)
        best += [
            value
            for value, volume in zip(reached, case.volumes_mm3, strict=True)
            if volume >= min_volume_mm3
        ]
    thresholds = np.unique(np.asarray(levels, dtype=float))[::-1]
    if not thresholds.size:
        thresholds = np.array([math.inf])
    found, wrong = np.asarray(best), np.asarray(false)
    sensitivity = np.array([(found >= t).mean() if found.size else math.nan for t in thresholds])
    positives = np.array([(wrong >= t).sum() / len(cases) for t in thresholds])
    return FrocCurve(thresholds, sensitivity, positives, len(best), len(cases))


def froc_case(
    scores: UnitScores, confidences: Sequence[float] | None = None, polarity: str | None = None
) -> FrocCase:
    """Make a FROC case of a unit's scores.

    confidences: one a predicted component, in the order of `scores.predictions`; without them a
    component's volume in mm³ serves, larger being surer.
    """
    values = (
        [component.volume_mm3 for component in scores.predictions]
        if confidences is None
        else list(confidences)
    )
    lesions = [le for le in scores.lesions if polarity in (None, le.polarity)]
    number = {(lesion.polarity, lesion.lesion): i for i, lesion in enumerate(lesions)}
    chosen = [
        (value, part)
        for value, part in zip(values, scores.predictions, strict=True)
        if polarity in (None, part.polarity)
    ]
    return FrocCase(
        volumes_mm3=tuple(lesion.volume_mm3 for lesion in lesions),
        confidences=tuple(float(value) for value, _ in chosen),
        predicted_mm3=tuple(part.volume_mm3 for _, part in chosen),
        hits=tuple(tuple(number[(part.polarity, hit)] for hit in part.hits) for _, part in chosen),
    )


@dataclass(frozen=True)
class RaterCounts:
    """Lesion counts of rater B against rater A (the paper's table 5); rates are fractions."""

    annotated_a: int
    annotated_b: int
    matched_a: int
    missed_a: int
    extra_b: int

    @property
    def fn_rate(self) -> float:
        return self.missed_a / self.annotated_a if self.annotated_a else math.nan

    @property
    def fp_rate(self) -> float:
        return self.extra_b / self.annotated_b if self.annotated_b else math.nan


def count_lesions(units: Sequence[UnitScores], polarity: str | None = None) -> RaterCounts:
    """Add up lesions over units where the prediction is rater B and the reference rater A."""
    lesions = [le for unit in units for le in unit.lesions if polarity in (None, le.polarity)]
    parts = [p for unit in units for p in unit.predictions if polarity in (None, p.polarity)]
    matched = sum(lesion.matched for lesion in lesions)
    return RaterCounts(
        annotated_a=len(lesions),
        annotated_b=len(parts),
        matched_a=matched,
        missed_a=len(lesions) - matched,
        extra_b=sum(part.matched_to == 0 for part in parts),
    )
