"""Who is trained on, who chooses the threshold, who is tested: always whole patients.

Wuts et al. part the patients into seven folds of like lesion counts, keep one for the threshold,
and test on each of the other six in turn. Their networks also learn from the tuning fold, so that
the threshold is chosen on training data; here that fold is left out of training.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hideseek_backend.errors import InputError
from hideseek_lab.scoring.instances import label_components

FOLDS = 7
THRESHOLDS = tuple(round(0.05 * n, 2) for n in range(1, 20))


@dataclass(frozen=True)
class Fold:
    """Patients of one run."""

    number: int
    train: frozenset[str]
    tune: frozenset[str]
    test: frozenset[str]


def stratified_folds(lesions: Mapping[str, int], folds: int = FOLDS, seed: int = 0) -> list[Fold]:
    """Part patients by their lesion counts; fold 0 chooses thresholds, the others are tested.

    lesions: patient -> number of lesions. Patients are dealt to and fro in the order of their
    counts, ties at random. Raises InputError for fewer patients than folds, or under 3 folds.
    """
    if folds < 3 or len(lesions) < folds:
        raise InputError(
            f"Expected at least 3 folds and as many patients, got {folds} folds and "
            f"{len(lesions)} patients.",
            "Use fewer folds, or add patients.",
        )
    rng = np.random.default_rng(seed)
    names = sorted(lesions)
    order = sorted(zip((-lesions[n] for n in names), rng.random(len(names)), names, strict=True))
    groups: list[set[str]] = [set() for _ in range(folds)]
    for position, (_, _, name) in enumerate(order):
        lap, place = divmod(position, folds)
        groups[place if lap % 2 == 0 else folds - 1 - place].add(name)
    everyone = set(names)
    tune = frozenset(groups[0])
    return [
        Fold(number, frozenset(everyone - tune - groups[number]), tune, frozenset(groups[number]))
        for number in range(1, folds)
    ]


@dataclass(frozen=True)
class Detection:
    """Lesions of one unit: found, false and missed; any overlap finds a lesion."""

    tp: int
    fp: int
    fn: int

    @property
    def f2(self) -> float:
        return f_beta(self.tp, self.fp, self.fn)

    def __add__(self, other: Detection) -> Detection:
        return Detection(self.tp + other.tp, self.fp + other.fp, self.fn + other.fn)


def f_beta(tp: int, fp: int, fn: int, beta: float = 2.0) -> float:
    """F score of counts, NaN where there is nothing to find and nothing was found."""
    weight = beta * beta
    below = (1 + weight) * tp + weight * fn + fp
    return (1 + weight) * tp / below if below else math.nan


def detect(prediction: NDArray[Any], truth: NDArray[Any], least: int = 0) -> Detection:
    """Count lesions of two masks, any polarity; predictions of under `least` voxels are dropped."""
    predicted, n_predicted = label_components(np.asarray(prediction) > 0)
    lesions, n_lesions = label_components(np.asarray(truth) > 0)
    sizes = np.bincount(predicted.ravel(), minlength=n_predicted + 1)
    kept = np.flatnonzero(sizes >= max(least, 1))
    kept = kept[kept > 0]
    predicted = np.where(np.isin(predicted, kept), predicted, 0)
    hit = np.unique(lesions[predicted > 0])
    right = np.unique(predicted[lesions > 0])
    found = int((hit > 0).sum())
    return Detection(found, len(kept) - int((right > 0).sum()), n_lesions - found)


def choose_threshold(
    probability: Sequence[NDArray[np.float32]],
    truth: Sequence[NDArray[Any]],
    patients: Sequence[str],
    least: int = 0,
) -> tuple[float, float]:
    """The threshold with the highest mean F2 over patients, and that mean.

    probability: lesion probability of each scan; truth: its mask; patients: whose it is. Of equals
    the one nearest to 0.5 is taken. Raises InputError where no patient has a lesion.
    """
    if not any(np.any(mask) for mask in truth):
        raise InputError(
            f"Expected lesions to choose a threshold on, got none in {len(truth)} scans.",
            "Give tuning patients with drawn lesions.",
        )
    best = (-1.0, 0.0, 0.5)
    for threshold in THRESHOLDS:
        totals: dict[str, Detection] = {}
        for p, mask, patient in zip(probability, truth, patients, strict=True):
            own = detect(p >= threshold, mask, least)
            totals[patient] = totals.get(patient, Detection(0, 0, 0)) + own
        values = [d.f2 for d in totals.values() if not math.isnan(d.f2)]
        mean = float(np.mean(values)) if values else 0.0
        best = max(best, (mean, -abs(threshold - 0.5), threshold))
    return best[2], best[0]
