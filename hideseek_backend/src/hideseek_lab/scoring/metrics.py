"""Lesion-wise scores of one unit (a slice, a vertebra or a whole case), through panoptica.

Matching is the paper's: any overlap counts (Dice > 0), several predictions may be matched to one
reference lesion and are then judged as their union; one prediction is matched to one reference,
the one with the higher Dice (Atad et al. 2025, "Evaluation metrics"; panoptica's
NaiveThresholdMatching with many-to-one).

Rules for units without a match, the same everywhere:

====================  =========  ======  ====  ====  ====  =======  =====================
unit                  precision  recall  RQ    SQ    PQ    Dice     ASSD, RVD, NSD
====================  =========  ======  ====  ====  ====  =======  =====================
both empty            undefined  undef.  und.  und.  und.  undef.   undefined
prediction empty      undefined  0       0     0     0     0        undefined
reference empty       0          undef.  0     0     0     0        undefined
no overlap            0          0       0     0     0     0        undefined
====================  =========  ======  ====  ====  ====  =======  =====================

Undefined values are NaN and are left out of means; each mean is given with its own n. SQ = 0
where nothing was matched is panoptica's default and the harsher choice.
"""

from __future__ import annotations

import math
import warnings
from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from hideseek_backend.errors import GeometryError, InputError
from hideseek_backend.optional import import_optional
from hideseek_lab.scoring.instances import (
    POLARITIES,
    Connectivity,
    InstancePair,
    pair_instances,
)

PolarityRule = Literal["separate", "merged"]

#: order and names as in the paper's tables 2, 4 and 6; the last is from the whole-body MRI paper
METRICS: dict[str, str] = {
    "precision": "Detection precision ↑",
    "recall": "Detection recall ↑",
    "rq": "Detection F1 (RQ) ↑",
    "sq": "Instance Dice (SQ) ↑",
    "pq": "Panoptic Dice (PQ) ↑",
    "assd": "ASSD, mm ↓",
    "rvd": "RVD ≈ 0",
    "global_dice": "Global Dice ↑",
    "nsd": "Normalised surface Dice ↑",
}


@dataclass(frozen=True)
class LesionScore:
    """One reference lesion. dice, assd (mm), rvd, nsd are NaN where it was missed."""

    polarity: str
    lesion: int
    voxels: int
    volume_mm3: float
    matched: bool
    predictions: tuple[int, ...]
    dice: float
    assd: float
    rvd: float
    nsd: float


@dataclass(frozen=True)
class PredictionScore:
    """One predicted component. hits: reference lesions it overlaps; matched_to: 0 for none."""

    polarity: str
    component: int
    voxels: int
    volume_mm3: float
    matched_to: int
    hits: tuple[int, ...]


@dataclass(frozen=True)
class UnitScores:
    """Scores of one unit. `values` holds the keys of METRICS; NaN is "undefined"."""

    values: dict[str, float]
    lesions: tuple[LesionScore, ...]
    predictions: tuple[PredictionScore, ...]
    tp: int
    fp: int
    fn: int
    predicted_mm3: float
    reference_mm3: float
    labels: dict[str, InstancePair] = field(repr=False, default_factory=dict)


