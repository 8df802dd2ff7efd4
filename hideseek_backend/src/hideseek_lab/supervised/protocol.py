"""Who is trained on, who chooses the threshold, who is tested: always whole patients.

Wuts et al. part the patients into seven folds of like lesion counts, keep one for the threshold,
and test on each of the other six in turn. Their networks also learn from the tuning fold, so that
the threshold is chosen on training data; here that fold is left out of training.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hideseek_backend.errors import InputError
from hideseek_lab.scoring.instances import label_components

FOLDS = 7
THRESHOLDS = tuple(round(0.05 * n, 2) for n in range(1, 20))
#: smallest components that are tried, as multiples of the smallest that counts at all
SIZES = (1, 2, 4, 8)


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
    """F score of counts; 1 where there is nothing to find and nothing was found.

    Were a healthy patient who is left clean passed over, only the marked ones would count, and
    marking everything would score 0.5 among as many healthy as diseased patients.
    """
    weight = beta * beta
    below = (1 + weight) * tp + weight * fn + fp
    return (1 + weight) * tp / below if below else 1.0


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


@dataclass(frozen=True)
class OperatingPoint:
    """threshold: of the lesion probability. least: voxels of the smallest component that counts.
    f2: mean over the patients on whom both were chosen."""

    threshold: float
    least: int
    f2: float


def choose_point(
    probability: Sequence[NDArray[np.float32]],
    truth: Sequence[NDArray[Any]],
    patients: Sequence[str],
    least: int = 0,
) -> OperatingPoint:
    """The threshold and smallest component with the highest mean F2 over patients.

    As nnU-Net's own postprocessing, crumbs are dropped where that helps on the tuning patients.
    probability: lesion probability of each scan; truth: its mask; patients: whose it is; least:
    components of fewer voxels never count. Of equals the threshold nearest to 0.5 is taken, then
    the smaller size. Raises InputError where no patient has a lesion.
    """
    if not any(np.any(mask) for mask in truth):
        raise InputError(
            f"Expected lesions to choose a threshold on, got none in {len(truth)} scans.",
            "Give tuning patients with drawn lesions.",
        )
    best = (-1.0, 0.0, 0)
    point = OperatingPoint(0.5, least, 0.0)
    for threshold in THRESHOLDS:
        for size in dict.fromkeys(times * max(least, 1) for times in SIZES):
            totals: dict[str, Detection] = {}
            for p, mask, patient in zip(probability, truth, patients, strict=True):
                own = detect(p >= threshold, mask, size)
                totals[patient] = totals.get(patient, Detection(0, 0, 0)) + own
            mean = float(np.mean([d.f2 for d in totals.values()]))
            rank = (mean, -abs(threshold - 0.5), -size)
            if rank > best:
                best, point = rank, OperatingPoint(threshold, size, mean)
    return point
