"""What readings come to: Cohen's κ, ICC(2,1), detection F1 and time, with bootstrap intervals."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import combinations
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from hideseek_backend.errors import InputError
from hideseek_backend.wire import worklist
from hideseek_backend.wire.errors import WireError
from hideseek_backend.wire.worklist import Reading

RESAMPLES = 2000
Level = tuple[str, str]
Array = NDArray[np.float64]


@dataclass(frozen=True)
class Figure:
    """One figure with its 95 % interval over cases. arm: "with", "without" or "" for the difference
    with − without. n: what it counts."""

    name: str
    arm: str
    value: float
    low: float
    high: float
    n: int


def read_readings(folder: Path) -> list[Reading]:
    """Read all finished readings of a worklist.

    Raises InputError where there are none, or one is damaged.
    """
    try:
        found = [
            worklist.read_reading(p) for p in sorted((folder / worklist.READS).glob("*/*.json"))
        ]
    except WireError as error:
        raise InputError(f"A reading cannot be used: {error}.", "Restore the file.") from error
    done = [reading for reading in found if reading.done]
    if not done:
        raise InputError(
            f"Expected finished readings in {folder / worklist.READS}, got none.",
            "Read cases from the panel's worklist first.",
        )
    return done


def study_figures(
    readings: Sequence[Reading], truth: Mapping[Level, str] | None = None, seed: int = 1
) -> list[Figure]:
    """Return κ and ICC between readers, F1 against the truth, and time a case, for each arm.

    truth: (case, level) -> label; without it no F1. Intervals: percentile bootstrap over cases, as
    levels of one case are not independent; arms are compared on the same drawn cases.
    """
    cases = sorted({r.case for r in readings})
    draws = np.random.default_rng(seed).multinomial(
        len(cases), [1 / len(cases)] * len(cases), RESAMPLES
    )
    # The first row is the study itself.
    weights = np.vstack([np.ones((1, len(cases))), draws]).astype(np.float64)
    figures: list[Figure] = []
    for name, sums, measure in (
        ("Cohen's kappa between readers", _tables, _kappa),
        ("ICC(2,1) of lesion volume", _volume_sums, _icc),
        ("detection F1 against the truth", partial(_hits, truth=truth or {}), _f1),
        ("seconds a case", _seconds, _mean),
    ):
        arms = []
        for arm in worklist.ARMS:
            stats, n = sums([r for r in readings if r.arm == arm], cases)
            values = measure(_drawn(weights, stats)) if n else None
            arms.append(values)
            if values is not None and math.isfinite(values[0]):
                figures.append(Figure(name, arm, float(values[0]), *_interval(values[1:]), n))
        if arms[0] is not None and arms[1] is not None:
            apart = arms[0] - arms[1]
            if math.isfinite(apart[0]):
                told = f"{name}, with − without"
                figures.append(Figure(told, "", float(apart[0]), *_interval(apart[1:]), len(cases)))
    return figures


def cohen_kappa(a: Sequence[str], b: Sequence[str]) -> float:
    """Cohen's κ of two raters' labels of the same items. NaN where chance alone agrees fully.

    Cohen 1960.
    """
    return float(_kappa(_table(a, b)[None, None])[0])


def _table(a: Sequence[str], b: Sequence[str]) -> Array:
    index = {name: n for n, name in enumerate(worklist.LABELS)}
    table = np.zeros((len(index), len(index)))
    np.add.at(table, ([index[x] for x in a], [index[x] for x in b]), 1.0)
    return table


def _by_case(readings: Sequence[Reading]) -> dict[str, dict[str, Reading]]:
    """Reader -> case -> reading."""
    found: dict[str, dict[str, Reading]] = {}
    for r in readings:
        found.setdefault(r.reader, {})[r.case] = r
    return found


def _tables(readings: Sequence[Reading], cases: Sequence[str]) -> tuple[Array, int]:
    """(cases, pairs of readers, labels, labels) counts of vertebrae that both labelled."""
    readers = list(_by_case(readings).values())
    pairs = list(combinations(readers, 2))
    size = len(worklist.LABELS)
    stats = np.zeros((len(cases), max(1, len(pairs)), size, size))
    for p, (one, two) in enumerate(pairs):
        for n, case in enumerate(cases):
            if case in one and case in two:
                a, b = dict(one[case].labels), dict(two[case].labels)
                shared = [level for level in a if level in b]
                stats[n, p] = _table([a[x] for x in shared], [b[x] for x in shared])
    return stats, int(stats.sum())


def _kappa(tables: Array) -> Array:
    """Mean κ over pairs of readers: (R, P, L, L) -> (R,)."""
    total = tables.sum(axis=(2, 3))
    with np.errstate(invalid="ignore", divide="ignore"):
        agreed = np.trace(tables, axis1=2, axis2=3) / total
        chance = (tables.sum(axis=3) * tables.sum(axis=2)).sum(axis=2) / total**2
        kappa = np.where(chance < 1, (agreed - chance) / (1 - chance), np.nan)
        counted = np.isfinite(kappa)
        return np.asarray(np.where(counted, kappa, 0.0).sum(axis=1) / counted.sum(axis=1))


def _volume_sums(readings: Sequence[Reading], cases: Sequence[str]) -> tuple[Array, int]:
    """(cases, k + 3) sums over vertebrae that all k readers labelled: n, Σ x², Σ row mean², Σ x."""
    readers = list(_by_case(readings).values())
    k = len(readers)
    stats = np.zeros((len(cases), k + 3))
    for n, case in enumerate(cases):
        own = [r[case] for r in readers if case in r]
        if len(own) < max(k, 2):
            continue
        for level in set.intersection(*({lv for lv, _ in r.labels} for r in own)):
            x = np.array([dict(r.volumes).get(level, 0.0) for r in own])
            stats[n] += [1.0, (x**2).sum(), x.mean() ** 2, *x]
    # Volumes that are all 0 were not measured.
    return stats, int(stats[:, 0].sum()) if stats[:, 1].any() else 0


def _icc(sums: Array) -> Array:
    """ICC(2,1) of the sums of `_volume_sums`: (R, k + 3) -> (R,). McGraw and Wong 1996."""
    n, squares, rows2, columns = sums[:, 0], sums[:, 1], sums[:, 2], sums[:, 3:]
    k = columns.shape[1]
    with np.errstate(invalid="ignore", divide="ignore"):
        mean = columns.sum(axis=1) / (n * k)
        rows = k * (rows2 - n * mean**2)
        between = (columns**2).sum(axis=1) / n - n * k * mean**2
        error = squares - n * k * mean**2 - rows - between
        ms_r, ms_c, ms_e = rows / (n - 1), between / (k - 1), error / ((n - 1) * (k - 1))
        return np.asarray((ms_r - ms_e) / (ms_r + (k - 1) * ms_e + k * (ms_c - ms_e) / n))


def _hits(
    readings: Sequence[Reading], cases: Sequence[str], truth: Mapping[Level, str]
) -> tuple[Array, int]:
    """(cases, 3) hits, false alarms and misses of diseased vertebrae, over all readers."""
    stats, place = np.zeros((len(cases), 3)), {case: n for n, case in enumerate(cases)}
    for r in readings:
        for level, label in r.labels:
            wanted = truth.get((r.case, level))
            if wanted is not None:
                sick, said = wanted != "healthy", label != "healthy"
                stats[place[r.case]] += [sick and said, said and not sick, sick and not said]
    return stats, int(stats[:, [0, 2]].sum())


def _f1(sums: Array) -> Array:
    with np.errstate(invalid="ignore"):
        return np.asarray(2 * sums[:, 0] / (2 * sums[:, 0] + sums[:, 1] + sums[:, 2]))


def _seconds(readings: Sequence[Reading], cases: Sequence[str]) -> tuple[Array, int]:
    stats, place = np.zeros((len(cases), 2)), {case: n for n, case in enumerate(cases)}
    for r in readings:
        stats[place[r.case]] += [r.seconds, 1.0]
    return stats, len(readings)


def _mean(sums: Array) -> Array:
    with np.errstate(invalid="ignore"):
        return np.asarray(sums[:, 0] / sums[:, 1])


def _drawn(weights: Array, stats: Array) -> Array:
    """Sums of drawn cases: (R, C) times (C, …) -> (R, …)."""
    flat = stats.reshape(len(stats), -1)
    return np.asarray((weights @ flat).reshape(len(weights), *stats.shape[1:]))


def _interval(draws: Array) -> tuple[float, float]:
    finite = draws[np.isfinite(draws)]
    if len(finite) < RESAMPLES // 2:
        return math.nan, math.nan
    low, high = np.percentile(finite, [2.5, 97.5])
    return float(low), float(high)
