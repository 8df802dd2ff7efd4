"""The model card that a training writes beside its weights."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

_CARD = """# {name}

A small diffusion autoencoder with a latent malignancy classifier for HideSeek.
**Research use only. Not cleared for diagnosis.**

## What it was trained on
- Autoencoder: {vertebrae} synthetic vertebrae of the HideSeek phantom (version {phantom}), {steps}
  steps of {batch} sagittal slices; half of them of the real vertebrae below, if there are any.
- Labels: vertebra level only (healthy, lytic, blastic, mixed). No lesion mask was used anywhere.
  Metastases in real vertebrae are inserted by software, and so are half of the benign findings.
- The encoder was trained with an auxiliary loss on those labels (weight {label_weight}), which the
  published method does not have; with weight 0 the autoencoder is unsupervised as published.
- {history}
- Classifier: {classifier_text}

## Real CTs
None is known to show a metastasis; no radiologist read them for it.
{real}

## What it is not
It has seen phantoms, a few real spines and inserted lesions, never a real metastasis. Its figures
say nothing about patients with metastases. Use weights trained on patients for work on patients
(`hideseek models install dae-verts`), and review every result.
It holds each vertebra against its training and says where one lies outside: metal, cement and
another modality and thick slices on a fine grid it mostly notices, motion it does not
(`hideseek benchmark outside`).

## Validation (phantom seeds from 1,000,000, not used in training)
```json
{validation}
```
"""


def model_card(name: str, record: Mapping[str, Any]) -> str:
    """Return MODEL_CARD.md of a training record as `command.finish` makes it."""
    config = record["config"]
    pooled = bool(record["pooling"])
    return _CARD.format(
        name=name,
        vertebrae=record["phantom_vertebrae"],
        phantom=record["phantom_version"],
        steps=record["steps"],
        batch=config["batch"],
        history=record["history"],
        real=_real(record["real"]),
        label_weight=config["label_weight"],
        classifier_text=(
            "the linear head of that loss, on the log-mean-exp over a vertebra's slices"
            + (
                ", calibrated (Platt) on the patients held out, where malignant and healthy are "
                "equally many."
                if record["pooling"][1:] != [1.0, 0.0]
                else ", not calibrated."
            )
            if pooled
            else f"standardised latents and a logistic regression on "
            f"{record['classifier_vertebrae']} vertebrae, its regularisation chosen by "
            "cross-validation."
        ),
        validation=json.dumps(record["validation"], indent=2),
    )


def _real(real: Mapping[str, Sequence[Mapping[str, Any]]]) -> str:
    """The credits of every case, a line each."""
    titles = {
        "trained_on": "Trained on",
        "held_out": "Held out of training; validation and calibration",
    }
    lines = []
    for key, title in titles.items():
        for case in real.get(key, ()):
            credit = "; ".join(text for text in (case["attribution"], case["licence"]) if text)
            levels = f"{case['levels'][0]} to {case['levels'][-1]}, {len(case['levels'])} levels"
            lines.append(
                f"- {title}: {case['case']} (patient {case['patient']}, {levels}). {credit}"
            )
    return "\n".join(lines) or "None."
