"""The training loop: losses against hand-made cases, the schedule, resuming."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from hideseek_backend.training.loop import Batch, averaged, label_loss, learning_rate, train
from hideseek_backend.training.presets import TINY

CONFIG = replace(TINY.train, steps=6, batch=4)


def _batches(step: int) -> Iterator[Batch]:
    while True:
        generator = torch.Generator().manual_seed(step)
        images = torch.rand(4, 1, 64, 64, generator=generator)
        yield Batch(images, torch.tensor([[1.0, 0.0, 1.0]] * 4))
        step += 1


def test_label_loss_leaves_absent_labels_out() -> None:
    logits = torch.zeros(2, 3)
    labels = torch.tensor([[1.0, 0.0, 1.0], [math.nan] * 3])
    assert label_loss(logits, labels).item() == pytest.approx(math.log(2))
    assert label_loss(logits, torch.full((2, 3), math.nan)).item() == 0


def test_learning_rate_warms_up_and_decays() -> None:
    config = replace(CONFIG, steps=1000, warmup=100, decay_from=0.5, learning_rate=1.0)
    assert learning_rate(config, 0) == pytest.approx(0.01)
    assert learning_rate(config, 300) == 1.0
    assert learning_rate(config, 1000) == pytest.approx(0.02)


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
