"""The two maps between HU and model intensity."""

from __future__ import annotations

import numpy as np
import pytest

from hideseek_backend.attribution.intensity import Percentile, Window, intensity_map
from hideseek_backend.errors import ModelError

WINDOW, PERCENTILE = Window(-250.0, 1250.0), Percentile(0.0, 99.5)


def test_a_window_is_shown_in_hu() -> None:
    assert WINDOW.unit == "HU"
    np.testing.assert_allclose(WINDOW.shown(np.full((2, 64, 64), 0.5)), 500.0)


def test_percentiles_are_shown_as_they_are() -> None:
    assert PERCENTILE.unit == "model"
    np.testing.assert_array_equal(PERCENTILE.shown(np.ones((1, 64, 64))), 1)


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
    least = PERCENTILE.least(50.0, hu, images, body)
    assert least == pytest.approx(50 / np.median(ranges), rel=1e-3)
    assert WINDOW.least(50.0, hu, images, body) == pytest.approx(50 / 1500)
    assert PERCENTILE.least(0.0, hu, images, body) == 0


def test_a_flat_body_has_no_slope() -> None:
    flat = np.zeros((64, 64, 1), dtype=np.float32)
    body = np.ones(flat.shape, dtype=bool)
    assert PERCENTILE.least(50.0, flat, np.moveaxis(flat, 2, 0), body) == 0


def test_window_maps_and_returns() -> None:
    hu = np.array([[-1000.0, -250.0], [500.0, 3000.0]])
    valid = np.array([[True, True], [True, False]])
    soft_tissue = (40 + 250) / 1500
    np.testing.assert_allclose(WINDOW.to_intensity(hu, valid), [[0, 0], [0.5, soft_tissue]])
    np.testing.assert_allclose(WINDOW.shown(np.array([0, 0.5, 1])), [-250, 500, 1250])


def test_percentile_is_the_notebook_s() -> None:
    rng = np.random.default_rng(0)
    hu = rng.normal(100, 200, (3, 64, 64)).astype(np.float32)
    image = PERCENTILE.to_intensity(hu)
    for plane, mapped in zip(hu, image, strict=True):
        top = np.percentile(plane, 99.5)
        np.testing.assert_allclose(mapped, (plane - plane.min()) / (top - plane.min()), atol=1e-6)
    assert image.max() > 1  # not clipped
    valid = np.ones(hu.shape, dtype=bool)
    valid[:, :10] = False
    padded = np.where(valid, hu, -1024)
    for plane, inside, mapped in zip(
        padded, valid, PERCENTILE.to_intensity(padded, valid), strict=True
    ):
        low, high = plane[inside].min(), np.percentile(plane[inside], 99.5)
        np.testing.assert_allclose(mapped[:10], (40 - low) / (high - low), atol=1e-6)
    assert (PERCENTILE.to_intensity(np.full((64, 64), 7.0)) == 0).all()
    for made in (WINDOW, PERCENTILE):
        assert intensity_map(made.to_dict()) == made
    for bad in ({"kind": "percentile", "lower": 0, "upper": 101}, {"kind": "window"}):
        with pytest.raises(ModelError):
            intensity_map(bad)
