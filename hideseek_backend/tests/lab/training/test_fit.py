"""What is fitted on latents and vertebra-level labels, against where the latents came from."""

from __future__ import annotations

import numpy as np
import pytest

from hideseek_lab.training.fit import fit_classifier, fit_head, fit_prior, pattern, with_drift


def test_pattern_is_covariance_times_weight() -> None:
    rng = np.random.default_rng(2)
    a = rng.normal(size=(200, 4)) @ rng.normal(size=(4, 4))
    w = rng.normal(size=4)
    np.testing.assert_allclose(pattern(a, w), np.cov(a.T, bias=True) @ w)


def test_it_separates_the_classes() -> None:
    rng = np.random.default_rng(3)
    labels = np.arange(200) % 2
    z = rng.normal(size=(200, 5)) + 3 * labels[:, None] * np.array([1, 0, 0, 0, 0])
    c = fit_classifier(z, labels, grid=(0.01, 1.0), folds=3)
    assert ((c.probability(z) >= 0.5) == labels).mean() > 0.9


def _latents(n: int, seed: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Healthy latents in four dimensions, and the same with disease along two of them."""
    rng = np.random.default_rng(seed)
    healthy = rng.normal(size=(n, 4)) * [1.0, 1.0, 1.0, 1.0]
    shift = np.array([3.0, 0.0, 0.0, 0.0])
    disease = shift + rng.normal(size=(n, 4)) * [2.0, 3.0, 0.0, 0.0]
    return healthy, healthy + disease, disease


def test_disease_is_taken_out_and_anatomy_is_left() -> None:
    healthy, _, _ = _latents(40_000, 0)
    origin, sick, _ = _latents(40_000, 1)
    scaled = np.concatenate([healthy, sick])
    prior = fit_prior(scaled, np.repeat([0, 1], 40_000))
    estimate = prior.healthy(sick)
    # Along the diseased axes the best linear estimate has variance 1 / (1 + σ_d²) explained.
    error = ((estimate - origin) ** 2).mean(axis=0)
    assert error[0] == pytest.approx(1 - 1 / 5, abs=0.05)
    assert error[1] == pytest.approx(1 - 1 / 10, abs=0.05)
    # Along the others nothing but the small ridge changes.
    assert error[2:].max() < 0.02


def test_what_the_sides_of_the_body_add_stays_where_it_is() -> None:
    """Healthy latents drift along one axis; sick ones at the side are healed as in the middle."""
    healthy, sick, _ = _latents(20_000, 3)
    prior = fit_prior(np.concatenate([healthy, sick]), np.repeat([0, 1], 20_000))
    steps = np.array([0.0, 1.0, 2.0, 3.0])[:, None, None] * np.array([5.0, 0.0, 0.0, 1.0])
    drifting = with_drift(prior, healthy[None] + steps)
    side = np.full(len(sick), 0.875)
    np.testing.assert_allclose(
        drifting.healthy(sick + steps[3, 0], side), prior.healthy(sick) + steps[3, 0], atol=0.1
    )
    middle = np.zeros(len(sick))
    np.testing.assert_allclose(drifting.healthy(sick, middle), prior.healthy(sick), atol=1e-9)
    # Without it, the side is taken for disease.
    naive = np.abs(prior.healthy(sick + steps[3, 0])[:, 0] - prior.healthy(sick)[:, 0])
    assert naive.mean() < 5


def test_the_prior_is_fitted_on_the_chosen_latents() -> None:
    rng = np.random.default_rng(0)
    malignant = np.repeat([0, 1, 1], 200)
    z = rng.standard_normal((600, 4)) + 3 * np.repeat([0, 1, 0], 200)[:, None]
    chosen = np.repeat([True, True, False], 200)
    fitted = fit_classifier(z, malignant, for_prior=chosen)
    assert fitted.prior is not None
    seen = fitted.unscaled(fitted.prior.malignant_mean)
    np.testing.assert_allclose(seen, z[200:400].mean(axis=0), atol=1e-6)
    everything = fit_classifier(z, malignant).prior
    assert (
        everything is not None
        and (everything.malignant_mean < 0.9 * fitted.prior.malignant_mean).all()
    )


def test_it_reads_each_polarity_from_its_own_direction() -> None:
    rng = np.random.default_rng(0)
    present = rng.integers(0, 2, (600, 2))
    scaled = rng.normal(size=(600, 5))
    scaled[:, 0] += 4 * present[:, 0]
    scaled[:, 3] += 4 * present[:, 1]
    head = fit_head(scaled, present)
    presence = head.presence(np.array([[4.0, 0, 0, 0, 0], [0, 0, 0, 4.0, 0]]))
    assert presence[0, 0] > 0.8 > 0.2 > presence[0, 1]
    assert presence[1, 1] > 0.8 > 0.2 > presence[1, 0]
