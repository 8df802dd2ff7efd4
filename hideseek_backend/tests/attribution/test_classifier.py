"""The latent classifier against its definition."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from hideseek_backend.attribution.classifier import LatentClassifier, logit
from hideseek_backend.errors import ModelError, OptionError


def random_classifier(d: int = 6, *, with_pattern: bool = True) -> LatentClassifier:
    rng = np.random.default_rng(0)
    weight = rng.normal(size=d)
    sigma = rng.normal(size=(d, d))
    return LatentClassifier(
        mean=rng.normal(size=d),
        scale=rng.uniform(0.5, 2, size=d),
        weight=weight,
        bias=0.3,
        pattern=sigma @ sigma.T @ weight if with_pattern else None,
    )


def test_logit_and_probability() -> None:
    c = random_classifier()
    z = np.random.default_rng(1).normal(size=(5, 6))
    expected = ((z - c.mean) / c.scale) @ c.weight + 0.3
    np.testing.assert_allclose(c.logit(z), expected)
    np.testing.assert_allclose(c.probability(torch.from_numpy(z)), 1 / (1 + np.exp(-expected)))


@pytest.mark.parametrize("direction", ["normal", "pattern"])
def test_move_reaches_the_logit(direction: str) -> None:
    c = random_classifier()
    z = np.random.default_rng(1).normal(size=(5, 6))
    change = np.linspace(-4, 4, 5)
    moved = c.move(z, change, direction)
    np.testing.assert_allclose(c.logit(moved), c.logit(z) + change)


def test_normal_is_the_shortest_way() -> None:
    """Equation 1: in scaled latents the move is along w, and |change| / ‖w‖ long."""
    c = random_classifier()
    z = np.zeros((1, 6))
    step = c.scaled(c.move(z, [-3.0], "normal")) - c.scaled(z)
    assert np.linalg.norm(step) == pytest.approx(3 / np.linalg.norm(c.weight))
    np.testing.assert_allclose(np.cross(step[0, :3], c.weight[:3]), 0, atol=1e-12)


def test_without_pattern_only_the_normal() -> None:
    c = random_classifier(with_pattern=False)
    with pytest.raises(OptionError, match="normal"):
        c.move(np.zeros((1, 6)), [1.0], "pattern")


def test_it_survives_storing() -> None:
    c = random_classifier()
    z = np.random.default_rng(3).normal(size=(20, 6))
    again = LatentClassifier.from_tensors(c.tensors())
    np.testing.assert_array_equal(again.logit(z), c.logit(z))
    moved = again.move(z, np.ones(20), "pattern")
    np.testing.assert_array_equal(moved, c.move(z, np.ones(20), "pattern"))


def test_logit_of_small_p() -> None:
    assert logit(1e-12) == pytest.approx(np.log(1e-12), rel=1e-9)


@pytest.mark.parametrize(
    "change",
    [
        {"scale": np.array([1.0, 0.0])},
        {"weight": np.zeros(2)},
        {"mean": np.zeros(3)},
        {"weight": np.array([np.nan, 1.0])},
        {"pattern": np.zeros((2, 2))},
    ],
)
def test_unusable_numbers(change: dict[str, np.ndarray]) -> None:
    good = {"mean": np.zeros(2), "scale": np.ones(2), "weight": np.ones(2), "bias": 0.0}
    with pytest.raises(ModelError, match="classifier"):
        LatentClassifier(**{**good, **change})  # type: ignore[arg-type]


def test_missing_and_unknown_parts() -> None:
    stored = random_classifier().tensors()
    with pytest.raises(ModelError, match="missing"):
        LatentClassifier.from_tensors({k: v for k, v in stored.items() if k != "scale"})
    with pytest.raises(ModelError, match="extra"):
        LatentClassifier.from_tensors({**stored, "extra": np.zeros(1)})


def test_slices_are_pooled_between_their_mean_and_their_maximum() -> None:
    plain = random_classifier()
    z = np.random.default_rng(3).standard_normal((5, 6))
    logits = plain.logit(z)
    assert plain.vertebra_logit(z) == pytest.approx(logits.mean())
    pooled = replace(plain, pooling=(1.0, 1.0, 0.0))
    assert pooled.vertebra_logit(z) == pytest.approx(np.log(np.mean(np.exp(logits))))
    assert logits.mean() < pooled.vertebra_logit(z) < logits.max()
    sharp = replace(plain, pooling=(1e-3, 2.0, 0.5))
    assert sharp.vertebra_logit(z) == pytest.approx(2 * logits.max() + 0.5, abs=0.01)
    again = LatentClassifier.from_tensors(sharp.tensors())
    assert again.pooling == sharp.pooling


@pytest.mark.parametrize("pooling", [(0.0, 1.0, 0.0), (1.0, -1.0, 0.0), (1.0, np.nan, 0.0)])
def test_a_pooling_that_turns_the_order_around_is_refused(
    pooling: tuple[float, float, float],
) -> None:
    with pytest.raises(ModelError, match="pooling"):
        replace(random_classifier(), pooling=pooling)
