"""Means over units with their intervals, per phenotype."""

from __future__ import annotations

import math
from collections.abc import Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from hideseek_lab.scoring.intervals import interval_of_mean
from hideseek_lab.scoring.metrics import METRICS, UnitScores

#: order of the paper's tables
PHENOTYPES: tuple[str, ...] = ("blastic", "lytic", "mixed")


@dataclass(frozen=True)
class Stat:
    """Mean and standard deviation (over n, as panoptica) of the defined values; n of them.

    low, high: 95 % bootstrap interval of the mean; NaN for fewer than two patients.
    """

    mean: float
    sd: float
    n: int
    low: float = math.nan
    high: float = math.nan

    def __str__(self) -> str:
        if self.n == 0:
            return "–"
        if math.isnan(self.low):
            return f"{self.mean:.2f}"
        return f"{self.mean:.2f} ({self.low:.2f}–{self.high:.2f})"


@dataclass(frozen=True)
class FalseFindings:
    """What was marked in units without a lesion.

    clean: share of units with nothing marked. components: mean false components a unit.
    median_mm3, mean_mm3: false lesion volume a unit (area times one spacing for slices).
    """

    units: int
    clean: float
    components: float
    median_mm3: float
    mean_mm3: float


def stat(values: Iterable[float], groups: Iterable[Hashable] | None = None) -> Stat:
    """Summarise the finite values; mean and SD are NaN when there are none.

    groups: the patient or case of each value, whose values are drawn together for the interval.
    """
    listed = list(values)
    own = list(range(len(listed))) if groups is None else list(groups)
    told = [(v, g) for v, g in zip(listed, own, strict=True) if math.isfinite(v)]
    if not told:
        return Stat(math.nan, math.nan, 0)
    finite = np.array([value for value, _ in told], dtype=float)
    low, high = interval_of_mean(finite.tolist(), [group for _, group in told])
    return Stat(float(finite.mean()), float(finite.std()), int(finite.size), low, high)


def mean_of(values: Iterable[float]) -> float:
    """Mean of the finite values, NaN without any: for searches, which need no interval."""
    finite = [value for value in values if math.isfinite(value)]
    return float(np.mean(finite)) if finite else math.nan


def summarise(
    units: Sequence[tuple[str, UnitScores]],
    metrics: Sequence[str] = tuple(METRICS),
    groups: Sequence[Hashable] | None = None,
) -> dict[str, dict[str, Stat]]:
    """Summarise units by phenotype.

    units: (phenotype, scores) of each. groups: the patient or case of each, see `stat`. Returns
    {phenotype: {metric: Stat}} for the phenotypes that occur among blastic, lytic and mixed (and
    any other name but "healthy"), in that order, and "all" over them. Healthy units have no lesion
    to find: see `false_findings`.
    """
    names = [name for name in PHENOTYPES if any(name == unit[0] for unit in units)]
    names += sorted({unit[0] for unit in units} - set(PHENOTYPES) - {"healthy"})
    own = list(range(len(units))) if groups is None else list(groups)

    def table(chosen: Sequence[str]) -> dict[str, Stat]:
        rows = [(s, g) for (p, s), g in zip(units, own, strict=True) if p in chosen]
        of = [group for _, group in rows]
        return {name: stat((scores.values[name] for scores, _ in rows), of) for name in metrics}

    found = {name: table([name]) for name in names}
    return found | {"all": table(names)} if len(names) > 1 else found


def false_findings(units: Sequence[tuple[str, UnitScores]]) -> FalseFindings | None:
    """Summarise what was marked in healthy units; None when there are none."""
    healthy = [scores for phenotype, scores in units if phenotype == "healthy"]
    if not healthy:
        return None
    volumes = np.array([scores.predicted_mm3 for scores in healthy])
    return FalseFindings(
        units=len(healthy),
        clean=float((volumes == 0).mean()),
        components=float(np.mean([scores.fp for scores in healthy])),
        median_mm3=float(np.median(volumes)),
        mean_mm3=float(volumes.mean()),
    )


def as_pairs(table: Mapping[str, Mapping[str, Stat]]) -> dict[str, dict[str, object]]:
    """Turn a summary into {phenotype: {metric: [mean, sd], "n": units, "intervals": {metric:
    [low, high]}}} for JSON, NaN as None."""
    return {
        phenotype: {
            **{name: [_number(s.mean), _number(s.sd)] for name, s in row.items()},
            "intervals": {name: [_number(s.low), _number(s.high)] for name, s in row.items()},
            "n": max((s.n for s in row.values()), default=0),
        }
        for phenotype, row in table.items()
    }


def _number(value: float) -> float | None:
    return round(float(value), 6) if math.isfinite(value) else None
