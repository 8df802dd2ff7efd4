"""Scores of predictions on the central slices of vertebrae, per vertebra and over patients."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hideseek_lab.benchmark.baselines.common import MIN_AREA_PX
from hideseek_lab.benchmark.dataset import MIDDLE, MIN_TRUTH_PX
from hideseek_lab.benchmark.table import SPACING
from hideseek_lab.scoring.agreement import FrocCurve
from hideseek_lab.scoring.instances import drop_small, label_components
from hideseek_lab.scoring.metrics import score_unit
from hideseek_lab.supervised.arenas import Vertebrae
from hideseek_lab.supervised.protocol import Detection, f_beta

#: false positives a slice up to which FROC areas are taken
FROC_LIMIT = 1.0
_LEVELS = 64


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
    detections, dice, found, nsd = [], [], [], []
    right = overlap = 0
    for own, reference in zip(labels, truth, strict=True):
        unit = score_unit(
            (own > 0).astype(np.uint8), (reference > 0).astype(np.uint8), SPACING,
            polarity="merged", min_reference=MIN_TRUTH_PX,
        )  # fmt: skip
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
        froc_of_evidence(truth, prediction.evidence),
    )


def without_specks(labels: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Labels (N, 64, 64) without components of under 5 px, whatever their polarity."""
    kept = labels.copy()
    for plane in kept:
        plane[drop_small(label_components(plane > 0)[0], MIN_AREA_PX)[1]] = 0
    return kept


def froc_of_evidence(truth: NDArray[Any], evidence: NDArray[Any]) -> FrocCurve:
    """FROC of evidence maps (N, H, W): components above every level of the evidence, anew each.

    Levels are quantiles of the slices' highest evidence, where marks come and go (of all pixels
    most are background to a network), and the lowest there is. Components of under 5 px do not
    count.
    """
    values = np.asarray(evidence, dtype=np.float64)
    positive = values[values > 0]
    levels = np.array([np.inf])
    if positive.size:
        highest = values.reshape(len(values), -1).max(axis=1)
        shares = np.linspace(0, 1, _LEVELS - 1)
        levels = np.unique([*np.quantile(highest[highest > 0], shares), positive.min()])[::-1]
    masks = [drop_small(label_components(t > 0)[0], MIN_TRUTH_PX)[0] for t in truth]
    whole = [t > 0 for t in truth]
    lesions = sum(int(m.max(initial=0)) for m in masks)
    found = np.zeros(len(levels))
    false = np.zeros(len(levels))
    for n, level in enumerate(levels):
        for lesion, any_truth, plane in zip(masks, whole, evidence, strict=True):
            marked = plane >= level
            if not marked.any():
                continue
            parts = drop_small(label_components(marked)[0], MIN_AREA_PX)[0]
            found[n] += np.unique(lesion[(parts > 0) & (lesion > 0)]).size
            count = int(parts.max(initial=0))
            false[n] += count - np.unique(parts[(parts > 0) & any_truth]).size
    # components merge as the level falls: the curve is what can be had at or below so many false
    order = np.argsort(false, kind="stable")
    best = np.maximum.accumulate(found[order])
    sensitivity = best / lesions if lesions else np.full(len(levels), math.nan)
    return FrocCurve(levels[order], sensitivity, false[order] / len(truth), lesions, len(truth))


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
