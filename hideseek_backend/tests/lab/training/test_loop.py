"""The training loop: losses against hand-made cases, the schedule, resuming."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from torch import Tensor

from hideseek_backend.dae import DiffusionAutoencoder
from hideseek_lab.training.loop import (
    Batch,
    Trainee,
    averaged,
    learning_rate,
    train,
)
from hideseek_lab.training.presets import TINY

ENCODER = "network.encoder."
CONFIG = replace(TINY.train, steps=6, batch=4)


def _batches(step: int) -> Iterator[Batch]:
    while True:
        generator = torch.Generator().manual_seed(step)
        images = torch.rand(4, 1, 64, 64, generator=generator)
        yield Batch(images, torch.tensor([[1.0, 0.0, 1.0]] * 4))
        step += 1


def test_learning_rate_warms_up_and_decays() -> None:
    config = replace(CONFIG, steps=1000, warmup=100, decay_from=0.5, learning_rate=1.0)
    assert learning_rate(config, 0) == pytest.approx(0.01)
    assert learning_rate(config, 300) == 1.0
    assert learning_rate(config, 1000) == pytest.approx(0.02)


def test_learning_rate_warms_up_again_where_the_denoiser_joins() -> None:
    config = replace(CONFIG, steps=1000, warmup=100, encoder_steps=300, learning_rate=1.0)
    assert learning_rate(config, 299) == 1.0
    assert learning_rate(config, 300) == pytest.approx(0.01)
    assert learning_rate(config, 400) == 1.0


def test_encoder_steps_leave_the_denoiser_alone(tmp_path: Path) -> None:
    """Only the encoder and the label head move before `encoder_steps`; afterwards all do."""
    config = replace(CONFIG, steps=3, batch=2, label_images=2, encoder_steps=3)
    torch.manual_seed(config.seed)
    start = {name: p.clone() for name, p in Trainee(config.architecture).named_parameters()}
    moved = _moved(train(config, _batches, tmp_path, save_every=3), start)
    assert any(name.startswith(ENCODER) for name in moved)
    assert all(name.startswith(ENCODER) for name in moved)
    longer = train(replace(config, steps=5), _batches, tmp_path, save_every=5)
    assert not all(name.startswith(ENCODER) for name in _moved(longer, start))


def _moved(dae: DiffusionAutoencoder, start: dict[str, Tensor]) -> set[str]:
    return {n for n, p in dae.named_parameters() if not torch.equal(p, start[f"dae.{n}"])}


def test_training_reduces_its_loss_and_saves(tmp_path: Path) -> None:
    lines: list[dict[str, float]] = []
    config = replace(CONFIG, steps=200, batch=4)
    train(config, _batches, tmp_path, save_every=100, report=lambda _, d: lines.append(d))
    assert lines[1]["denoising"] < lines[0]["denoising"]
    dae, step = averaged(tmp_path)
    assert step == 200
    assert dae.encode(torch.rand(2, 1, 64, 64)).shape == (2, 16)


def test_a_stopped_training_goes_on_where_it_was(tmp_path: Path) -> None:
    train(CONFIG, _batches, tmp_path, save_every=3)
    longer = replace(CONFIG, steps=9)
    seen: list[int] = []

    def watched(step: int) -> Iterator[Batch]:
        seen.append(step)
        return _batches(step)

    train(longer, watched, tmp_path, save_every=3)
    assert seen == [6]
    assert averaged(tmp_path)[1] == 9


def test_the_same_seed_gives_the_same_weights(tmp_path: Path) -> None:
    first = train(CONFIG, _batches, tmp_path / "a", save_every=6)
    second = train(CONFIG, _batches, tmp_path / "b", save_every=6)
    for one, other in zip(first.parameters(), second.parameters(), strict=True):
        assert torch.equal(one, other)


def test_a_training_may_start_from_the_weights_of_another(tmp_path: Path) -> None:
    train(CONFIG, _batches, tmp_path / "a", save_every=6)
    before = {n: p.clone() for n, p in averaged(tmp_path / "a")[0].named_parameters()}
    still = replace(CONFIG, steps=1, learning_rate=0.0)
    after = train(still, _batches, tmp_path / "b", start_from=tmp_path / "a", save_every=1)
    for name, value in after.named_parameters():
        assert torch.allclose(value, before[name], atol=1e-3), name
    assert averaged(tmp_path / "b")[1] == 1
