"""Near and far from training, on Gaussians that are known."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from hideseek_backend.attribution.classifier import LatentClassifier
from hideseek_backend.attribution.coverage import Coverage, expected_of, picture_features
from hideseek_backend.errors import ModelError

D, F = 4, 7


def coverage(**changes) -> Coverage:
    """One source at 0 with standard deviations (3, 1, 1, 1), another at (20, 0, 0, 0) with ones."""
    parts = {
        "mean": np.array([[[0.0, 0, 0, 0]], [[20, 0, 0, 0]]]),
        "direction": np.array([[[[1.0, 0, 0, 0]]], [[[0, 1.0, 0, 0]]]]),
        "variance": np.array([[[9.0]], [[1.0]]]),
        "rest": np.ones((2, 1)),
        "picture_mean": np.zeros((2, F)),
        "picture_precision": np.stack([np.eye(F)] * 2),
        "limits": np.array([[2.0, 3.0], [2.0, 3.0]]),
        "training": np.array([0.95, 5.0]),
    }
    return Coverage(**{**parts, **changes})


def test_distances_are_mahalanobis_of_each_source() -> None:
    c = coverage()
    away = np.array([[[6.0, 0, 0, 0]], [[0, 6.0, 0, 0]], [[20, 0, 3.0, 0]]])
    first, second = c.latent_distance(away).T
    assert first[:2] == pytest.approx([2 / 2, 6 / 2]) and second[2] == pytest.approx(3 / 2)
    # A vertebra is as far as its slices are in the mean.
    assert c.latent_distance(np.array([[0.0, 4, 0, 0], [0, 0, 0, 0]]))[0] == pytest.approx(1.0)
    assert c.picture_distance(np.full(F, 2.0)) == pytest.approx([2.0, 2.0])


def test_a_slice_is_as_far_as_the_nearer_class() -> None:
    one = coverage()
    parts = {name: getattr(one, name).swapaxes(0, 1) for name in ("mean", "variance", "rest")}
    two = coverage(
        **parts,
        direction=one.direction.swapaxes(0, 1),
        picture_mean=np.zeros((1, F)),
        picture_precision=np.eye(F)[None],
        limits=np.array([[2.0, 3.0]]),
    )
    slices = np.array([[6.0, 0, 0, 0], [20, 0, 3.0, 0]])
    assert two.latent_distance(slices) == pytest.approx([(2 / 2 + 3 / 2) / 2])


def test_one_source_has_to_hold_both() -> None:
    c = coverage(picture_mean=np.stack([np.zeros(F), np.full(F, 20.0)]))
    near = np.zeros((3, D))
    assert not c.unlike(near, np.zeros(F), 1.0)
    # Latents of the one source under a picture of the other.
    assert c.unlike(near, np.full(F, 20.0), 1.0)
    wide = coverage(limits=np.array([[1.0, 3.0], [4.0, 3.0]]))
    assert wide.unlike(near + [0, 0, 3, 0], np.zeros(F), 1.0)
    assert not wide.unlike(near + [20, 0, 3, 0], np.zeros(F), 1.0)


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
    "wrong",
    [
        {"rest": np.zeros((2, 1))},
        {"mean": np.full((2, 1, D), np.nan)},
        {"mean": np.zeros((2, D))},
        {"limits": np.ones(4)},
    ],
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
    metal[:, 28:36, 28:36] = 3000
    plain, strange = picture_features(flat, flat, hu), picture_features(noisy, flat, metal)
    assert plain.shape == strange.shape == (F,)
    # Raw, blurred, more blurred, finest texture: noise is fine.
    assert strange[0] == pytest.approx(np.log(0.1), abs=0.1)
    assert strange[0] > strange[1] > strange[2] > plain[2]
    assert strange[4] - plain[4] == pytest.approx(np.log((64 / 1024 + 0.003) / 0.003), abs=0.1)
    assert abs(strange[5]) < 0.2
    stripes = np.tile(np.repeat([0.2, 0.6], 4), 8).astype(np.float32)
    assert picture_features(np.tile(stripes, (1, 64, 1)), flat, hu)[5] > 2


def test_a_noisy_cortex_is_no_metal() -> None:
    rng = np.random.default_rng(1)
    images, hu = np.full((1, 64, 64), 0.3, np.float32), np.full((1, 64, 64), 150.0, np.float32)
    plain = picture_features(images, images, hu)
    hu[:, :, 30] = 1100
    hu += rng.normal(0, 100, hu.shape).astype(np.float32)
    assert (hu[:, 16:48, 16:48] > 1300).any()
    assert picture_features(images, images, hu)[4] == plain[4]


def test_thick_slices_on_a_fine_grid_change_in_steps() -> None:
    rng = np.random.default_rng(2)
    hu = np.full((1, 64, 64), 150.0, np.float32)
    fine = rng.normal(0.3, 0.05, (1, 64, 64)).astype(np.float32)
    thick = np.repeat(fine[:, :, ::11], 11, axis=2)[:, :, :64]
    assert abs(picture_features(fine, fine, hu)[6]) < 0.1
    assert picture_features(thick, thick, hu)[6] < -1
    # The same steps from front to back are anatomy's.
    turned = np.ascontiguousarray(thick.swapaxes(1, 2))
    assert abs(picture_features(turned, turned, hu)[6]) < 0.3


def test_metal_counts_on_every_slice_and_the_expected_on_two() -> None:
    images, hu = np.full((9, 64, 64), 0.3, np.float32), np.full((9, 64, 64), 150.0, np.float32)
    few = images[expected_of(9)]
    at_the_side = hu.copy()
    at_the_side[8, 28:36, 28:36] = 3000
    plain, metal = picture_features(images, few, hu), picture_features(images, few, at_the_side)
    assert metal[4] - plain[4] == pytest.approx(np.log((64 / 1024 + 0.003) / 0.003) / 9, abs=0.02)
    assert np.delete(metal, 4) == pytest.approx(np.delete(plain, 4))
    few[0] += 0.1
    assert picture_features(images, few, hu)[0] == pytest.approx(np.log([0.1, 0.001]).mean())


@pytest.mark.parametrize(
    ("count", "looked"), [(9, [2, 6]), (8, [2, 6]), (5, [2]), (2, [1]), (1, [0])]
)
def test_what_is_expected_is_spread_over_the_slices(count, looked) -> None:
    assert expected_of(count) == looked
