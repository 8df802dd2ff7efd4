"""Augmentation: the identity where everything is off, and each change on its own."""

from __future__ import annotations

import pytest
import torch

from hideseek_lab.training.augment import Augmentation, augment

OFF = Augmentation(
    probability=1.0, rotation_deg=0.0, flip_probability=0.0, zoom=(1.0, 1.0), noise=0.0
)


def _run(images: torch.Tensor, **changes: object) -> torch.Tensor:
    config = Augmentation(**{**vars(OFF), **changes})  # type: ignore[arg-type]
    return augment(images, config, torch.Generator().manual_seed(0))


def test_everything_off_is_the_identity() -> None:
    images = torch.rand(3, 1, 64, 64)
    assert torch.allclose(_run(images), images, atol=1e-5)


def test_flip_swaps_anterior_and_posterior_alone() -> None:
    images = torch.rand(2, 1, 64, 64)
    assert torch.allclose(_run(images, flip_probability=1.0), images.flip(2), atol=1e-5)


def test_contrast_pivots_about_its_value() -> None:
    images = torch.full((1, 1, 64, 64), 0.5)
    out = _run(images, contrast=(2.0, 2.0), contrast_pivot=0.2)
    assert out.mean().item() == pytest.approx(0.8, abs=1e-5)


def test_sharpness_keeps_flat_regions_and_raises_edges() -> None:
    images = torch.zeros(1, 1, 64, 64)
    images[:, :, 32:] = 1.0
    out = _run(images, sharpness=(1.0, 1.0))
    assert out[0, 0, 5, 5].item() == pytest.approx(0, abs=1e-6)
    assert out.max().item() > 1.2


def test_noise_has_the_asked_strength() -> None:
    out = _run(torch.zeros(8, 1, 64, 64), noise=0.1)
    assert out.std().item() == pytest.approx(0.1, rel=0.05)


def test_same_generator_same_result() -> None:
    images = torch.rand(2, 1, 64, 64)
    first = augment(images, Augmentation(), torch.Generator().manual_seed(3))
    assert torch.equal(first, augment(images, Augmentation(), torch.Generator().manual_seed(3)))
