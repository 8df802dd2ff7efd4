"""Tests and intervals over patients."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import stats

from hideseek_lab.scoring.agreement import icc_2_1, mean_squares
from hideseek_lab.scoring.intervals import RESAMPLES, interval_of, interval_of_mean


@dataclass(frozen=True)
class Interval:
    """A figure with its interval, over n patients (or lesions); NaN where it is undefined."""

    value: float
    low: float
    high: float
    n: int

    def __str__(self) -> str:
        if not math.isfinite(self.value):
            return "–"
        if not math.isfinite(self.low):
            return f"{self.value:.2f}"
        return f"{self.value:.2f} ({self.low:.2f}–{self.high:.2f})"


@dataclass(frozen=True)
class PairedTest:
    """Second against first on the same patients.

    difference: mean of second − first, sd over n − 1. shapiro: p of the differences being normal.
    t, wilcoxon: two-sided p; NaN where a test is undefined (all differences 0, too few).
    """

    n: int
    difference: float
    sd: float
    interval: tuple[float, float]
    shapiro: float
    t: float
    wilcoxon: float


def bootstrap(
    values: ArrayLike,
    statistic: Callable[[NDArray[np.float64]], float] | None = None,
    *,
    resamples: int = RESAMPLES,
) -> Interval:
    """A statistic (the mean by default) with its percentile interval over resampled patients.

    values: (n,) or (n, …), one row a patient. NaN rows are left out of (n,).
    """
    rows = np.asarray(values, dtype=float)
    if rows.ndim == 1:
        rows = rows[np.isfinite(rows)]
    if not len(rows):
        return Interval(math.nan, math.nan, math.nan, 0)
    if statistic is None:
        return Interval(float(rows.mean()), *interval_of_mean(rows.tolist()), len(rows))
    low, high = interval_of(rows, statistic, resamples=resamples)
    return Interval(statistic(rows), low, high, len(rows))


def compare_paired(first: Sequence[float], second: Sequence[float]) -> PairedTest:
    """Compare two systems on the same patients: paired t-test, Wilcoxon's signed ranks, and
    Shapiro-Wilk on the differences, which says which of both is meant."""
    a, b = np.asarray(first, dtype=float), np.asarray(second, dtype=float)
    kept = np.isfinite(a) & np.isfinite(b)
    d = (b - a)[kept]
    n = len(d)
    if n == 0:
        nan = math.nan
        return PairedTest(0, nan, nan, (nan, nan), nan, nan, nan)
    interval = bootstrap(d)
    varies = n > 1 and float(np.ptp(d)) > 0
    return PairedTest(
        n=n,
        difference=float(d.mean()),
        sd=float(d.std(ddof=1)) if n > 1 else math.nan,
        interval=(interval.low, interval.high),
        shapiro=shapiro(d),
        t=float(stats.ttest_rel(b[kept], a[kept]).pvalue) if varies else math.nan,
        wilcoxon=float(stats.wilcoxon(d).pvalue) if np.any(d) else math.nan,
    )


def mann_whitney(first: Sequence[float], second: Sequence[float]) -> float:
    """Two-sided p of two unpaired groups (lesions that each system found); NaN for an empty one."""
    a = np.asarray([v for v in first if math.isfinite(v)])
    b = np.asarray([v for v in second if math.isfinite(v)])
    if not a.size or not b.size:
        return math.nan
    return float(stats.mannwhitneyu(a, b, alternative="two-sided").pvalue)


def shapiro(values: ArrayLike) -> float:
    """p of Shapiro and Wilk's test of normality; NaN for fewer than 3 values or equal ones."""
    data = np.asarray(values, dtype=float)
    data = data[np.isfinite(data)]
    if len(data) < 3 or float(np.ptp(data)) == 0:
        return math.nan
    return float(stats.shapiro(data).pvalue)


def bonferroni(p: Sequence[float]) -> list[float]:
    """p times the number of defined tests, at most 1; NaN stays NaN and is not counted."""
    count = sum(math.isfinite(v) for v in p)
    return [min(v * count, 1.0) if math.isfinite(v) else math.nan for v in p]


def icc_2_1_interval(ratings: ArrayLike, level: float = 0.95) -> Interval:
    """ICC(2,1) with its interval: McGraw and Wong 1996, table 7, case 2A (F with Satterthwaite's
    degrees of freedom).

    ratings: (targets, raters). Raises InputError for another shape, as `icc_2_1`.
    """
    value = icc_2_1(ratings)
    table = np.asarray(ratings, dtype=float)
    rows, columns, error = mean_squares(table)
    n, k = table.shape
    if not math.isfinite(value) or error <= 0 or value >= 1:
        return Interval(value, math.nan, math.nan, n)
    a = k * value / (n * (1 - value))
    b = 1 + k * value * (n - 1) / (n * (1 - value))
    v = (a * columns + b * error) ** 2 / (
        (a * columns) ** 2 / (k - 1) + (b * error) ** 2 / ((n - 1) * (k - 1))
    )
    tail = (1 + level) / 2
    f_low, f_high = stats.f.ppf(tail, n - 1, v), stats.f.ppf(tail, v, n - 1)
    weight = k * columns + (k * n - k - n) * error
    low = n * (rows - f_low * error) / (f_low * weight + n * rows)
    high = n * (f_high * rows - error) / (weight + n * f_high * rows)
    return Interval(value, float(low), float(high), n)
