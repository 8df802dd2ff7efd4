"""What is fitted as seen: near what it was fitted on, far from what it was not."""

from __future__ import annotations

import numpy as np

from hideseek_lab.training.coverage import QUANTILE, Seen, fit_coverage


def vertebrae(rng, count: int, shift: float, patient: str) -> Seen:
    offset = rng.normal(0, 0.3, 40)
    latents = rng.normal(shift, 1.0, (count, 8, 40)) + offset
    return Seen(patient, latents, rng.normal(shift, 0.25, (count, 6)))


def test_held_out_patients_are_seen_and_strangers_are_not() -> None:
    rng = np.random.default_rng(1)
    phantoms = vertebrae(rng, 200, -6.0, "phantom")
    real = [vertebrae(rng, 30, 0.0, str(n)) for n in range(8)]
    coverage = fit_coverage(phantoms, real)
    assert coverage.quantile == QUANTILE and coverage.thickest_mm == 5.0
    another = vertebrae(rng, 100, 0.0, "new")
    inside = coverage.latent_distance(another.latents) <= coverage.limits[0]
    assert inside.mean() > 0.8
    assert (coverage.latent_distance(another.latents + 4) > coverage.limits[0]).all()
    assert (coverage.picture_distance(another.pictures + 4) > coverage.limits[1]).all()


def test_a_training_on_phantoms_alone_holds_out_folds_of_them() -> None:
    rng = np.random.default_rng(2)
    coverage = fit_coverage(vertebrae(rng, 200, 0.0, "phantom"), [])
    assert coverage.mean.shape[0] == 1
    own = vertebrae(np.random.default_rng(2), 200, 0.0, "phantom")
    shares = [
        (coverage.latent_distance(own.latents) <= coverage.limits[0]).mean(),
        (coverage.picture_distance(own.pictures) <= coverage.limits[1]).mean(),
    ]
    assert min(shares) > 0.94
