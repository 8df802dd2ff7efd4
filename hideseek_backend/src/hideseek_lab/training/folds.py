"""Folds of real patients: models that each have never seen the patients they are asked about.

All start from one model that has seen none of them. Only the upper part of the encoder is trained
(see `upper`), on the real vertebrae of the other folds, with inserted lesions and look-alikes, and
on phantoms.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np

from hideseek_backend.errors import InputError
from hideseek_backend.models.places import SPEC_FILE
from hideseek_backend.models.store import Model, round_to_half, save_model
from hideseek_lab.training import dataset
from hideseek_lab.training.fit import with_label_head
from hideseek_lab.training.presets import BUNDLED, Preset
from hideseek_lab.training.real import write_real_shards
from hideseek_lab.training.real_cases import RealCase
from hideseek_lab.training.upper import Features, UpperPlan, lower_features, train_upper

FOLDS = 5


@dataclass(frozen=True)
class FoldPlan:
    """preset: whose intensity, augmentation and options apply. upper: how the encoder is trained.

    phantom_shards: of `preset.per_shard` phantoms. phantom_share: of the vertebrae of a step.
    seed: of the augmentation.
    """

    preset: Preset = BUNDLED
    upper: UpperPlan = field(default_factory=UpperPlan)
    phantom_shards: int = 1
    phantom_share: float = 0.2
    seed: int = 3


def folds_of(cases: Sequence[RealCase], count: int = FOLDS) -> list[tuple[str, ...]]:
    """Split the patients into folds of about equally many vertebrae, always the same way.

    From the patient with the most levels to the one with the fewest, each goes to the fold that has
    the fewest so far.
    """
    levels: dict[str, int] = {}
    for case in cases:
        levels[case.patient] = levels.get(case.patient, 0) + len(case.healthy_levels)
    if len(levels) < count:
        raise InputError(
            f"{len(levels)} patients do not make {count} folds.", "Give more cases with --data."
        )
    folds: list[list[str]] = [[] for _ in range(count)]
    for patient in sorted(levels, key=lambda name: (-levels[name], name)):
        least = min(folds, key=lambda fold: sum(levels[name] for name in fold))
        least.append(patient)
    return [tuple(sorted(fold)) for fold in folds]


def train_folds(
    base: Model,
    cases: Sequence[RealCase],
    run: Path,
    plan: FoldPlan,
    report: Callable[[str], None],
) -> list[Path]:
    """Train the models of all folds that are not there yet, and return their folders.

    Raises InputError when `base` was trained on one of the patients.
    """
    _refuse_seen(base, cases)
    folds = folds_of(cases)
    folders = [run / f"fold-{number}" for number in range(1, len(folds) + 1)]
    if all((folder / SPEC_FILE).is_file() for folder in folders):
        return folders
    data, preset = run / "data", plan.preset
    dataset.write_phantom_shards(
        data, 0, plan.phantom_shards, per_shard=preset.per_shard, report=report
    )
    write_real_shards(data, cases, preset.real_per_vertebra, report)
    phantoms = _features(base, data, "phantom-0*.npz", plan, report)
    by_case = {
        case.name: _features(base, data, f"real-{case.name}-*.npz", plan, report) for case in cases
    }
    for folder, patients in zip(folders, folds, strict=True):
        if not (folder / SPEC_FILE).is_file():
            train_fold(base, cases, patients, folder, phantoms, by_case, plan, report)
    return folders


def train_fold(
    base: Model,
    cases: Sequence[RealCase],
    patients: Sequence[str],
    folder: Path,
    phantoms: Features,
    by_case: Mapping[str, Features],
    plan: FoldPlan,
    report: Callable[[str], None],
) -> None:
    """Train the model that has not seen `patients` and write its folder.

    phantoms, by_case: lower features of phantoms and of every case's samples.
    """
    seen = [case for case in cases if case.patient not in patients]
    total = sum(len(by_case[case.name]) for case in seen)
    sets = [(phantoms, plan.phantom_share)]
    for case in seen:
        own = by_case[case.name]
        sets.append((own, (1 - plan.phantom_share) * len(own) / total))

    def say(step: int, loss: float) -> None:
        report(f"{folder.name}: step {step}, label loss {loss:.3f}")

    dae, weight, bias = train_upper(base.dae, _raw_head(base), sets, plan.upper, say)
    round_to_half(dae)
    z = np.stack([base.classifier.mean, base.classifier.mean + base.classifier.scale])
    classifier = with_label_head(base.classifier, z, weight, bias)
    save_model(
        folder,
        dae,
        # The prior is of the old encoder's latents: such a model says p and heals nothing.
        replace(classifier, prior=None, pattern=None),
        name=folder.name,
        intensity_map=plan.preset.intensity,
        half=True,
        defaults={"fast": {**plan.preset.defaults.get("fast", {}), "direction": "normal"}},
        training={
            "steps": plan.upper.steps,
            "history": f"Upper part of the encoder of {base.spec.name} ({base.hash[:12]}).",
            "config": plan.upper.to_dict(),
            "real": {
                "trained_on": [case.credit() for case in seen],
                "held_out": [case.credit() for case in cases if case.patient in patients],
            },
        },
        licence="Apache-2.0",
    )


def _features(
    base: Model, data: Path, pattern: str, plan: FoldPlan, report: Callable[[str], None]
) -> Features:
    shards = dataset.ShardSet(data, pattern)
    report(f"lower features of {len(shards)} vertebrae ({pattern})")
    return lower_features(
        base.dae, shards.hu, shards.labels, plan.preset.to_intensity,
        plan.preset.train.augmentation, plan.upper, plan.seed,
    )  # fmt: skip


def _raw_head(base: Model) -> tuple[np.ndarray, np.ndarray] | None:
    """The classifier and polarity head on unscaled latents: (3, d) and (3,)."""
    own = base.classifier
    if own.head is None:
        return None
    weight = np.stack([own.weight, *own.head.weight]) / own.scale
    return weight, np.array([own.bias, *own.head.bias]) - weight @ own.mean


def _refuse_seen(base: Model, cases: Sequence[RealCase]) -> None:
    real = base.spec.training.get("real", {})
    trained = real.get("trained_on", ()) if isinstance(real, dict) else ()
    seen = {entry["patient"] for entry in trained} & {case.patient for case in cases}
    if seen:
        raise InputError(
            f"Model {base.spec.name} was trained on {', '.join(sorted(seen))}: no fold of these "
            "patients can start from it.",
            "Start from a model that has seen none of them (--start-from).",
        )
