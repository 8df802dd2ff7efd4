"""Scores of predictions on the central slices of vertebrae, per vertebra and over patients."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from hideseek_lab.benchmark.baselines.common import MIN_AREA_PX
from hideseek_lab.benchmark.dataset import MIDDLE, MIN_TRUTH_PX
from hideseek_lab.benchmark.table import SPACING
from hideseek_lab.scoring.agreement import FrocCurve, froc, froc_case
from hideseek_lab.scoring.instances import drop_small, label_components
from hideseek_lab.scoring.metrics import score_unit
from hideseek_lab.supervised.arenas import Vertebrae
from hideseek_lab.supervised.predicting import component_confidences
from hideseek_lab.supervised.protocol import Detection, f_beta

#: false positives a slice up to which FROC areas are taken
FROC_LIMIT = 1.0


@dataclass(frozen=True, eq=False)
class Prediction:
    """What a system says of N central slices.

    labels: (N, 64, 64) uint8, 1 lytic, 2 blastic, at its own threshold. evidence: (N, 64, 64)
    float16, not negative, higher where a lesion is surer: a network's probability, our Δ.
    """

    labels: NDArray[np.uint8]
    evidence: NDArray[np.float16]


@dataclass(frozen=True, eq=False)
class SliceScores:
    """Scores of N slices, any polarity.

    detections: of each slice. dice: (N,) overlap of all lesions, NaN on healthy slices without a
    mark. found_dice, nsd: (N,) mean over the lesions that were found, NaN where none was.
    polarity_right: share of the overlapping pixels whose polarity is right. patients: (N,).
    """

    detections: tuple[Detection, ...]
    dice: NDArray[np.float64]
    found_dice: NDArray[np.float64]
    nsd: NDArray[np.float64]
    polarity_right: float
    patients: NDArray[np.str_]
    froc: FrocCurve

    @property
    def total(self) -> Detection:
        return sum(self.detections, Detection(0, 0, 0))

    def per_patient(self, metric: str) -> dict[str, float]:
        """A metric of every patient in which it is defined: "f2", "sensitivity", "fp" (a slice),
        "dice", "found_dice" or "nsd"."""
        values: dict[str, float] = {}
        for patient in dict.fromkeys(self.patients.tolist()):
            own = np.flatnonzero(self.patients == patient)
            sum_ = sum((self.detections[i] for i in own), Detection(0, 0, 0))
            if metric == "f2":
                value = f_beta(sum_.tp, sum_.fp, sum_.fn)
            elif metric == "sensitivity":
                value = sum_.tp / (sum_.tp + sum_.fn) if sum_.tp + sum_.fn else math.nan
            elif metric == "fp":
                value = sum_.fp / len(own)
            else:
                finite = [v for v in getattr(self, metric)[own] if math.isfinite(v)]
                value = float(np.mean(finite)) if finite else math.nan
            if math.isfinite(value):
                values[patient] = value
        return values


def score(vertebrae: Vertebrae, prediction: Prediction) -> SliceScores:
    """Score every central slice; truth and predictions of under 5 px do not count (paper, table 3).

    Dice of all lesions of a slice is 0 where lesions were missed altogether, and where a healthy
    slice was marked.
    """
    truth = vertebrae.slices.truth[:, MIDDLE]
    labels = without_specks(prediction.labels)
    detections, dice, found, nsd, cases = [], [], [], [], []
    right = overlap = 0
    for own, reference, evidence in zip(labels, truth, prediction.evidence, strict=True):
        unit = score_unit(
            (own > 0).astype(np.uint8), (reference > 0).astype(np.uint8), SPACING,
            polarity="merged", min_reference=MIN_TRUTH_PX,
        )  # fmt: skip
        # the components at the system's own threshold, each as sure as its surest pixel: were they
        # made anew at every level, a mark on everything would find all
        sure = component_confidences(evidence, label_components(own > 0)[0])
        cases.append(froc_case(unit, sure))
        # any overlap finds a lesion, as Wuts et al.; a component on several finds them all
        hit = {h for part in unit.predictions for h in part.hits}
        false = sum(not part.hits for part in unit.predictions)
        detections.append(Detection(len(hit), false, len(unit.lesions) - len(hit)))
        dice.append(unit.values["global_dice"])
        matched = [lesion for lesion in unit.lesions if lesion.matched]
        found.append(float(np.mean([le.dice for le in matched])) if matched else math.nan)
        nsd.append(unit.values["nsd"])
        both = (own > 0) & (reference > 0)
        overlap += int(both.sum())
        right += int((own == reference)[both].sum())
    return SliceScores(
        tuple(detections),
        np.array(dice),
        np.array(found),
        np.array(nsd),
        right / overlap if overlap else math.nan,
        vertebrae.patients,
        froc(cases),
    )


def without_specks(labels: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Labels (N, 64, 64) without components of under 5 px, whatever their polarity."""
    kept = labels.copy()
    for plane in kept:
        plane[drop_small(label_components(plane > 0)[0], MIN_AREA_PX)[1]] = 0
    return kept


def mean_per_patient(scores: SliceScores, metric: str) -> float:
    """Mean of a metric over the patients in which it is defined."""
    values = list(scores.per_patient(metric).values())
    return float(np.mean(values)) if values else math.nan


def paired(
    first: SliceScores, second: SliceScores, metric: str
) -> tuple[Sequence[float], Sequence[float]]:
    """A metric of the patients in whom both systems have it, in one order."""
    a, b = first.per_patient(metric), second.per_patient(metric)
    shared = [p for p in a if p in b]
    return [a[p] for p in shared], [b[p] for p in shared]