def score_unit(
    prediction: NDArray[Any],
    reference: NDArray[Any],
    spacing: tuple[float, ...],
    *,
    polarity: PolarityRule = "separate",
    connectivity: Connectivity = "full",
    min_reference: int = 0,
    min_prediction: int = 0,
    nsd_tolerance_mm: float | None = None,
) -> UnitScores:
    """Score a predicted label map against a reference.

    prediction, reference: 2D or 3D label maps of one shape, 1 lytic, 2 blastic (any other
    non-zero value is an error). spacing: mm per axis.
    polarity: "separate" matches within a polarity and counts the instances of both together, so
    that a lytic candidate never finds a blastic lesion; "merged" forgets the polarity, for
    methods that cannot tell it.
    nsd_tolerance_mm: distance within which surfaces agree; default the smallest spacing.
    Raises GeometryError for shapes that differ, InputError for unknown labels,
    MissingDependencyError without panoptica.
    """
    prediction, reference = np.asarray(prediction), np.asarray(reference)
    _check(prediction, reference, spacing)
    parts: dict[str, tuple[NDArray[np.bool_], NDArray[np.bool_]]]
    if polarity == "merged":
        parts = {"any": (prediction > 0, reference > 0)}
    else:
        parts = {name: (prediction == v, reference == v) for name, v in POLARITIES.items()}
    voxel = float(np.prod(spacing))
    lesions: list[LesionScore] = []
    components: list[PredictionScore] = []
    pairs: dict[str, InstancePair] = {}
    fp = overlap = sizes = 0
    for name, (predicted, truth) in parts.items():
        pair = pair_instances(
            predicted,
            truth,
            connectivity=connectivity,
            min_reference=min_reference,
            min_prediction=min_prediction,
        )
        found, parts_found = match_instances(pair, name, spacing, nsd_tolerance_mm)
        lesions += found
        components += parts_found
        pairs[name] = pair
        fp += sum(component.matched_to == 0 for component in parts_found)
        overlap += int(((pair.prediction > 0) & (pair.reference > 0)).sum())
        sizes += int((pair.prediction > 0).sum() + (pair.reference > 0).sum())
    tp = sum(lesion.matched for lesion in lesions)
    fn = len(lesions) - tp
    return UnitScores(
        values=_values(lesions, tp, fp, fn, 2 * overlap / sizes if sizes else math.nan),
        lesions=tuple(lesions),
        predictions=tuple(components),
        tp=tp,
        fp=fp,
        fn=fn,
        predicted_mm3=voxel * sum(component.voxels for component in components),
        reference_mm3=voxel * sum(lesion.voxels for lesion in lesions),
        labels=pairs,
    )


def match_instances(
    pair: InstancePair,
    polarity: str,
    spacing: tuple[float, ...],
    nsd_tolerance_mm: float | None = None,
) -> tuple[list[LesionScore], list[PredictionScore]]:
    """Match predicted to reference instances and measure every matched pair, with panoptica."""
    panoptica = import_optional("panoptica", "Scoring lesions")
    reference, prediction = pair.reference, pair.prediction
    n_reference, n_prediction = int(reference.max(initial=0)), int(prediction.max(initial=0))
    voxel = float(np.prod(spacing))
    reference_sizes = np.bincount(reference.ravel(), minlength=n_reference + 1)
    prediction_sizes = np.bincount(prediction.ravel(), minlength=n_prediction + 1)
    owner: dict[int, int] = {}
    if n_reference and n_prediction:
        # panoptica gives a matched component the number of its lesion, others numbers above
        matched = _matcher(panoptica).match_instances(
            _unmatched_pair(panoptica, prediction, reference)
        )
        relabelled = np.asarray(matched.prediction_arr)
        for component in range(1, n_prediction + 1):
            number = int(relabelled[prediction == component][0])
            owner[component] = number if number <= n_reference else 0
    lesions = []
    for lesion in range(1, n_reference + 1):
        members = tuple(component for component, number in owner.items() if number == lesion)
        dice, assd, rvd, nsd = math.nan, math.nan, math.nan, math.nan
        if members:
            dice, assd, rvd, nsd = _measure(
                panoptica,
                reference == lesion,
                np.isin(prediction, members),
                spacing,
                nsd_tolerance_mm,
            )
        size = int(reference_sizes[lesion])
        lesions.append(
            LesionScore(
                polarity, lesion, size, size * voxel, bool(members), members, dice, assd, rvd, nsd
            )
        )
    components = []
    for component in range(1, n_prediction + 1):
        hits = np.unique(reference[prediction == component])
        size = int(prediction_sizes[component])
        components.append(
            PredictionScore(
                polarity,
                component,
                size,
                size * voxel,
                owner.get(component, 0),
                tuple(int(hit) for hit in hits if hit),
            )
        )
    return lesions, components


