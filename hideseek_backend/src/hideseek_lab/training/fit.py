"""Fit what reads a latent: classifier, prior of healthy latents, polarity head.

All of it comes from vertebra-level labels alone. What each part is, and how it is used, stands with
its class in `hideseek_backend.attribution`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GridSearchCV, StratifiedKFold
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from hideseek_backend.attribution.classifier import LatentClassifier
from hideseek_backend.attribution.healthy_prior import HealthyPrior
from hideseek_backend.attribution.polarity_head import PolarityHead

FloatArray = NDArray[np.float64]

RIDGE = 0.05
"""Share of the mean healthy variance that is added to every direction before the inverse."""


def fit_classifier(
    z: ArrayLike,
    malignant: ArrayLike,
    *,
    polarities: ArrayLike | None = None,
    for_prior: ArrayLike | None = None,
    grid: Sequence[float] = (1e-4, 1e-3, 1e-2, 1e-1, 1.0),
    folds: int = 5,
    seed: int = 0,
) -> LatentClassifier:
    """Fit scaler, logistic regression and pattern to latents z: (N, d) and labels: (N,).

    polarities: (N, 2) whether lytic and blastic disease is there, where that is labelled.
    for_prior: (N,) the latents that the prior of healthy and malignant ones is fitted on, all
    by default. Both classes must hold the same slices: what tells a side of a body from its
    middle would count as disease otherwise.

    The inverse regularisation strength is the smallest of `grid` whose cross-validated AUC over
    `folds` lies within one standard error of the best: a weakly regularised weight hides in
    directions that images hardly vary along, where an edit changes nothing. Classes are
    weighted inversely to their frequency.
    """
    latents = np.asarray(z, dtype=np.float64)
    labels = np.asarray(malignant).astype(int)
    pipeline = make_pipeline(
        StandardScaler(), LogisticRegression(class_weight="balanced", max_iter=5000)
    )
    search = GridSearchCV(
        pipeline,
        {"logisticregression__C": list(grid)},
        scoring="roc_auc",
        cv=StratifiedKFold(folds, shuffle=True, random_state=seed),
        refit=lambda results: _one_standard_error(results, folds),
    )
    search.fit(latents, labels)
    scaler, regression = search.best_estimator_[0], search.best_estimator_[1]
    weight = regression.coef_[0]
    mean, scale = scaler.mean_, scaler.scale_
    scaled = (latents - mean) / scale
    bias = float(regression.intercept_[0])
    in_prior = np.ones(len(labels), bool) if for_prior is None else np.asarray(for_prior, bool)
    prior = fit_prior(scaled[in_prior], labels[in_prior])
    head = None if polarities is None else fit_head(scaled, polarities)
    return LatentClassifier(mean, scale, weight, bias, pattern(scaled, weight), prior, head)


def with_label_head(
    classifier: LatentClassifier, z: FloatArray, weight: FloatArray, bias: FloatArray
) -> LatentClassifier:
    """Let the head that the encoder was trained with, on pooled slices, read the latents.

    z: (N, d) latents, for the pattern of the new weight. weight: (3, d) and bias: (3,) on unscaled
    latents: malignant, lytic, blastic. Scaler and prior stay.
    """
    scaled = weight * classifier.scale
    shifted = bias + weight @ classifier.mean
    return replace(
        classifier,
        weight=scaled[0],
        bias=float(shifted[0]),
        pattern=pattern(classifier.scaled(z), scaled[0]),
        head=PolarityHead(scaled[1:], shifted[1:]),
        pooling=(1.0, 1.0, 0.0),
    )


def calibrated(
    classifier: LatentClassifier, pooled: ArrayLike, malignant: ArrayLike
) -> LatentClassifier:
    """Return the classifier with Platt's slope and offset, both classes weighted alike.

    pooled: (N,) pooled logits of vertebrae that no part was fitted on; malignant: (N,).
    """
    temperature = classifier.pooling[0] if classifier.pooling else 1.0
    return replace(classifier, pooling=(temperature, *platt(pooled, malignant)))


def platt(logits: ArrayLike, malignant: ArrayLike) -> tuple[float, float]:
    """Slope and offset that make logits (N,) those of a probability (Platt 1999).

    Both classes are weighted alike: p is for as many malignant as healthy vertebrae.
    """
    values = np.asarray(logits, dtype=np.float64)[:, None]
    fitted = LogisticRegression(C=1e6, class_weight="balanced").fit(values, np.asarray(malignant))
    return float(fitted.coef_[0, 0]), float(fitted.intercept_[0])


def fit_prior(scaled: FloatArray, malignant: ArrayLike) -> HealthyPrior:
    """Fit both Gaussians on scaled latents: (N, d) and vertebra-level labels: (N,) in {0, 1}."""
    label = np.asarray(malignant).astype(bool)
    healthy, sick = scaled[~label], scaled[label]
    covariance = np.cov(healthy, rowvar=False)
    values, vectors = np.linalg.eigh(np.cov(sick, rowvar=False) - covariance)
    displacement = (vectors * values.clip(0)) @ vectors.T
    ridge = RIDGE * np.trace(covariance) / len(covariance) * np.eye(len(covariance))
    # Symmetric matrices: Σ_h T⁻¹ = (T⁻¹ Σ_h)ᵀ.
    gain = np.linalg.solve(covariance + displacement + ridge, covariance).T
    return HealthyPrior(healthy.mean(axis=0), sick.mean(axis=0), gain)


def with_drift(prior: HealthyPrior, parts: FloatArray) -> HealthyPrior:
    """Return a prior whose drift towards the sides is measured on healthy slices.

    parts: (K, N, d) scaled latents of N slices in each of K equal parts of the way from the
    middle to the side.
    """
    means = parts.mean(axis=1)
    return replace(prior, drift=means - means[0])


def fit_head(scaled: FloatArray, present: ArrayLike, *, C: float = 1e-2) -> PolarityHead:
    """Fit on scaled latents: (N, d) and labels: (N, 2) in {0, 1}, columns as POLARITIES."""
    labels = np.asarray(present).astype(int)
    models = [
        LogisticRegression(C=C, class_weight="balanced", max_iter=5000).fit(scaled, column)
        for column in labels.T
    ]
    return PolarityHead(
        np.stack([model.coef_[0] for model in models]),
        np.array([model.intercept_[0] for model in models]),
    )


def pattern(scaled: FloatArray, weight: FloatArray) -> FloatArray:
    """Return Σw: (d,) of scaled latents: (N, d), without forming Σ (Haufe et al. 2014, eq. 6)."""
    centred = scaled - scaled.mean(axis=0)
    return np.asarray(centred.T @ (centred @ weight) / len(scaled), dtype=np.float64)


def _one_standard_error(results: Mapping[str, Any], folds: int) -> int:
    """Index of the strongest regularisation within one standard error of the best AUC."""
    mean = np.asarray(results["mean_test_score"])
    error = np.asarray(results["std_test_score"]) / np.sqrt(folds)
    strength = np.asarray(results["param_logisticregression__C"], dtype=float)
    good = np.flatnonzero(mean >= mean.max() - error[mean.argmax()])
    return int(good[strength[good].argmin()])
