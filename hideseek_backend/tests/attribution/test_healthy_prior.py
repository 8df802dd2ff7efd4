"""The posterior healthy latent against the Gaussian that it is derived from."""

from __future__ import annotations

import numpy as np
import pytest

from hideseek_backend.attribution.classifier import LatentClassifier
from hideseek_backend.attribution.healthy_prior import HealthyPrior
from hideseek_backend.errors import ModelError, OptionError


def test_weight_blends_between_the_latent_and_its_posterior() -> None:
    prior = HealthyPrior(np.zeros(2), np.array([1.0, 0.0]), np.zeros((2, 2)))
    classifier = LatentClassifier(np.zeros(2), np.ones(2), np.ones(2), 0.0, None, prior)
    z = np.array([[2.0, 4.0]])
    assert np.allclose(classifier.posterior(z, [0.0]), z)
    assert np.allclose(classifier.posterior(z, [1.0]), 0.0)
    assert np.allclose(classifier.posterior(z, [0.5]), z / 2)


def test_passes_take_the_posterior_of_the_posterior() -> None:
    scaled = np.random.default_rng(2).normal(size=(200, 4))
    prior = HealthyPrior(np.zeros(4), np.array([2.0, 0, 0, 0]), np.diag([0.2, 0.9, 0.9, 0.9]))
    identity = np.ones(4)
    classifier = LatentClassifier(0 * identity, identity, identity, 0.0, identity, prior)
    twice = classifier.posterior(scaled[:3], np.ones(3), passes=2)
    assert np.allclose(twice, prior.healthy(prior.healthy(scaled[:3])))


def test_it_survives_storing() -> None:
    prior = HealthyPrior(np.zeros(2), np.ones(2), np.eye(2) * 0.5)
    classifier = LatentClassifier(np.zeros(2), np.ones(2), np.ones(2), 0.0, None, prior)
    again = LatentClassifier.from_tensors(classifier.tensors())
    assert again.prior is not None
    assert np.array_equal(again.prior.gain, prior.gain)
    stored = classifier.tensors()
    del stored["gain"]
    with pytest.raises(ModelError, match="gain"):
        LatentClassifier.from_tensors(stored)


def test_a_model_without_a_prior_says_so() -> None:
    classifier = LatentClassifier(np.zeros(2), np.ones(2), np.ones(2), 0.0)
    with pytest.raises(OptionError, match="no prior"):
        classifier.posterior(np.zeros((1, 2)), [1.0])


def test_shapes_are_checked() -> None:
    with pytest.raises(ModelError, match="gain"):
        HealthyPrior(np.zeros(2), np.zeros(2), np.zeros((3, 3)))


def test_drift_is_linear_between_its_parts_and_constant_beyond() -> None:
    drift = np.array([[0.0], [2.0]])
    prior = HealthyPrior(np.zeros(1), np.zeros(1), np.zeros((1, 1)), drift)
    places = [0.0, 0.25, 0.5, 0.75, 1.0]
    found = prior.healthy(np.zeros((5, 1)), places)[:, 0]
    assert found.tolist() == [0.0, 0.0, 1.0, 2.0, 2.0]
    one = HealthyPrior(np.zeros(1), np.zeros(1), np.zeros((1, 1)), np.zeros((1, 1)))
    assert one.healthy(np.zeros((2, 1)), [0.0, 1.0]).tolist() == [[0.0], [0.0]]


def test_drift_is_stored_with_the_classifier() -> None:
    prior = HealthyPrior(np.zeros(2), np.ones(2), np.eye(2), np.array([[0.0, 0.0], [1.0, 2.0]]))
    classifier = LatentClassifier(np.zeros(2), np.ones(2), np.ones(2), 0.0, None, prior)
    again = LatentClassifier.from_tensors(classifier.tensors())
    assert again.prior is not None and np.array_equal(again.prior.drift, prior.drift)
    with pytest.raises(ModelError, match="drift"):
        HealthyPrior(np.zeros(2), np.ones(2), np.eye(2), np.zeros((3, 5)))
