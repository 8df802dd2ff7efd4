"""Bootstrap intervals of means, over patients where they are known."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import stats

CONFIDENCE = 0.95
RESAMPLES = 2000


def interval_of_mean(
    values: Sequence[float], groups: Sequence[Hashable] | None = None
) -> tuple[float, float]:
    """Return the 95 % percentile-bootstrap interval of the mean of finite values.

    groups: which patient or case each value is of; all values of one are drawn together. Without
    them every value is drawn for itself. (NaN, NaN) with fewer than two groups. The draws are the
    same every time.
    """
    numbers = np.asarray(values, dtype=np.float64)
    order: dict[Hashable, int] = {}
    own = range(len(numbers)) if groups is None else groups
    index = np.array([order.setdefault(group, len(order)) for group in own], dtype=int)
    sums = np.bincount(index, numbers).astype(np.float64)
    counts = np.bincount(index).astype(np.float64)
    if len(sums) < 2:
        return float("nan"), float("nan")

    def mean(s: NDArray[np.float64], n: NDArray[np.float64], axis: int) -> NDArray[np.float64]:
        return np.asarray(s.sum(axis=axis) / n.sum(axis=axis))

    return _interval((sums, counts), mean, paired=True)


def interval_of_means(samples: Sequence[Sequence[float]]) -> tuple[float, float]:
    """Return the interval of the mean of several samples' means, each drawn within itself.

    (NaN, NaN) where a sample holds fewer than two finite values.
    """
    finite = [np.asarray(s, dtype=np.float64)[np.isfinite(s)] for s in samples]
    if not finite or min(map(len, finite)) < 2:
        return float("nan"), float("nan")

    def mean(*drawn: NDArray[np.float64], axis: int) -> NDArray[np.float64]:
        return np.asarray(np.mean([sample.mean(axis=axis) for sample in drawn], axis=0))

    return _interval(tuple(finite), mean, paired=False)


def interval_of(
    rows: NDArray[np.float64],
    statistic: Callable[[NDArray[np.float64]], float],
    *,
    resamples: int = RESAMPLES,
    seed: int = 0,
) -> tuple[float, float]:
    """Return the interval of any statistic of rows (n, …), one a patient, drawn as wholes.

    Draws whose statistic is undefined are left out. (NaN, NaN) with fewer than two rows.
    """
    if len(rows) < 2:
        return float("nan"), float("nan")
    rng = np.random.default_rng(seed)
    drawn = np.array(
        [statistic(rows[rng.integers(len(rows), size=len(rows))]) for _ in range(resamples)]
    )
    drawn = drawn[np.isfinite(drawn)]
    if not drawn.size:
        return float("nan"), float("nan")
    low, high = np.quantile(drawn, [(1 - CONFIDENCE) / 2, (1 + CONFIDENCE) / 2])
    return float(low), float(high)


def _interval(
    data: tuple[NDArray[np.float64], ...], statistic: Callable[..., Any], *, paired: bool
) -> tuple[float, float]:
    found = stats.bootstrap(
        data,
        statistic,
        paired=paired,
        vectorized=True,
        n_resamples=RESAMPLES,
        confidence_level=CONFIDENCE,
        method="percentile",
        random_state=0,
    ).confidence_interval
    return float(found.low), float(found.high)
