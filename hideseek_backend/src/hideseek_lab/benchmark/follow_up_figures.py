"""What phantom pairs come to: figures with intervals over pairs, and fitted limits of agreement."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from scipy.optimize import minimize

from hideseek_backend.followup.limits import Limits
from hideseek_lab.benchmark.follow_up import Link, PairScore
from hideseek_lab.scoring.intervals import interval_of

FIGURE_MM3 = 500.0
"""Lesions from 0.5 mL on at the earlier date count for the volume figure."""
# So many lesions must lie at a thickness or beyond it, or differ in kernel or contrast, before the
# limits speak for it.
LEAST_LESIONS = 10
# A change that limits should not swallow: half as large again, or a third less.
_CLEAR_CHANGE = math.log(1.5)


@dataclass(frozen=True)
class Figure:
    """A figure over n lesions, vertebrae or pairs, with its 95 % interval over pairs; NaN where
    there is nothing to say."""

    value: float
    low: float
    high: float
    n: int


@dataclass(frozen=True)
class Figures:
    """What the pairs come to.

    f1: of matching, among lesions that were found at both dates. volume_error: median of
    |measured ratio / true ratio − 1| for lesions of 0.5 mL and more. false_changes: share of
    unchanged lesions called grown or shrunk. found_changes: of changes by half or more.
    covered: share of all lesions whose error is within the limits. refused: lesions at both dates
    told not comparable, which count nowhere but in f1. elsewhere: findings beside every lesion, at
    one place at both dates. not_read: pairs of which a scan was refused by the reader of scans;
    they count nowhere else. indeterminate: lesions told so.
    """

    pairs: int
    f1: Figure
    levels_right: Figure
    fates_right: Figure
    volume_error: Figure
    false_changes: Figure
    found_changes: Figure
    covered: Figure
    refused: int
    elsewhere: int
    gap_mm: float
    not_read: int = 0
    indeterminate: int = 0


def figures(scores: Sequence[PairScore], limits: Limits, not_read: int = 0) -> Figures:
    """Add up pairs, as told by `limits`; not_read: pairs that are in none of the scores."""

    def over_pairs(
        statistic: Callable[[Sequence[PairScore]], float], count: Callable[[PairScore], int]
    ) -> Figure:
        rows = np.arange(len(scores), dtype=np.float64)

        def drawn(index: np.ndarray) -> float:
            return statistic([scores[int(n)] for n in index])

        low, high = interval_of(rows, drawn)
        return Figure(statistic(scores), low, high, sum(map(count, scores)))

    def share(values: Callable[[PairScore], list[bool]]) -> Figure:
        def mean(drawn: Sequence[PairScore]) -> float:
            every = [value for score in drawn for value in values(score)]
            return float(np.mean(every)) if every else math.nan

        return over_pairs(mean, lambda score: len(values(score)))

    def told(score: PairScore) -> list[Link]:
        return [] if limits.beyond(score.scans) else [e for e in score.links if e.matched]

    def errors(score: PairScore) -> list[float]:
        large = (e for e in told(score) if e.earlier_mm3 >= FIGURE_MM3)
        return [abs(math.exp(e.error) - 1) for e in large]

    def median_error(drawn: Sequence[PairScore]) -> float:
        every = [error for score in drawn for error in errors(score)]
        return float(np.median(every)) if every else math.nan

    def false_changes(score: PairScore) -> list[bool]:
        unchanged = score.kind == "unchanged"
        fates = (e.fate(limits, score.scans) for e in told(score) if unchanged)
        return [fate in ("grown", "shrunk") for fate in fates]

    def found_changes(score: PairScore) -> list[bool]:
        real = (e for e in told(score) if abs(math.log(e.ratio_true)) >= _CLEAR_CHANGE)
        return [
            e.fate(limits, score.scans) == ("grown" if e.ratio_true > 1 else "shrunk")
            for e in real
        ]  # fmt: skip

    def covered(score: PairScore) -> list[bool]:
        sds = [limits.sd(1000.0 * e.size_ml, score.scans) for e in told(score)]
        return [abs(e.error) <= 1.96 * sd for e, sd in zip(told(score), sds, strict=True)]

    return Figures(
        pairs=len(scores),
        f1=over_pairs(_f1, lambda s: s.matched + s.missed),
        levels_right=share(lambda s: _bits(s.levels_right, s.levels_shared)),
        fates_right=share(lambda s: _bits(s.fates_right, s.fates)),
        volume_error=over_pairs(median_error, lambda s: len(errors(s))),
        false_changes=share(false_changes),
        found_changes=share(found_changes),
        covered=share(covered),
        refused=_told(scores, limits, "not comparable"),
        elsewhere=sum(s.elsewhere for s in scores),
        gap_mm=float(np.mean([s.gap_mm for s in scores])) if scores else math.nan,
        not_read=not_read,
        indeterminate=_told(scores, limits, "indeterminate"),
    )


def fitted_limits(scores: Sequence[PairScore], source: str) -> Limits:
    """Fit the spread of the log ratio (measured over true) to the matched lesions.

    Maximum likelihood of a normal of mean 0, so that a bias counts as spread; `Limits` has the
    formula. What fewer than ten lesions speak for is not measured: thicker slices, scans that
    differ in kernel or contrast medium.
    """
    links = [(e, s.scans) for s in scores for e in s.links if e.matched]
    error = np.array([e.error for e, _ in links])
    surface = np.array([e.size_ml for e, _ in links]) ** (-1 / 3)
    slices = np.array([scans.thickness_mm for _, scans in links])
    kernels = np.array([bool(scans.kernels_differ) for _, scans in links])
    contrast = np.array([bool(scans.contrast_differs) for _, scans in links])

    def spread(logs: np.ndarray) -> np.ndarray:
        base, by_size, by_slice, kernel, medium = np.exp(logs)
        return np.sqrt(
            base**2 + (by_size**2 + (by_slice * slices) ** 2) * surface**2
            + kernel**2 * kernels + medium**2 * contrast
        )  # fmt: skip

    def loss(logs: np.ndarray) -> float:
        sd = spread(logs)
        return float((np.log(sd) + 0.5 * (error / sd) ** 2).sum())

    # Kernel and contrast begin small: without evidence for them they stay so.
    begin = np.log([0.03, 0.03, 0.01, 0.01, 0.01])
    bounds = [(math.log(1e-4), math.log(2.0))] * len(begin)
    best = minimize(loss, begin, method="L-BFGS-B", bounds=bounds)
    base, by_size, by_slice, kernel, medium = (round(float(v), 4) for v in np.exp(best.x))
    return Limits(
        base, by_size, _reach([scans.thickness_mm for _, scans in links]),
        _reach([scans.thickness_ratio for _, scans in links]), len(links), source, by_slice,
        kernel if kernels.sum() >= LEAST_LESIONS else None,
        medium if contrast.sum() >= LEAST_LESIONS else None,
    )  # fmt: skip


def _f1(scores: Sequence[PairScore]) -> float:
    matched, false, missed = (
        sum(getattr(s, name) for s in scores) for name in ("matched", "false", "missed")
    )
    return 2 * matched / (2 * matched + false + missed) if matched + false + missed else math.nan


def _told(scores: Sequence[PairScore], limits: Limits, fate: str) -> int:
    return sum(link.fate(limits, s.scans) == fate for s in scores for link in s.links)


def _bits(part: int, whole: int) -> list[bool]:
    return [True] * part + [False] * (whole - part)


def _reach(values: Sequence[float]) -> float:
    """The value that ten lesions have or exceed, up to a tenth: 2.45 mm slices speak for 2.5 mm."""
    enough = sorted(values)[-LEAST_LESIONS:]
    return math.ceil(round(10 * enough[0], 6)) / 10
