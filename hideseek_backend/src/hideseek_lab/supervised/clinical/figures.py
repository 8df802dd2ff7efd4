"""Figures of Wuts et al. (SAP) of an evaluation: detection, segmentation, burden, over patients."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from hideseek_lab.scoring.agreement import ONE_ML_MM3, FrocCase
from hideseek_lab.scoring.evaluate import Evaluation, Unit, combine_froc
from hideseek_lab.supervised.clinical.statistics import Interval, bootstrap, icc_2_1_interval
from hideseek_lab.supervised.protocol import f_beta

VOLUMES_ML = (0.0, 0.1, 0.25, 0.5, 1.0, 2.0, 4.0, 8.0)


@dataclass(frozen=True)
class CaseFigures:
    """One case. dice: mean over its lesions, missed ones 0; global_dice: of all lesions as one;
    found_dice, nsd: mean over the lesions found. NaN where undefined."""

    case: str
    lesions: int
    found: int
    false: int
    f2: float
    sensitivity: float
    precision: float
    large_sensitivity: float
    large_false: int
    dice: float
    global_dice: float
    found_dice: float
    nsd: float
    predicted_ml: float
    reference_ml: float


@dataclass(frozen=True)
class BySize:
    """Lesions and false components of at least a volume: the cumulative curve of the paper."""

    least_ml: float
    lesions: int
    sensitivity: float
    false_per_case: float


@dataclass(frozen=True)
class PatientFigures:
    """cases: of each. summary: median over cases with its interval. means: likewise of means.
    burden: ICC(2,1) of total volume. by_size: of VOLUMES_ML. dice, nsd: of every lesion found."""

    cases: tuple[CaseFigures, ...]
    summary: dict[str, Interval]
    means: dict[str, Interval]
    burden: Interval
    by_size: tuple[BySize, ...]
    dice: tuple[float, ...]
    nsd: tuple[float, ...]


SUMMARISED = (
    "sensitivity", "precision", "false", "f2", "large_sensitivity", "large_false", "found_dice",
    "nsd", "dice", "global_dice",
)  # fmt: skip


def patient_figures(evaluation: Evaluation) -> PatientFigures:
    """Compute all figures of an evaluation; any overlap finds a lesion.

    A case's F2 is 1 where there is nothing to find and nothing was found.
    """
    cases, froc_cases = [], []
    for total in evaluation.totals:
        units = [unit for unit in evaluation.units if unit.case == total.case]
        froc = combine_froc(units)
        froc_cases.append(froc)
        cases.append(_case(total.case, units, froc, total.predicted_mm3, total.reference_mm3))
    columns = {name: [float(getattr(c, name)) for c in cases] for name in SUMMARISED}
    volumes = [(c.predicted_ml, c.reference_ml) for c in cases]
    found = [le for unit in evaluation.units for le in unit.scores.lesions if le.matched]
    nan = math.nan
    return PatientFigures(
        cases=tuple(cases),
        summary={n: bootstrap(v, lambda x: float(np.median(x))) for n, v in columns.items()},
        means={n: bootstrap(v) for n, v in columns.items()},
        burden=icc_2_1_interval(volumes) if len(volumes) > 1 else Interval(nan, nan, nan, 1),
        by_size=tuple(by_size(froc_cases, least) for least in VOLUMES_ML),
        dice=tuple(lesion.dice for lesion in found),
        nsd=tuple(lesion.nsd for lesion in found),
    )


def by_size(cases: Sequence[FrocCase], least_ml: float) -> BySize:
    """Sensitivity and false components a case, of lesions and components of at least a volume."""
    least = least_ml * ONE_ML_MM3
    lesions = found = false = 0
    for case in cases:
        hit = {h for hits in case.hits for h in hits}
        large = [i for i, v in enumerate(case.volumes_mm3) if v >= least]
        lesions += len(large)
        found += sum(i in hit for i in large)
        false += sum(
            not hits and volume >= least
            for hits, volume in zip(case.hits, case.predicted_mm3, strict=True)
        )
    return BySize(
        least_ml, lesions, found / lesions if lesions else math.nan, false / max(len(cases), 1)
    )


def _case(
    name: str, units: Sequence[Unit], froc: FrocCase, predicted_mm3: float, reference_mm3: float
) -> CaseFigures:
    lesions = [lesion for unit in units for lesion in unit.scores.lesions]
    hit = {h for hits in froc.hits for h in hits}
    found, false = len(hit), sum(not hits for hits in froc.hits)
    missed, marked = len(froc.volumes_mm3) - found, len(froc.hits)
    large = by_size([froc], 1.0)
    matched = [lesion for lesion in lesions if lesion.matched]

    def mean(values: Sequence[float]) -> float:
        finite = [v for v in values if math.isfinite(v)]
        return float(np.mean(finite)) if finite else math.nan

    return CaseFigures(
        case=name,
        lesions=len(lesions),
        found=found,
        false=false,
        f2=f_beta(found, false, missed),
        sensitivity=found / len(lesions) if lesions else math.nan,
        precision=(marked - false) / marked if marked else math.nan,
        large_sensitivity=large.sensitivity,
        large_false=round(large.false_per_case),
        dice=mean([lesion.dice if lesion.matched else 0.0 for lesion in lesions]),
        global_dice=_global_dice(units),
        found_dice=mean([lesion.dice for lesion in matched]),
        nsd=mean([lesion.nsd for lesion in matched]),
        predicted_ml=predicted_mm3 / 1000,
        reference_ml=reference_mm3 / 1000,
    )


def _global_dice(units: Sequence[Unit]) -> float:
    """Overlap of all lesions of a case as one foreground a polarity."""
    overlap = sizes = 0
    for unit in units:
        for pair in unit.scores.labels.values():
            overlap += int(((pair.prediction > 0) & (pair.reference > 0)).sum())
            sizes += int((pair.prediction > 0).sum() + (pair.reference > 0).sum())
    return 2 * overlap / sizes if sizes else math.nan