def _matcher(panoptica: Any) -> Any:
    metric = import_optional("panoptica.metrics", "Scoring lesions").Metric
    return panoptica.NaiveThresholdMatching(
        matching_metric=metric.DSC,
        matching_threshold=0.0,
        strict_threshold=True,
        allow_many_to_one=True,
    )


def _unmatched_pair(panoptica: Any, prediction: Any, reference: Any) -> Any:
    pairs = import_optional("panoptica.utils.processing_pair", "Scoring lesions")
    return pairs.UnmatchedInstancePair(
        prediction_arr=prediction.astype(np.uint32), reference_arr=reference.astype(np.uint32)
    )


def _measure(
    panoptica: Any,
    reference: NDArray[np.bool_],
    prediction: NDArray[np.bool_],
    spacing: tuple[float, ...],
    tolerance: float | None,
) -> tuple[float, float, float, float]:
    """Dice, ASSD (mm), RVD and NSD of two overlapping masks."""
    metric = import_optional("panoptica.metrics", "Scoring lesions").Metric
    # a crop with a margin of one voxel changes no value and keeps distance maps small
    box = tuple(
        slice(max(int(index.min()) - 1, 0), int(index.max()) + 2)
        for index in np.nonzero(reference | prediction)
    )
    pair = (
        np.pad(reference[box], 1).astype(np.uint8),
        np.pad(prediction[box], 1).astype(np.uint8),
    )
    with warnings.catch_warnings():
        # panoptica warns of any tolerance of 0.5, also of one that was asked for
        warnings.filterwarnings("ignore", message="The threshold is set to 0.5")
        nsd = float(metric.NSD(*pair, voxelspacing=spacing, threshold=tolerance))
    return (
        float(metric.DSC(*pair)),
        float(metric.ASSD(*pair, voxelspacing=spacing)),
        float(metric.RVD(*pair)),
        nsd,
    )


def _values(
    lesions: list[LesionScore], tp: int, fp: int, fn: int, global_dice: float
) -> dict[str, float]:
    """The table's numbers of a unit, by the rules in the module's docstring."""
    matched = [lesion for lesion in lesions if lesion.matched]
    empty = tp + fp + fn == 0
    rq = math.nan if empty else tp / (tp + 0.5 * fp + 0.5 * fn)
    if empty:
        sq = math.nan
    else:
        sq = float(np.mean([lesion.dice for lesion in matched])) if matched else 0.0
    return {
        "precision": tp / (tp + fp) if tp + fp else math.nan,
        "recall": tp / (tp + fn) if tp + fn else math.nan,
        "rq": rq,
        "sq": sq,
        "pq": rq * sq,
        "assd": float(np.mean([lesion.assd for lesion in matched])) if matched else math.nan,
        "rvd": float(np.mean([lesion.rvd for lesion in matched])) if matched else math.nan,
        "global_dice": global_dice,
        "nsd": float(np.mean([lesion.nsd for lesion in matched])) if matched else math.nan,
    }


def _check(prediction: NDArray[Any], reference: NDArray[Any], spacing: tuple[float, ...]) -> None:
    if prediction.shape != reference.shape:
        raise GeometryError(
            f"Prediction and reference must have one shape, got {prediction.shape} and "
            f"{reference.shape}.",
            "Write both on the same grid.",
        )
    if prediction.ndim not in (2, 3) or len(spacing) != prediction.ndim:
        raise GeometryError(
            f"Masks must be 2D or 3D with one spacing per axis, got shape {prediction.shape} and "
            f"spacing {spacing}.",
            "Give single slices or volumes.",
        )
    for name, mask in (("prediction", prediction), ("reference", reference)):
        unknown = set(np.unique(mask).tolist()) - {0, 1, 2}
        if unknown:
            raise InputError(
                f"The {name} must hold 0, 1 (lytic) and 2 (blastic), got also {sorted(unknown)}.",
                "Relabel it before scoring.",
            )
