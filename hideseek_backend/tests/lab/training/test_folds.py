"""Folds of patients, and the upper part of an encoder trained on frozen features."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from tiny_model import CONFIG, write_tiny_model

from hideseek_backend.dae import DiffusionAutoencoder
from hideseek_backend.errors import InputError
from hideseek_backend.models.store import load_model
from hideseek_lab.training.augment import Augmentation
from hideseek_lab.training.folds import FoldPlan, folds_of, train_fold, train_folds
from hideseek_lab.training.real_cases import RealCase
from hideseek_lab.training.upper import Features, Upper, UpperPlan, lower_features, train_upper

STILL = Augmentation(probability=0.0, flip_probability=0.0)
PLAN = UpperPlan(
    frozen=2, steps=60, vertebrae=8, learning_rate=3e-3, warmup=5, drop=0.0, bf16=False
)


def _dae() -> DiffusionAutoencoder:
    torch.manual_seed(1)
    return DiffusionAutoencoder(CONFIG).eval().requires_grad_(False)


def _vertebrae(n: int = 24) -> tuple[list[np.ndarray], list[np.ndarray]]:
    """Grainy slices; in malignant ones a dense spot on two of the eight."""
    rng = np.random.default_rng(0)
    hu, labels = [], []
    for index in range(n):
        own = rng.normal(150, 30, (8, 64, 64))
        if index % 2:
            own[2:4, 20:44, 20:44] += 700
        hu.append(own.astype(np.int16))
        labels.append(np.array([index % 2, 0, index % 2], np.float32))
    return hu, labels


def _intensity(hu: np.ndarray) -> torch.Tensor:
    return torch.from_numpy(hu / 1000).float()


def test_lower_and_upper_part_make_the_encoder() -> None:
    dae, (hu, labels) = _dae(), _vertebrae(2)
    lower = lower_features(dae, hu, labels, _intensity, STILL, PLAN, seed=0)
    upper = Upper(dae, PLAN.frozen, 0.0).eval()
    with torch.inference_mode():
        z = upper.out(upper.blocks(lower.values[0])).flatten(1)
    whole = dae.encode(_intensity(hu[0].astype(np.float32))[:, None])
    assert torch.allclose(z, whole, atol=1e-4 * float(whole.abs().max()))


def test_training_learns_and_leaves_the_lower_part_alone() -> None:
    dae, (hu, labels) = _dae(), _vertebrae()
    features = lower_features(dae, hu[:16], labels[:16], _intensity, STILL, PLAN, seed=0)
    assert isinstance(features, Features) and len(features) == 16
    losses: list[float] = []
    trained, weight, bias = train_upper(
        dae,
        None,
        [(features, 1.0)],
        PLAN,
        lambda _, loss: losses.append(loss),
    )
    old, new = dae.state_dict(), trained.state_dict()
    changed = {key for key in old if not torch.equal(old[key], new[key])}
    assert changed and all(key.startswith("network.encoder.") for key in changed)
    assert not any(key.startswith("network.encoder.input_blocks.0") for key in changed)
    logits = []
    for own in hu[16:]:  # vertebrae that the training has not seen
        z = trained.encode(_intensity(own.astype(np.float32))[:, None]).numpy()
        logits.append(np.logaddexp.reduce(z @ weight[0] + bias[0]))
    assert min(logits[1::2]) > max(logits[::2])
    assert losses[0] < 0.7


def _case(name: str, patient: str, levels: int) -> RealCase:
    named = tuple(f"T{n}" for n in range(1, levels + 1))
    return RealCase(name, patient, Path("ct"), Path("masks"), None, None, named)


def test_every_patient_is_in_one_fold_and_folds_are_alike_in_size() -> None:
    sizes = {"a": 9, "b": 8, "c": 8, "d": 7, "e": 6, "f": 4, "g": 3, "h": 1}
    cases = [_case(name, name, count) for name, count in sizes.items()]
    cases.append(_case("a, later", "a", 5))
    folds = folds_of(cases)
    assert folds == folds_of(cases[::-1])
    assert sorted(name for fold in folds for name in fold) == sorted(sizes)
    levels = [sum(sizes[n] + 5 * (n == "a") for n in fold) for fold in folds]
    assert max(levels) - min(levels) <= 7
    with pytest.raises(InputError, match="do not make 5 folds"):
        folds_of(cases[:3])


def test_the_model_of_a_fold_says_whom_it_has_not_seen(tmp_path: Path) -> None:
    base = load_model(write_tiny_model(tmp_path / "base"), "cpu")
    plan = FoldPlan(upper=PLAN)
    hu, labels = _vertebrae(8)
    features = lower_features(base.dae, hu, labels, _intensity, STILL, PLAN, seed=0)
    cases = [_case(name, name, 3) for name in "abc"]
    train_fold(
        base, cases, ("b",), tmp_path / "fold-1", features, dict.fromkeys("abc", features), plan,
        lambda line: None,
    )  # fmt: skip
    model = load_model(tmp_path / "fold-1", "cpu")
    real = model.spec.training["real"]
    assert [entry["patient"] for entry in real["held_out"]] == ["b"]
    assert [entry["patient"] for entry in real["trained_on"]] == ["a", "c"]
    p = [
        model.classifier.vertebra_logit(
            model.dae.encode(_intensity(own.astype(np.float32))[:, None])
        )
        for own in hu
    ]
    assert min(p[1::2]) > max(p[::2])
    # Whom a model has seen it can't be asked about.
    several = [_case(name, name, 3) for name in "acdefg"]
    with pytest.raises(InputError, match="was trained on a, c"):
        train_folds(model, several, tmp_path / "run", plan, lambda line: None)
