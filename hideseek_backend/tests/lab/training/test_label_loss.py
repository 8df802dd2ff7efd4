"""The label loss against hand-made cases."""

from __future__ import annotations

import math

import pytest
import torch
import torch.nn.functional as F

from hideseek_lab.training.loop import label_loss


def test_one_slice_a_vertebra_is_plain_cross_entropy() -> None:
    logits = torch.randn(6, 3, generator=torch.Generator().manual_seed(0))
    labels = torch.tensor([[1.0, 0.0, 1.0], [0.0, 0.0, 0.0]] * 3)
    expected = F.binary_cross_entropy_with_logits(logits, labels)
    assert label_loss(logits, labels, 1).item() == pytest.approx(expected.item(), rel=1e-6)


def test_one_slice_that_shows_the_lesion_is_enough() -> None:
    shows = torch.tensor([[9.0], [-9.0], [-9.0], [-9.0]])
    assert label_loss(shows, torch.ones(1, 1), 4).item() < 0.01
    assert label_loss(shows, torch.ones(4, 1), 1).item() > 6


def test_what_nobody_said_costs_nothing() -> None:
    logits = torch.tensor([[3.0, -4.0]], requires_grad=True)
    label_loss(logits, torch.tensor([[1.0, math.nan]]), 1).backward()
    assert logits.grad is not None
    assert logits.grad[0, 0] != 0 and logits.grad[0, 1] == 0
