"""How well Δ tells true candidates from false ones, and how faithful the pictures are."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from skimage.metrics import structural_similarity

from hideseek_lab.benchmark.dataset import MIDDLE, SliceSet
from hideseek_lab.benchmark.ours import CandidateTable, Findings
from hideseek_lab.scoring.instances import POLARITIES
from hideseek_lab.scoring.summary import Stat, stat


@dataclass(frozen=True, eq=False)
class Ranking:
    """ROC and precision-recall of a score over candidates; NaN areas where only one class is.

    true, false: how many candidates overlap a lesion of their polarity, and do not.
    """

    false_rate: NDArray[np.float64]
    true_rate: NDArray[np.float64]
    recall: NDArray[np.float64]
    precision: NDArray[np.float64]
    roc_auc: float
    average_precision: float
    true: int
    false: int


def true_candidates(findings: Findings, vertebrae: SliceSet) -> NDArray[np.bool_]:
    """(C,) whether a candidate overlaps truth of its own polarity at all (as detection does)."""
    table = findings.candidates
    hit = np.zeros(len(table), dtype=bool)
    for row in range(len(table)):
        vertebra = int(table.vertebra[row])
        mask = findings.labels[vertebra] == table.number[row]
        hit[row] = bool((vertebrae.truth[vertebra, MIDDLE][mask] == table.polarity[row]).any())
    return hit


def polarity_rows(
    table: CandidateTable, vertebrae: SliceSet, polarity: str, *, known_phenotype: bool = True
) -> NDArray[np.bool_]:
    """(C,) candidates of a polarity in malignant slices.

    known_phenotype: only in slices whose phenotype has that polarity, as in the paper, where the
    patient's label takes the others out.
    """
    phenotype = vertebrae.slice_phenotype[table.vertebra]
    of_polarity = table.polarity == POLARITIES[polarity]
    allowed = (polarity, "mixed") if known_phenotype else ("lytic", "blastic", "mixed")
    return np.asarray(of_polarity & np.isin(phenotype, allowed))


def rank(score: NDArray[np.float64], true: NDArray[np.bool_]) -> Ranking:
    """ROC and precision-recall curves of a score (C,) against (C,) truth."""
    from sklearn.metrics import (
        average_precision_score,
        precision_recall_curve,
        roc_auc_score,
        roc_curve,
    )

    count = int(true.sum())
    if count == 0 or count == len(true):
        empty = np.zeros(0)
        return Ranking(
            empty, empty, empty, empty, math.nan, math.nan, count, int(len(true) - count)
        )
    false_rate, true_rate, _ = roc_curve(true, score)
    precision, recall, _ = precision_recall_curve(true, score)
    return Ranking(
        false_rate,
        true_rate,
        recall,
        precision,
        float(roc_auc_score(true, score)),
        float(average_precision_score(true, score)),
        count,
        int(len(true) - count),
    )


def classifier_figures(
    p: NDArray[np.float64], malignant: NDArray[np.bool_], threshold: float = 0.5
) -> dict[str, float]:
    """AUC, F1, sensitivity and specificity of vertebra probabilities (N,)."""
    from sklearn.metrics import f1_score, roc_auc_score

    called = p >= threshold
    both = bool(malignant.any() and not malignant.all())
    return {
        "auc": float(roc_auc_score(malignant, p)) if both else math.nan,
        "f1": float(f1_score(malignant, called)) if malignant.any() else math.nan,
        "sensitivity": float(called[malignant].mean()) if malignant.any() else math.nan,
        "specificity": float((~called[~malignant]).mean()) if both else math.nan,
        "malignant": int(malignant.sum()),
        "healthy": int((~malignant).sum()),
    }


def ssim_of(first: NDArray[np.float32], second: NDArray[np.float32]) -> Stat:
    """Structural similarity of slice pairs (N, 64, 64); intensities are about 0 to 1."""
    return stat(
        float(structural_similarity(a, b, data_range=1.0))
        for a, b in zip(first, second, strict=True)
    )
