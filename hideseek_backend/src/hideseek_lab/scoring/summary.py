"""Mean ± SD over units, per phenotype."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from hideseek_lab.scoring.metrics import METRICS, UnitScores

#: order of the paper's tables
PHENOTYPES: tuple[str, ...] = ("blastic", "lytic", "mixed")


@dataclass(frozen=True)
class Stat:
    """Mean and standard deviation (over n, as panoptica) of the defined values; n of them."""

    mean: float
    sd: float
    n: int

    def __str__(self) -> str:
        return "–" if self.n == 0 else f"{self.mean:.2f} ± {self.sd:.2f}"


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


def stat(values: Iterable[float]) -> Stat:
    """Summarise the finite values; mean and SD are NaN when there are none."""
    finite = np.array([value for value in values if math.isfinite(value)], dtype=float)
    if not finite.size:
        return Stat(math.nan, math.nan, 0)
    return Stat(float(finite.mean()), float(finite.std()), int(finite.size))


def summarise(
    units: Sequence[tuple[str, UnitScores]], metrics: Sequence[str] = tuple(METRICS)
) -> dict[str, dict[str, Stat]]:
    """Summarise units by phenotype.

    units: (phenotype, scores) of each. Returns {phenotype: {metric: Stat}} for the phenotypes
    that occur among blastic, lytic and mixed (and any other name but "healthy"), in that order,
    and "all" over them. Healthy units have no lesion to find: see `false_findings`.
    """
    names = [name for name in PHENOTYPES if any(name == unit[0] for unit in units)]
    names += sorted({unit[0] for unit in units} - set(PHENOTYPES) - {"healthy"})
    table = {name: _table([s for p, s in units if p == name], metrics) for name in names}
    if len(names) > 1:
        table["all"] = _table([s for p, s in units if p in names], metrics)
    return table


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


def _table(units: Sequence[UnitScores], metrics: Sequence[str]) -> dict[str, Stat]:
    return {name: stat(scores.values[name] for scores in units) for name in metrics}


def as_pairs(table: Mapping[str, Mapping[str, Stat]]) -> dict[str, dict[str, object]]:
    """Turn a summary into {phenotype: {metric: [mean, sd], "n": units}} for JSON, NaN as None."""
    return {
        phenotype: {
            **{name: [_number(s.mean), _number(s.sd)] for name, s in row.items()},
            "n": max((s.n for s in row.values()), default=0),
        }
        for phenotype, row in table.items()
    }


def _number(value: float) -> float | None:
    return round(float(value), 6) if math.isfinite(value) else None
