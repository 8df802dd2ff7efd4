"""Near and far from training, on Gaussians that are known."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from hideseek_backend.attribution.classifier import LatentClassifier
from hideseek_backend.attribution.coverage import Coverage, picture_features, pictured
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
    assert c.picture_distance(np.full((3, F), 2.0)) == pytest.approx(2.0)


def test_latents_pictures_and_slices_are_each_reason_enough() -> None:
    c, near, plain = coverage(), np.zeros((3, D)), np.zeros((2, F))
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
    images = np.full((2, 64, 64), 0.3, np.float32)
    images[1] += rng.normal(0, 0.1, (64, 64)).astype(np.float32)
    hu = np.full((2, 64, 64), 150.0, np.float32)
    hu[1, 30:34, 30:34] = 2000
    features = picture_features(images, np.full((2, 64, 64), 0.3, np.float32), hu)
    assert features.shape == (2, F)
    # Raw, blurred, more blurred, finest texture: noise is fine.
    assert features[1, 0] == pytest.approx(np.log(0.1), abs=0.1)
    assert features[1, 0] > features[1, 1] > features[1, 2] > features[0, 2]
    assert features[1, 4] - features[0, 4] == pytest.approx(np.log((16 / 1024 + 0.003) / 0.003))
    assert abs(features[1, 5]) < 0.2
    stripes = np.tile(np.repeat([0.2, 0.6], 4), 8).astype(np.float32)
    upright = picture_features(np.tile(stripes, (1, 64, 1)), images[:1], hu[:1])
    assert upright[0, 5] > 2


@pytest.mark.parametrize(
    ("count", "looked"), [(9, [1, 4, 7]), (8, [1, 4, 7]), (5, [1, 4]), (2, [1]), (1, [0])]
)
def test_pictures_are_spread_over_the_slices(count, looked) -> None:
    assert pictured(count) == looked
