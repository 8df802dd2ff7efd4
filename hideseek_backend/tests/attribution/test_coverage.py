"""Near and far from training, on Gaussians that are known."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from hideseek_backend.attribution.classifier import LatentClassifier
from hideseek_backend.attribution.coverage import Coverage, expected_of, picture_features
from hideseek_backend.errors import ModelError

D, F = 4, 6


def coverage(**changes) -> Coverage:
    """One source at 0 with standard deviations (3, 1, 1, 1), another at (20, 0, 0, 0) with ones."""
    parts = {
        "mean": np.array([[0.0, 0, 0, 0], [20, 0, 0, 0]]),
        "direction": np.array([[[1.0, 0, 0, 0]], [[0, 1.0, 0, 0]]]),
        "variance": np.array([[9.0], [1.0]]),
        "rest": np.ones(2),
        "picture_mean": np.zeros((2, F)),
        "picture_precision": np.stack([np.eye(F)] * 2),
        "limits": np.array([2.0, 3.0, 0.95, 5.0]),
    }
    return Coverage(**{**parts, **changes})


def test_distance_is_mahalanobis_of_the_nearer_source() -> None:
    c = coverage()
    away = np.array([[[6.0, 0, 0, 0]], [[0, 6.0, 0, 0]], [[20, 0, 3.0, 0]]])
    assert c.latent_distance(away) == pytest.approx([2 / 2, 6 / 2, 3 / 2])
    # A vertebra is as far as its slices are in the mean.
    assert c.latent_distance(np.array([[0.0, 4, 0, 0], [0, 0, 0, 0]])) == pytest.approx(1.0)
    assert c.picture_distance(np.full(F, 2.0)) == pytest.approx(2.0)


def test_latents_pictures_and_slices_are_each_reason_enough() -> None:
    c, near, plain = coverage(), np.zeros((3, D)), np.zeros(F)
    assert not c.unlike(near, plain, 5.0)
    assert c.unlike(near + [0, 0, 5, 0], plain, 1.0)
    assert c.unlike(near, plain + 4, 1.0)
    assert c.unlike(near, plain, 5.5)


def test_it_survives_storing_and_is_optional() -> None:
    plain = LatentClassifier(np.zeros(D), np.ones(D), np.ones(D), 0.0)
    assert LatentClassifier.from_tensors(plain.tensors()).coverage is None
    stored = replace(plain, coverage=coverage()).tensors()
    again = LatentClassifier.from_tensors(stored).coverage
    assert again is not None and again.thickest_mm == 5.0 and again.quantile == 0.95
    assert np.array_equal(again.direction, coverage().direction)
    del stored["coverage_rest"]
    with pytest.raises(ModelError, match="coverage_rest"):
        LatentClassifier.from_tensors(stored)


@pytest.mark.parametrize(
    "wrong", [{"rest": np.zeros(2)}, {"mean": np.full((2, D), np.nan)}, {"limits": np.ones(3)}]
)
def test_numbers_are_checked(wrong) -> None:
    with pytest.raises(ModelError, match="coverage"):
        coverage(**wrong)


def test_picture_features_see_what_was_not_expected() -> None:
    rng = np.random.default_rng(0)
    flat = np.full((1, 64, 64), 0.3, np.float32)
    noisy = flat + rng.normal(0, 0.1, (1, 64, 64)).astype(np.float32)
    hu = np.full((1, 64, 64), 150.0, np.float32)
    metal = hu.copy()
    metal[:, 30:34, 30:34] = 2000
    plain, strange = picture_features(flat, flat, hu), picture_features(noisy, flat, metal)
    assert plain.shape == strange.shape == (F,)
    # Raw, blurred, more blurred, finest texture: noise is fine.
    assert strange[0] == pytest.approx(np.log(0.1), abs=0.1)
    assert strange[0] > strange[1] > strange[2] > plain[2]
    assert strange[4] - plain[4] == pytest.approx(np.log((16 / 1024 + 0.003) / 0.003))
    assert abs(strange[5]) < 0.2
    stripes = np.tile(np.repeat([0.2, 0.6], 4), 8).astype(np.float32)
    assert picture_features(np.tile(stripes, (1, 64, 1)), flat, hu)[5] > 2


def test_metal_counts_on_every_slice_and_the_expected_on_two() -> None:
    images, hu = np.full((9, 64, 64), 0.3, np.float32), np.full((9, 64, 64), 150.0, np.float32)
    few = images[expected_of(9)]
    at_the_side = hu.copy()
    at_the_side[8, 30:34, 30:34] = 2000
    plain, metal = picture_features(images, few, hu), picture_features(images, few, at_the_side)
    assert metal[4] - plain[4] == pytest.approx(np.log((16 / 1024 + 0.003) / 0.003) / 9)
    assert np.delete(metal, 4) == pytest.approx(np.delete(plain, 4))
    few[0] += 0.1
    assert picture_features(images, few, hu)[0] == pytest.approx(np.log([0.1, 0.001]).mean())


@pytest.mark.parametrize(
    ("count", "looked"), [(9, [2, 6]), (8, [2, 6]), (5, [2]), (2, [1]), (1, [0])]
)
def test_what_is_expected_is_spread_over_the_slices(count, looked) -> None:
    assert expected_of(count) == looked
