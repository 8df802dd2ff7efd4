"""A model without a network: it knows the drawn vertebrae's healthy bone and can restore it."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import numpy as np
import torch
from torch import Tensor

from hideseek_backend.attribution.classifier import LatentClassifier
from hideseek_backend.attribution.intensity import Window

_LOW, _HIGH = 0.25, 0.42
_BODY = (slice(None), slice(16, 48), slice(20, 44))


class FakeAutoencoder:
    """z: (B, 2) pixels of the body darker and brighter than bone. Rendering a latent that has
    moved towards healthy restores bone; rendering its own latent gives the slice back."""

    def __init__(self) -> None:
        self.calls = 0

    def encode(self, images: Tensor) -> Tensor:
        self.calls += 1
        body = images[:, 0][_BODY]
        dark = (body < _LOW).float().sum(dim=(1, 2))
        bright = (body > _HIGH).float().sum(dim=(1, 2))
        return torch.stack([dark, bright], dim=1) / 10

    def invert(self, images: Tensor, z: Tensor, steps: int | None = None, **_: Any) -> Tensor:
        self.calls += 1
        return images.clone()

    def render(self, x_t: Tensor, z: Tensor, steps: int | None = None, **_: Any) -> Tensor:
        self.calls += 1
        restored = x_t.clone()
        body = restored[:, 0][_BODY]
        body[...] = body.clamp(_LOW + 0.01, _HIGH - 0.01)
        edited = (z - self.encode(x_t)).sum(dim=1) < -0.5
        return torch.where(edited[:, None, None, None], restored, x_t)


def fake_model() -> Any:
    """A Model in all that the benchmark asks of one."""
    classifier = LatentClassifier(
        mean=np.zeros(2), scale=np.ones(2), weight=np.ones(2), bias=-2.0, pattern=np.ones(2)
    )
    return SimpleNamespace(
        dae=FakeAutoencoder(),
        classifier=classifier,
        device=torch.device("cpu"),
        hash="0" * 64,
        spec=SimpleNamespace(
            defaults={},
            numerics=lambda: "fake",
        ),
        intensity=Window(-200.0, 1000.0),
    )
