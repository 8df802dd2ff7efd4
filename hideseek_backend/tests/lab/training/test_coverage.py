"""What is fitted as seen: near what it was fitted on, far from what it was not."""

from __future__ import annotations

import numpy as np

from hideseek_backend.attribution.coverage import PICTURE_FEATURES
from hideseek_lab.training.coverage import QUANTILE, Seen, fit_coverage


def vertebrae(rng, count: int, shift: float, disease: float = 0.0) -> Seen:
    offset = rng.normal(0, 0.3, 40)
    malignant = np.arange(count) % 2 == 0
    latents = rng.normal(shift, 1.0, (count, 8, 40)) + offset
    latents[malignant, :, 0] += disease
    pictures = rng.normal(shift, 0.5, (count, PICTURE_FEATURES))
    return Seen(latents, pictures, malignant)


def flagged(coverage, seen: Seen):
    pairs = zip(seen.latents, seen.pictures, strict=True)
    return np.array([coverage.unlike(z, features, 1.0) for z, features in pairs])


def test_held_out_patients_are_seen_and_strangers_are_not() -> None:
    rng = np.random.default_rng(1)
    phantoms = vertebrae(rng, 200, -6.0)
    real = [vertebrae(rng, 30, 0.0) for _ in range(8)]
    coverage = fit_coverage(phantoms, real)
    assert coverage.quantile == QUANTILE and coverage.thickest_mm == 5.0
    another = vertebrae(rng, 100, 0.0)
    assert flagged(coverage, another).mean() < 0.2
    strange = Seen(another.latents + 4, another.pictures, another.malignant)
    assert flagged(coverage, strange).all()
    strange = Seen(another.latents, another.pictures + 4, another.malignant)
    assert flagged(coverage, strange).all()


def test_each_source_has_the_limits_of_its_own() -> None:
    """Phantoms that spread more than real vertebrae are seen all the same, and the other way."""
    rng = np.random.default_rng(2)
    real = [vertebrae(rng, 40, 0.0) for _ in range(8)]
    wide = vertebrae(rng, 400, -20.0)
    # Some of them lie much further out than their Gaussian says.
    far = rng.random(400) < 0.3
    wide.latents[far] = -20 + 2 * (wide.latents[far] + 20)
    coverage = fit_coverage(wide, real)
    assert coverage.limits[0, 0] > 1.3 * coverage.limits[1, 0]
    assert flagged(coverage, wide).mean() <= 1 - QUANTILE + 0.01
    assert flagged(coverage, vertebrae(rng, 100, 0.0)).mean() < 0.2


def test_disease_is_as_much_at_home_as_health() -> None:
    rng = np.random.default_rng(3)
    drawn = vertebrae(rng, 600, 0.0, disease=30.0)
    seen, fresh = (
        Seen(drawn.latents[part], drawn.pictures[part], drawn.malignant[part])
        for part in (slice(400), slice(400, None))
    )
    coverage = fit_coverage(seen, [])
    told = flagged(coverage, fresh)
    assert told[fresh.malignant].mean() < 0.15 and told[~fresh.malignant].mean() < 0.15
    # Between the two there is nothing: one Gaussian for both would hold it.
    fresh.latents[~fresh.malignant, :, 0] += 15
    assert flagged(coverage, fresh)[~fresh.malignant].mean() > 0.9


def test_a_training_on_phantoms_alone_holds_out_folds_of_them() -> None:
    coverage = fit_coverage(vertebrae(np.random.default_rng(2), 200, 0.0), [])
    assert coverage.mean.shape[:2] == (1, 2)
    own = vertebrae(np.random.default_rng(2), 200, 0.0)
    assert flagged(coverage, own).mean() <= 1 - QUANTILE


def test_a_source_of_one_class_has_one_gaussian() -> None:
    seen = vertebrae(np.random.default_rng(4), 100, 0.0)
    healthy = Seen(seen.latents, seen.pictures, np.zeros(100, bool))
    assert fit_coverage(healthy, []).mean.shape[:2] == (1, 1)
