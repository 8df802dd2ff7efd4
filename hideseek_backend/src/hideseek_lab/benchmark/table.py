"""From label maps of the central slices to the rows of the benchmark's table."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from hideseek_backend.volumes.crops import CROP_SPACING_MM
from hideseek_lab.benchmark.baselines.common import ANY
from hideseek_lab.benchmark.dataset import MIDDLE, MIN_TRUTH_PX, SliceSet
from hideseek_lab.scoring.instances import BLASTIC, LYTIC
from hideseek_lab.scoring.metrics import UnitScores, score_unit
from hideseek_lab.scoring.summary import (
    FalseFindings,
    Stat,
    false_findings,
    mean_of,
    summarise,
)

SPACING = (CROP_SPACING_MM, CROP_SPACING_MM)
#: mixed vertebrae with the polarity forgotten, for every method; see `score_labels`
MERGED = "mixed, merged"


@dataclass(frozen=True)
class ScoredSlice:
    """Scores of one central slice. merged: with the polarity forgotten, mixed slices only."""

    phenotype: str
    scores: UnitScores
    merged: UnitScores | None = None


@dataclass(frozen=True)
class Row:
    """One method's line: {phenotype: {metric: Stat}} with "mixed, merged" among the phenotypes.

    false: what it marked in healthy vertebrae, None where it was not run on them.
    """

    key: str
    title: str
    weak: bool
    settings: str
    summary: dict[str, dict[str, Stat]]
    false: FalseFindings | None = None
    seconds: float = math.nan


def score_labels(
    vertebrae: SliceSet, labels: NDArray[np.uint8], *, known_phenotype: bool = True
) -> list[ScoredSlice]:
    """Score predicted central slices.

    labels: (N, 64, 64), 1 lytic, 2 blastic, 3 either. With `known_phenotype` (the paper's setting)
    only the polarity of the vertebra's phenotype stays, both in mixed vertebrae; without it every
    prediction counts, so that a wrong polarity is a false one.

    A mixed slice counts the lytic and blastic instances of both sides together, matched within
    their polarity. A method that cannot tell the polarity ("either") is judged there with the
    polarity forgotten, which is the easier task; MERGED gives that for all methods.

    Reference components of under 5 px are neither missed nor false, as predictions of that size
    are dropped.
    """
    scored = []
    for index, phenotype in enumerate(vertebrae.slice_phenotype.tolist()):
        truth = vertebrae.truth[index, MIDDLE]
        plane = labels[index]
        if phenotype in ("lytic", "blastic"):
            value = LYTIC if phenotype == "lytic" else BLASTIC
            plane = np.where(plane == ANY, value, plane)
            if known_phenotype:
                plane = np.where(plane == value, plane, 0)
        merged = None
        if phenotype == "mixed":
            both = np.minimum(plane, 1), np.minimum(truth, 1)
            merged = score_unit(*both, SPACING, polarity="merged", min_reference=MIN_TRUTH_PX)
        if merged is not None and (plane == ANY).any():
            scores = merged
        else:
            plane = np.where(plane == ANY, BLASTIC, plane)  # healthy slices: any label is false
            scores = score_unit(plane, truth, SPACING, min_reference=MIN_TRUTH_PX)
        scored.append(ScoredSlice(phenotype, scores, merged))
    return scored


def make_row(
    key: str,
    title: str,
    units: Sequence[ScoredSlice],
    *,
    weak: bool = True,
    settings: str = "",
    seconds: float = math.nan,
) -> Row:
    """Summarise scored slices, healthy ones apart."""
    summary = summarise([(unit.phenotype, unit.scores) for unit in units])
    merged = [("mixed", unit.merged) for unit in units if unit.merged is not None]
    if merged:
        summary[MERGED] = summarise(merged)["mixed"]
    false = false_findings([(unit.phenotype, unit.scores) for unit in units])
    return Row(key, title, weak, settings, summary, false, seconds)


def mean_pq(units: Sequence[ScoredSlice], phenotypes: Sequence[str]) -> float:
    """Mean over phenotypes of the mean PQ; phenotypes without a slice are left out."""
    means = [
        mean_of(unit.scores.values["pq"] for unit in units if unit.phenotype == name)
        for name in phenotypes
    ]
    present = [value for value in means if math.isfinite(value)]
    return float(np.mean(present)) if present else math.nan
