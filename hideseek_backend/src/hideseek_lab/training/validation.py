"""What a model says of real vertebrae that it was not trained on, and its calibration on them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from hideseek_backend.attribution.classifier import LatentClassifier
from hideseek_backend.attribution.options import Options
from hideseek_backend.models.store import Model
from hideseek_lab.benchmark.real_set import GROWN, screened
from hideseek_lab.training.fit import calibrated
from hideseek_lab.training.real_cases import RealCase


def calibrated_on(model: Model, cases: Sequence[RealCase]) -> LatentClassifier:
    """Return the model's classifier, its p calibrated on the healthy levels of `cases`.

    On untouched ones, benign insertions and metastases of the training's generator; the second
    generator is for evaluation alone.
    """
    plain = model.classifier.pooling
    temperature = plain[0] if plain else 1.0
    model = replace(model, classifier=replace(model.classifier, pooling=(temperature, 1.0, 0.0)))
    options = Options.for_protocol("fast", model.spec.defaults)
    rows = [row for row in screened(model, cases, options) if row.kind != GROWN]
    return calibrated(
        model.classifier,
        np.array([row.logit for row in rows]),
        np.array([row.malignant for row in rows]),
    )
