"""Scores of a set of cases with reference masks: per lesion, per vertebra, per case, in total."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from hideseek_backend.errors import InputError
from hideseek_backend.progress import Progress, ProgressCallback
from hideseek_lab.scoring.agreement import (
    ONE_ML_MM3,
    FrocCase,
    FrocCurve,
    RaterCounts,
    count_lesions,
    froc,
    froc_case,
    icc_2_1,
)
from hideseek_lab.scoring.cases import CaseFiles
from hideseek_lab.scoring.confidence import component_confidence, read_candidates
from hideseek_lab.scoring.instances import POLARITIES, Connectivity, phenotype_of
from hideseek_lab.scoring.masks import Mask, check_same_frame, read_mask
from hideseek_lab.scoring.metrics import PolarityRule, UnitScores, score_unit
from hideseek_lab.scoring.summary import FalseFindings, Stat, false_findings, summarise


@dataclass(frozen=True)
class ScoringOptions:
    """How masks become lesions and lesions are matched; sizes in voxels (pixels for slices)."""

    polarity: PolarityRule = "separate"
    connectivity: Connectivity = "full"
    min_reference: int = 0
    min_prediction: int = 0
    nsd_tolerance_mm: float | None = None


@dataclass(frozen=True)
class Unit:
    """One vertebra (with bodies) or one whole case (without). confidences: one a component."""

    case: str
    name: str
    phenotype: str
    scores: UnitScores
    confidences: tuple[float, ...]


@dataclass(frozen=True)
class CaseTotals:
    """Lesion volume of a case and what lay outside every body, in mm³ (slices: mm² x 1)."""

    case: str
    predicted_mm3: float
    reference_mm3: float
    outside_predicted_mm3: float
    outside_reference_mm3: float


@dataclass(frozen=True)
class VolumeError:
    """Relative volume difference of matched lesions of at least `least_mm3` (NaN without any).

    median_absolute: median of |predicted − reference| / reference over `lesions` lesions.
    """

    least_mm3: float
    lesions: int
    median_absolute: float


@dataclass(frozen=True)
class Evaluation:
    """Everything the tables and plots are made from."""

    units: tuple[Unit, ...]
    totals: tuple[CaseTotals, ...]
    dimensions: int
    per_vertebra: bool
    confidence: str
    summary: dict[str, dict[str, Stat]]
    false: FalseFindings | None
    froc: dict[str, FrocCurve]
    icc: float
    counts: dict[str, RaterCounts]
    volume_error: VolumeError
    options: ScoringOptions


def evaluate_cases(
    cases: Sequence[CaseFiles],
    options: ScoringOptions | None = None,
    progress: ProgressCallback | None = None,
) -> Evaluation:
    """Score all cases.

    Raises InputError and GeometryError for masks that cannot be compared.
    """
    options = options or ScoringOptions()
    units: list[Unit] = []
    totals: list[CaseTotals] = []
    dimensions = set()
    for done, files in enumerate(cases):
        found, total, rank = _evaluate_case(files, options)
        units += found
        totals.append(total)
        dimensions.add(rank)
        if progress is not None:
            progress(Progress("scoring cases", None, done + 1, len(cases)))
    if len(dimensions) != 1:
        raise InputError(
            "Slices and volumes cannot be scored together.",
            "Evaluate 2D and 3D cases in separate runs.",
        )
    with_delta = all(files.candidates is not None for files in cases)
    return _collect(
        units,
        totals,
        dimensions.pop(),
        any(files.bodies is not None for files in cases),
        "delta" if with_delta else "volume",
        options,
    )


def combine_froc(units: Sequence[Unit], polarity: str | None = None) -> FrocCase:
    """Join the units of one case into one FROC case."""
    parts = [froc_case(unit.scores, unit.confidences, polarity) for unit in units]
    offsets = np.cumsum([0, *(len(part.volumes_mm3) for part in parts)])
    return FrocCase(
        volumes_mm3=tuple(v for part in parts for v in part.volumes_mm3),
        confidences=tuple(c for part in parts for c in part.confidences),
        predicted_mm3=tuple(v for part in parts for v in part.predicted_mm3),
        hits=tuple(
            tuple(int(offset) + hit for hit in hits)
            for part, offset in zip(parts, offsets, strict=False)
            for hits in part.hits
        ),
    )


def volume_error(units: Sequence[Unit], least_mm3: float = 500.0) -> VolumeError:
    """How far the volumes of the larger lesions that were found are off."""
    errors = [
        abs(lesion.rvd)
        for unit in units
        for lesion in unit.scores.lesions
        if lesion.matched and lesion.volume_mm3 >= least_mm3
    ]
    return VolumeError(least_mm3, len(errors), float(np.median(errors)) if errors else float("nan"))


def _collect(
    units: list[Unit],
    totals: list[CaseTotals],
    dimensions: int,
    per_vertebra: bool,
    confidence: str,
    options: ScoringOptions,
) -> Evaluation:
    cases = [combine_froc([unit for unit in units if unit.case == total.case]) for total in totals]
    curves = {"all lesions": froc(cases)}
    if dimensions == 3:
        curves["lesions ≥ 1 mL"] = froc(cases, ONE_ML_MM3)
    volumes = [(total.predicted_mm3, total.reference_mm3) for total in totals]
    scored = [(unit.phenotype, unit.scores) for unit in units]
    names = ["any"] if options.polarity == "merged" else list(POLARITIES)
    return Evaluation(
        units=tuple(units),
        totals=tuple(totals),
        dimensions=dimensions,
        per_vertebra=per_vertebra,
        confidence=confidence,
        summary=summarise(scored, groups=[unit.case for unit in units]),
        false=false_findings(scored),
        froc=curves,
        icc=icc_2_1(volumes) if len(volumes) > 1 else float("nan"),
        counts={name: count_lesions([unit.scores for unit in units], name) for name in names},
        volume_error=volume_error(units),
        options=options,
    )


def _evaluate_case(files: CaseFiles, options: ScoringOptions) -> tuple[list[Unit], CaseTotals, int]:
    truth, prediction = read_mask(files.truth), read_mask(files.prediction)
    check_same_frame(prediction, truth)
    bodies = read_mask(files.bodies) if files.bodies is not None else None
    if bodies is not None:
        check_same_frame(bodies, truth)
    found: list[tuple[str, UnitScores, str, tuple[int, ...]]] = []
    for name, box, region in _regions(bodies, truth):
        part_truth = np.where(region, truth.labels[box], 0)
        part_prediction = np.where(region, prediction.labels[box], 0)
        scores = score_unit(
            part_prediction,
            part_truth,
            truth.spacing,
            polarity=options.polarity,
            connectivity=options.connectivity,
            min_reference=options.min_reference,
            min_prediction=options.min_prediction,
            nsd_tolerance_mm=options.nsd_tolerance_mm,
        )
        phenotype = phenotype_of(part_truth, max(options.min_reference, 1))
        found.append((name, scores, phenotype, tuple(s.start for s in box)))
    confidences = _confidences(files, found, truth)
    units = [
        Unit(files.name, name, phenotype, scores, confidence)
        for (name, scores, phenotype, _), confidence in zip(found, confidences, strict=True)
    ]
    return units, _totals(files.name, units, prediction, truth, bodies), truth.labels.ndim


def _regions(
    bodies: Mask | None, truth: Mask
) -> Iterator[tuple[str, tuple[slice, ...], NDArray[np.bool_] | bool]]:
    """Yield (name, bounding box, mask within it) of every unit of a case."""
    if bodies is None:
        yield "case", tuple(slice(0, n) for n in truth.labels.shape), True
        return
    for value, box in enumerate(ndimage.find_objects(bodies.labels), start=1):
        if box is not None:
            yield str(value), box, bodies.labels[box] == value


def _confidences(
    files: CaseFiles,
    found: Sequence[tuple[str, UnitScores, str, tuple[int, ...]]],
    grid: Mask,
) -> list[tuple[float, ...]]:
    """Δ of every component, or its volume where the case has no candidate table."""
    if files.candidates is None:
        return [tuple(part.volume_mm3 for part in unit[1].predictions) for unit in found]
    components: list[tuple[str, NDArray[Any]]] = []
    for _, scores, _, origin in found:
        for part in scores.predictions:
            index = np.argwhere(scores.labels[part.polarity].prediction == part.component)
            points = np.zeros((len(index), 3))
            points[:, : index.shape[1]] = index + np.asarray(origin)
            ras = points @ grid.affine[:3, :3].T + grid.affine[:3, 3]
            components.append((part.polarity, ras))
    values = iter(component_confidence(components, read_candidates(files.candidates)))
    return [tuple(next(values) for _ in unit[1].predictions) for unit in found]


def _totals(
    case: str, units: Sequence[Unit], prediction: Mask, truth: Mask, bodies: Mask | None
) -> CaseTotals:
    voxel = float(np.prod(truth.spacing))
    outside = bodies.labels == 0 if bodies is not None else np.zeros(truth.labels.shape, bool)
    return CaseTotals(
        case,
        sum(unit.scores.predicted_mm3 for unit in units),
        sum(unit.scores.reference_mm3 for unit in units),
        voxel * float(((prediction.labels > 0) & outside).sum()),
        voxel * float(((truth.labels > 0) & outside).sum()),
    )
