"""Both papers' clinical analysis of predicted masks, of one system or several on one truth."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from hideseek_backend.errors import InputError
from hideseek_backend.progress import Progress, ProgressCallback
from hideseek_backend.volumes.reading import read_ct
from hideseek_lab.scoring.cases import CaseFiles
from hideseek_lab.scoring.evaluate import Evaluation, ScoringOptions, evaluate_cases
from hideseek_lab.scoring.masks import Mask, check_same_frame, is_mask, read_mask, stem
from hideseek_lab.supervised.clinical.bones import Bone
from hideseek_lab.supervised.clinical.figures import PatientFigures, patient_figures
from hideseek_lab.supervised.clinical.lesions import (
    DIFFUSE_SHARE,
    Anchored,
    Lesion,
    TaskFigures,
    anchor,
    bone_specificity,
    clinical_tasks,
    count_lesions_3d,
    describe,
    slice_axis,
)
from hideseek_lab.supervised.clinical.radiomics import FamilyAgreement, agreement, region_pairs
from hideseek_lab.supervised.clinical.statistics import (
    PairedTest,
    bonferroni,
    compare_paired,
    mann_whitney,
)

#: per-patient figures that are compared between systems, paired
PAIRED = ("f2", "sensitivity", "false", "dice", "global_dice")


@dataclass(frozen=True)
class ClinicalOptions:
    """bones, names: label maps by case and their values; ct: scans by case, for radiomics."""

    diffuse_share: float = DIFFUSE_SHARE
    bones: Mapping[str, Path] = field(default_factory=dict)
    names: Mapping[int, Bone] = field(default_factory=dict)
    ct: Mapping[str, Path] = field(default_factory=dict)


@dataclass(frozen=True, eq=False)
class CaseLesions:
    """Lesions of one case by the paper's rule. healthy_bones: (without a true lesion, of them
    without a predicted one)."""

    case: str
    truth: tuple[Lesion, ...]
    predicted: tuple[Lesion, ...]
    pairs: tuple[Anchored, ...]
    healthy_bones: tuple[int, int]


@dataclass(frozen=True, eq=False)
class System:
    """One system's analysis."""

    name: str
    evaluation: Evaluation
    figures: PatientFigures
    lesions: tuple[CaseLesions, ...]
    tasks: tuple[TaskFigures, ...]
    radiomics: tuple[FamilyAgreement, ...]
    radiomic_lesions: int

    @property
    def count_sensitivity(self) -> float:
        """Share of true lesions (paper's rule) that were found."""
        pairs = [pair for case in self.lesions for pair in case.pairs]
        return sum(p.predicted is not None for p in pairs) / len(pairs) if pairs else math.nan

    @property
    def bone_specificity(self) -> float:
        """Share of bones without a true lesion that were left unmarked."""
        healthy = sum(case.healthy_bones[0] for case in self.lesions)
        clean = sum(case.healthy_bones[1] for case in self.lesions)
        return clean / healthy if healthy else math.nan


@dataclass(frozen=True)
class Difference:
    """Two systems in one figure. unpaired: Mann-Whitney's p, for lesions; p: with Bonferroni."""

    first: str
    second: str
    metric: str
    paired: PairedTest | None
    unpaired: float
    p: float


def analyse(
    name: str,
    cases: Sequence[CaseFiles],
    scoring: ScoringOptions,
    options: ClinicalOptions,
    progress: ProgressCallback | None = None,
) -> System:
    """Analyse one system's predictions.

    Raises InputError for slices instead of volumes, or where bones or CT of a case are missing,
    GeometryError where grids differ.
    """
    for kind, given in (("bones", options.bones), ("CT", options.ct)):
        missing = [files.name for files in cases if given and files.name not in given]
        if missing:
            raise InputError(
                f"{len(missing)} of {len(cases)} cases have no {kind}: {', '.join(missing[:5])}.",
                "Files pair by the case's name.",
            )
    evaluation = evaluate_cases(cases, scoring)
    found, true_features, predicted_features = [], [], []
    for done, files in enumerate(cases):
        case, features = _case(files, options)
        found.append(case)
        true_features += features[0]
        predicted_features += features[1]
        if progress is not None:
            progress(Progress(f"clinical analysis, {name}", None, done + 1, len(cases)))
    pairs = [pair for case in found for pair in case.pairs]
    return System(
        name,
        evaluation,
        patient_figures(evaluation),
        tuple(found),
        tuple(clinical_tasks(pairs)),
        tuple(agreement(true_features, predicted_features)),
        len(true_features),
    )


