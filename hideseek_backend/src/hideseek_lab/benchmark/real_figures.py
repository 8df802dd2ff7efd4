"""Figures of screened real vertebrae, with bootstrap intervals over patients."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from sklearn.metrics import roc_auc_score

from hideseek_lab.benchmark.real_set import (
    BENIGN,
    GROWN,
    SIZES_ML,
    UNTOUCHED,
    WARPED,
    Screened,
)
from hideseek_lab.scoring.intervals import RESAMPLES, interval_of_mean

SPECIFICITY = 0.90
"""At which sensitivity by size is given: the threshold is that of the untouched vertebrae."""


@dataclass(frozen=True)
class Figure:
    """A figure with its 95 % bootstrap interval over patients; NaN where it can't be told.

    count: vertebrae it is about.
    """

    name: str
    value: float
    low: float
    high: float
    count: int

    def line(self) -> str:
        """One line of a table."""
        return f"{self.name:58s} {self.value:5.2f} ({self.low:.2f}–{self.high:.2f})  n {self.count}"


def mean_figure(name: str, patients: NDArray[np.str_], values: NDArray[np.float64]) -> Figure:
    """The mean of values (N,), with its interval over the patients (N,) they are of."""
    mean = float(values.mean()) if len(values) else float("nan")
    low, high = interval_of_mean(values.tolist(), patients.tolist())
    return Figure(name, mean, low, high, len(values))


def patient_draws(
    patients: NDArray[np.str_], seed: int = 0, resamples: int = RESAMPLES
) -> list[NDArray[np.int_]]:
    """Bootstrap draws of rows: patients (N,) are drawn with all their rows."""
    own = [np.flatnonzero(patients == name) for name in np.unique(patients)]
    rng = np.random.default_rng(seed)
    return [
        np.concatenate([own[i] for i in rng.integers(len(own), size=len(own))])
        for _ in range(resamples)
    ]


@dataclass(frozen=True, eq=False)
class _Columns:
    logit: NDArray[np.float64]
    kind: NDArray[np.str_]
    volume: NDArray[np.float64]

    def take(self, index: NDArray[np.int_]) -> _Columns:
        return _Columns(self.logit[index], self.kind[index], self.volume[index])


def figures(rows: Sequence[Screened], seed: int = 0) -> list[Figure]:
    """Return the table of screened vertebrae. Patients are drawn with all their vertebrae."""
    columns = _Columns(
        np.array([row.logit for row in rows]),
        np.array([row.kind for row in rows]),
        np.array([row.volume_ml for row in rows]),
    )
    patients = np.array([row.patient for row in rows])
    draws = patient_draws(patients, seed)
    wanted: list[tuple[str, Callable[[_Columns], float], NDArray[np.bool_]]] = [
        ("untouched, real: specificity at p = 0.5", _below(UNTOUCHED), columns.kind == UNTOUCHED),
        ("benign inserted: specificity at p = 0.5", _below(BENIGN), columns.kind == BENIGN),
    ]
    for kind, title in ((WARPED, "inserted"), (GROWN, "inserted, second generator")):
        mine = columns.kind == kind
        wanted.append((f"{title}: AUC against untouched", _auc(kind), mine))
        wanted.append((f"{title}: sensitivity at p = 0.5", _above(kind), mine))
        for name, low, high in SIZES_ML:
            sized = mine & (columns.volume >= low) & (columns.volume < high)
            text = f"{title}, {name}: sensitivity at specificity {SPECIFICITY:.2f}"
            wanted.append((text, _by_size(kind, low, high), sized))
    made = []
    for name, measure, mine in wanted:
        drawn = np.array([measure(columns.take(index)) for index in draws])
        told = drawn[np.isfinite(drawn)]
        low, high = np.percentile(told, [2.5, 97.5]) if told.size else (np.nan, np.nan)
        made.append(Figure(name, measure(columns), float(low), float(high), int(mine.sum())))
    return made


def by_patient(rows: Sequence[Screened]) -> dict[str, tuple[int, int]]:
    """Untouched vertebrae below p = 0.5, and all of them, by patient."""
    table: dict[str, tuple[int, int]] = {}
    for row in rows:
        if row.kind == UNTOUCHED:
            below, count = table.get(row.patient, (0, 0))
            table[row.patient] = (below + int(row.logit < 0), count + 1)
    return table


def _share(values: NDArray[np.bool_]) -> float:
    return float(values.mean()) if values.size else float("nan")


def _below(kind: str) -> Callable[[_Columns], float]:
    return lambda c: _share(c.logit[c.kind == kind] < 0)


def _above(kind: str) -> Callable[[_Columns], float]:
    return lambda c: _share(c.logit[c.kind == kind] >= 0)


def _auc(kind: str) -> Callable[[_Columns], float]:
    def measure(c: _Columns) -> float:
        chosen = (c.kind == kind) | (c.kind == UNTOUCHED)
        truth = c.kind[chosen] == kind
        if truth.all() or not truth.any():
            return float("nan")
        return float(roc_auc_score(truth, c.logit[chosen]))

    return measure


def _by_size(kind: str, low: float, high: float) -> Callable[[_Columns], float]:
    def measure(c: _Columns) -> float:
        untouched = c.logit[c.kind == UNTOUCHED]
        if not untouched.size:
            return float("nan")
        threshold = np.quantile(untouched, SPECIFICITY)
        sized = (c.kind == kind) & (c.volume >= low) & (c.volume < high)
        return _share(c.logit[sized] > threshold)

    return measure
