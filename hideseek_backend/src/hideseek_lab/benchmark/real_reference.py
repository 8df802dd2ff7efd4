"""The scan as its own reference: does p read better against the other vertebrae of its scan?

Every reading takes the logit of a vertebra and gives another one. What it learns of people at large
(the usual logit of a healthy vertebra, of a level) it learns from the other patients. One vertebra
at a time is ill here: the others of its scan are untouched. For diffuse disease `all_ill` asks the
same of a vertebra whose whole scan is ill.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from hideseek_backend.wire.levels import LEVELS
from hideseek_lab.benchmark.real_figures import RESAMPLES, SPECIFICITY, Figure, patient_draws
from hideseek_lab.benchmark.real_set import GROWN, UNTOUCHED, WARPED, Screened

SHRINK = 3.0
"""So many vertebrae count as much as what is known of people at large."""
NEIGHBOURS = 2
"""As far away, in levels, as a neighbour lies."""

Rows = Sequence[Screened]
Reading = Callable[[Screened, Rows, Rows], float]
"""(a vertebra, the others of its scan, untouched vertebrae of other patients) to a logit."""


def absolute(row: Screened, scan: Rows, people: Rows) -> float:
    """The logit as it is."""
    return row.logit


def by_scan(row: Screened, scan: Rows, people: Rows) -> float:
    """Less what the others of its scan lie above people at large, shrunk by n / (n + 3).

    Nothing is done where most of the others lie above p = 0.5 themselves: a spine that is ill all
    over is no reference.
    """
    return row.logit - _excess(scan, _mean(people))


def by_neighbours(row: Screened, scan: Rows, people: Rows) -> float:
    """As `by_scan`, of the nearest two levels on either side."""
    place = LEVELS.index(row.level)
    near = [other for other in scan if abs(LEVELS.index(other.level) - place) <= NEIGHBOURS]
    return row.logit - _excess(near, _mean(people))


def by_level(row: Screened, scan: Rows, people: Rows) -> float:
    """Less what the nearest levels of other patients lie above people at large, shrunk."""
    return row.logit - _level_excess(row.level, people)


def by_level_and_scan(row: Screened, scan: Rows, people: Rows) -> float:
    """Less the level's excess, then less what the others exceed theirs."""
    usual = _mean(people)
    freed = [other.logit - _level_excess(other.level, people) for other in scan]
    if not freed or np.median([other.logit for other in scan]) >= 0:
        return by_level(row, scan, people)
    shift = (float(np.mean(freed)) - usual) * len(freed) / (len(freed) + SHRINK)
    return by_level(row, scan, people) - shift


READINGS: dict[str, Reading] = {
    "p as it is": absolute,
    "against its scan": by_scan,
    "against its neighbours": by_neighbours,
    "against its level": by_level,
    "against level and scan": by_level_and_scan,
}


@dataclass(frozen=True)
class Compared:
    """A reading's figures, each followed by its gain over p as it is, with intervals."""

    name: str
    figures: tuple[Figure, ...]
    gains: tuple[Figure, ...]

    def lines(self) -> list[str]:
        """Lines of a table."""
        return [self.name] + [
            f"  {own.line()}   gain {gain.value:+.3f} ({gain.low:+.3f} to {gain.high:+.3f})"
            for own, gain in zip(self.figures, self.gains, strict=True)
        ]


def read_again(rows: Rows, reading: Reading, *, all_ill: bool = False) -> NDArray[np.float64]:
    """Return the logit of every row under a reading: (N,).

    all_ill: a row's scan is of its own kind and phenotype instead of untouched.
    """
    untouched = [row for row in rows if row.kind == UNTOUCHED]
    read = []
    for row in rows:
        kind = (row.kind, row.phenotype) if all_ill else (UNTOUCHED, "healthy")
        scan = [
            other
            for other in (rows if all_ill else untouched)
            if other.case == row.case
            and other.level != row.level
            and (other.kind, other.phenotype) == kind
        ]
        people = [other for other in untouched if other.patient != row.patient]
        read.append(reading(row, scan, people))
    return np.array(read)


def compared(rows: Rows, seed: int = 0) -> list[Compared]:
    """Return every reading's AUC, and sensitivity at specificity .90, by generator.

    Intervals are bootstrapped over patients, the same draws for every reading.
    """
    patients = np.array([row.patient for row in rows])
    kind = np.array([row.kind for row in rows])
    draws = patient_draws(patients, seed, RESAMPLES // 4)
    quiet = kind == UNTOUCHED
    measures = [
        (f"{title}: {what}", kind == generator, measure)
        for generator, title in ((WARPED, "inserted"), (GROWN, "second generator"))
        for what, measure in (("AUC", _auc), (f"sensitivity at {SPECIFICITY:.2f}", _sensitivity))
    ]
    picks = [np.arange(len(rows)), *draws]
    # By reading: every row as it is read beside a healthy scan, and the ill ones in an ill scan.
    read = {name: read_again(rows, reading) for name, reading in READINGS.items()}
    ill = {
        name: np.where(quiet, read[name], read_again(rows, reading, all_ill=True))
        for name, reading in READINGS.items()
    }
    plain: dict[str, NDArray[np.float64]] = {}
    table = []
    for name in READINGS:
        figures, gains = [], []
        for title, sick, measure in measures:
            for text, logits in ((title, read), (f"{title}, whole scan ill", ill)):
                own = logits[name]
                values = np.array([measure(own[i][quiet[i]], own[i][sick[i]]) for i in picks])
                gained = values - plain.setdefault(text, values)
                figures.append(_figure(text, values, int(sick.sum())))
                gains.append(_figure(text, gained, len(set(patients))))
        table.append(Compared(name, tuple(figures), tuple(gains)))
    return table


def _figure(name: str, values: NDArray[np.float64], count: int) -> Figure:
    """values: the figure itself, then those of the draws."""
    told = values[1:][np.isfinite(values[1:])]
    low, high = np.percentile(told, [2.5, 97.5]) if told.size else (np.nan, np.nan)
    return Figure(name, float(values[0]), float(low), float(high), count)


def _auc(untouched: NDArray[np.float64], ill: NDArray[np.float64]) -> float:
    """The share of pairs in the right order, ties counted half: fast enough to bootstrap."""
    if not untouched.size or not ill.size:
        return float("nan")
    ordered = np.sort(untouched)
    below = np.searchsorted(ordered, ill, "left") + np.searchsorted(ordered, ill, "right")
    return float(below.mean() / 2 / untouched.size)


def _sensitivity(untouched: NDArray[np.float64], ill: NDArray[np.float64]) -> float:
    if not untouched.size or not ill.size:
        return float("nan")
    return float(np.mean(ill > np.quantile(untouched, SPECIFICITY)))


def _mean(rows: Rows) -> float:
    return float(np.mean([row.logit for row in rows])) if rows else 0.0


def _excess(scan: Rows, usual: float) -> float:
    logits = np.array([other.logit for other in scan])
    if not logits.size or np.median(logits) >= 0:
        return 0.0
    return float((logits.mean() - usual) * logits.size / (logits.size + SHRINK))


def _level_excess(level: str, people: Rows) -> float:
    place = LEVELS.index(level)
    near = [row for row in people if abs(LEVELS.index(row.level) - place) <= 1]
    return (_mean(near) - _mean(people)) * len(near) / (len(near) + SHRINK) if near else 0.0