def differences(systems: Sequence[System]) -> list[Difference]:
    """Every system against the first: patients paired (t-test, Wilcoxon), lesions found unpaired
    (Mann-Whitney), Bonferroni over all of them."""
    made: list[tuple[str, str, str, PairedTest | None, float, float]] = []
    for other in systems[1:]:
        first = systems[0]
        for metric in PAIRED:
            values = [
                {c.case: float(getattr(c, metric)) for c in s.figures.cases} for s in (first, other)
            ]
            shared = [c for c in values[0] if c in values[1]]
            result = compare_paired([values[0][c] for c in shared], [values[1][c] for c in shared])
            normal = math.isfinite(result.shapiro) and result.shapiro >= 0.05
            p = result.t if normal else result.wilcoxon
            made.append((first.name, other.name, metric, result, math.nan, p))
        for metric in ("dice", "nsd"):
            p = mann_whitney(getattr(first.figures, metric), getattr(other.figures, metric))
            made.append((first.name, other.name, f"{metric} of lesions found", None, p, p))
    corrected = bonferroni([row[5] for row in made])
    return [Difference(*row[:5], p) for row, p in zip(made, corrected, strict=True)]


def files_by_case(path: Path, cases: Sequence[str], names: Sequence[str]) -> dict[str, Path]:
    """Files of cases: one file for a single case, CASE.nii.gz, or CASE/NAME.nii.gz, in a folder.

    Raises InputError where the path does not exist.
    """
    if not path.exists():
        raise InputError(f"{path} does not exist.", "Check the path.")
    if path.is_file():
        return dict.fromkeys(cases[:1], path)
    found: dict[str, Path] = {}
    for case in cases:
        inside = path / case
        own = _named(inside, names) if inside.is_dir() else _named(path, (case,))
        if own is None and len(cases) == 1:
            own = _named(path, names)
        if own is not None:
            found[case] = own
    return found


def _named(folder: Path, names: Sequence[str]) -> Path | None:
    masks = {stem(p): p for p in sorted(folder.iterdir()) if is_mask(p)}
    return next((masks[name] for name in names if name in masks), None)


Features = tuple[list[dict[str, float]], list[dict[str, float]]]


def _case(files: CaseFiles, options: ClinicalOptions) -> tuple[CaseLesions, Features]:
    truth, prediction = read_mask(files.truth), read_mask(files.prediction)
    if truth.labels.ndim != 3:
        raise InputError(
            f"Expected a volume in {files.truth.name}, got a slice.",
            "The clinical analysis counts lesions in three dimensions.",
        )
    check_same_frame(prediction, truth)
    bones: Mask | None = None
    if files.name in options.bones:
        bones = read_mask(options.bones[files.name])
        check_same_frame(bones, truth)
    axis = slice_axis(truth.affine)
    voxel = float(np.prod(truth.spacing))
    described = []
    for mask in (truth, prediction):
        labels, _ = count_lesions_3d(mask.labels > 0, axis)
        own = describe(
            labels, voxel, None if bones is None else bones.labels, options.names, axis=axis,
            diffuse_share=options.diffuse_share,
        )  # fmt: skip
        described.append((labels, own))
    (true_labels, true_lesions), (labels, predicted) = described
    pairs = anchor(true_labels, true_lesions, labels, predicted)
    healthy = (0, 0)
    if bones is not None:
        healthy = bone_specificity(
            truth.labels > 0, prediction.labels > 0, bones.labels, options.names
        )
    features: Features = ([], [])
    if files.name in options.ct:
        features = _features(options.ct[files.name], truth, true_labels, labels, pairs)
    case = CaseLesions(files.name, tuple(true_lesions), tuple(predicted), tuple(pairs), healthy)
    return case, features


def _features(
    path: Path,
    grid: Mask,
    truth: NDArray[np.int32],
    prediction: NDArray[np.int32],
    pairs: Sequence[Anchored],
) -> Features:
    ct, _ = read_ct(path)
    if ct.shape != truth.shape or not np.allclose(ct.affine, grid.affine, atol=0.01):
        raise InputError(
            f"Expected {path.name} on the grid of its masks {truth.shape}, got {ct.shape}.",
            "Give the CT that the masks were drawn on.",
        )
    numbers = [(p.truth.number, p.predicted.number) for p in pairs if p.predicted is not None]
    return region_pairs(np.asarray(ct.data), truth, prediction, numbers, grid.spacing)
