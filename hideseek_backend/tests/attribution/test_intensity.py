"""Residuals in HU and in model intensity."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch

from hideseek_backend.attribution.intensity import as_shown, invertible, least_residual
from hideseek_backend.models import intensity


def model(spec: dict[str, Any]) -> Any:
    return SimpleNamespace(
        spec=SimpleNamespace(intensity=spec),
        to_intensity=lambda hu, valid: intensity.to_intensity(spec, hu, valid),
        to_hu=lambda values: intensity.to_hu(spec, values),
    )


WINDOW = model({"kind": "window", "low": -250, "high": 1250})
PERCENTILE = model({"kind": "percentile", "lower": 0, "upper": 99.5})


def test_a_window_is_shown_in_hu() -> None:
    image = torch.full((2, 1, 64, 64), 0.5)
    assert invertible(WINDOW)
    np.testing.assert_allclose(as_shown(WINDOW, image), np.full((2, 64, 64), 500.0))


def test_percentiles_are_shown_as_they_are() -> None:
    assert not invertible(PERCENTILE)
    np.testing.assert_array_equal(as_shown(PERCENTILE, torch.ones(1, 1, 64, 64)), 1)


@pytest.mark.parametrize("padded", [False, True])
def test_least_residual_is_min_contrast(padded: bool) -> None:
    """50 HU are 50 / range of each slice, whatever lies in the padding."""
    rng = np.random.default_rng(0)
    hu = rng.uniform(-100, 900, (64, 64, 3)).astype(np.float32)
    body = np.zeros(hu.shape, dtype=bool)
    body[20:40, 20:40] = True
    valid = np.ones(hu.shape, dtype=bool)
    valid[:10] = not padded
    images = PERCENTILE.to_intensity(np.moveaxis(hu, 2, 0), np.moveaxis(valid, 2, 0))
    ranges = [np.ptp(np.percentile(hu[:, :, k][valid[:, :, k]], [0, 99.5])) for k in range(3)]
    least = least_residual(PERCENTILE, hu, images, body, 50.0)
    assert least == pytest.approx(50 / np.median(ranges), rel=1e-3)
    assert least_residual(WINDOW, hu, images, body, 50.0) == pytest.approx(50 / 1500)
    assert least_residual(PERCENTILE, hu, images, body, 0.0) == 0


def test_a_flat_body_has_no_slope() -> None:
    flat = np.zeros((64, 64, 1), dtype=np.float32)
    body = np.ones(flat.shape, dtype=bool)
    assert least_residual(PERCENTILE, flat, np.moveaxis(flat, 2, 0), body, 50.0) == 0
