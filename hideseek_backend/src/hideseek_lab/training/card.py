"""The model card that a training writes beside its weights."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

_CARD = """# {name}

A small diffusion autoencoder with a latent malignancy classifier for HideSeek.
**Research use only. Not cleared for diagnosis.**

## What it was trained on
- Autoencoder: {vertebrae} synthetic vertebrae of the HideSeek phantom (version {phantom}), {steps}
  steps of {batch} sagittal slices; real vertebrae mixed in: {real}.
- Labels: vertebra level only (healthy, lytic, blastic, mixed). No lesion mask was used anywhere.
- The encoder was trained with an auxiliary loss on those labels (weight {label_weight}), which the
  published method does not have; with weight 0 the autoencoder is unsupervised as published.
- {history}
- Classifier: standardised latents and a logistic regression on {classifier} vertebrae, its
  regularisation chosen by cross-validation.

## What it is not
It has seen phantoms. Figures on phantoms say nothing about patients. Use weights trained on
patients for work on patients (`hideseek models install dae-verts`), and review every result.

## Validation (phantom seeds from 1,000,000, not used in training)
```json
{validation}
```
"""


def model_card(name: str, record: Mapping[str, Any]) -> str:
    """Return MODEL_CARD.md of a training record as `command.finish` makes it."""
    config = record["config"]
    return _CARD.format(
        name=name,
        vertebrae=record["phantom_vertebrae"],
        phantom=record["phantom_version"],
        steps=record["steps"],
        batch=config["batch"],
        history=record["history"],
        real=", ".join(record["real"]) or "none",
        label_weight=config["label_weight"],
        classifier=record["classifier_vertebrae"],
        validation=json.dumps(record["validation"], indent=2),
    )
