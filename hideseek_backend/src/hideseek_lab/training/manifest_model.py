"""Fit the classifier on a training from a manifest, measure it, and write the model folder."""

from __future__ import annotations

import json
import platform
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from sklearn.metrics import roc_auc_score
from torch import Tensor

from hideseek_backend.attribution.classifier import LatentClassifier
from hideseek_backend.dae import DiffusionAutoencoder
from hideseek_lab.training import loop
from hideseek_lab.training.classifier import encode_all
from hideseek_lab.training.fit import fit_classifier, fit_head
from hideseek_lab.training.from_manifest import Vertebra
from hideseek_lab.training.presets import Preset

Intensity = Callable[[NDArray[np.float32]], Tensor]
RESAMPLES = 1000

_CARD = """# {name}

A diffusion autoencoder with a latent malignancy classifier for HideSeek.
**Research use only. Not cleared for diagnosis.**

- Trained from a manifest on {train_patients} patients: {train_vertebrae} vertebrae, {steps} steps.
- Labels are of vertebrae; no lesion mask was used. {parameters:,} parameters, preset {preset}.
- Validation patients, never trained on: {validation_names}.
- Left out: {left_out}.

## Validation (vertebrae of real scans; intervals are bootstrapped over patients)
```json
{validation}
```
"""


def finish(
    preset: Preset,
    run: Path,
    out: Path,
    to_intensity: Intensity,
    vertebrae: Mapping[str, Sequence[Vertebra]],
    left_out: Sequence[str],
    preset_name: str,
) -> dict[str, Any]:
    """Fit on split "train", measure on "validation", write the model folder; return its record."""
    from hideseek_backend.models.store import save_model

    dae, step = loop.averaged(run)
    classifier = fitted(dae, to_intensity, vertebrae["train"], preset.train.seed)
    validation_patients = sorted({v.patient for v in vertebrae["validation"]})
    record: dict[str, Any] = {
        "preset": preset_name,
        "steps": step,
        "config": preset.train.to_dict(),
        "parameters": sum(p.numel() for p in dae.parameters()),
        "train_patients": len({v.patient for v in vertebrae["train"]}),
        "train_vertebrae": len(vertebrae["train"]),
        "validation_patients": validation_patients,
        "left_out": len(left_out),
        "validation": figures(dae, classifier, to_intensity, vertebrae["validation"]),
        "torch": torch.__version__,
        "python": platform.python_version(),
    }
    card = _CARD.format(
        **{
            **record,
            "name": out.name,
            "validation_names": ", ".join(validation_patients) or "none",
            "validation": json.dumps(record["validation"], indent=2),
        }
    )
    save_model(
        out, dae, classifier, name=out.name, intensity_map=preset.intensity, half=True,
        defaults=preset.defaults, training=record, card=card,
    )  # fmt: skip
    return record


def fitted(
    dae: DiffusionAutoencoder, to_intensity: Intensity, vertebrae: Sequence[Vertebra], seed: int
) -> LatentClassifier:
    """Fit on the central slices of labelled vertebrae (paper, section 4)."""
    labelled = [v for v in vertebrae if not np.isnan(v.labels[0])]
    z = _central_latents(dae, to_intensity, labelled)
    labels = np.repeat(
        np.stack([v.labels for v in labelled]), [len(v.central) for v in labelled], axis=0
    )
    rarest = int(np.bincount(labels[:, 0].astype(int), minlength=2).min())
    classifier = fit_classifier(z, labels[:, 0], folds=min(5, rarest), seed=seed)
    known = np.isfinite(labels).all(axis=1)
    if all(len(set(column)) == 2 for column in labels[known, 1:].T):
        head = fit_head(classifier.scaled(z[known]), labels[known, 1:])
        classifier = replace(classifier, head=head)
    return classifier


def figures(
    dae: DiffusionAutoencoder,
    classifier: LatentClassifier,
    to_intensity: Intensity,
    vertebrae: Sequence[Vertebra],
) -> dict[str, Any]:
    """AUC over labelled vertebrae with its 95 % interval over patients; null where undefined."""
    labelled = [v for v in vertebrae if not np.isnan(v.labels[0])]
    truth = np.array([v.labels[0] for v in labelled])
    if len(set(truth)) < 2:
        return {"vertebrae": len(labelled), "auc": None}
    logits = classifier.logit(_central_latents(dae, to_intensity, labelled))
    ends = np.cumsum([len(v.central) for v in labelled])[:-1]
    score = np.array(
        [np.logaddexp.reduce(own) - np.log(len(own)) for own in np.split(logits, ends)]
    )
    patients = np.array([v.patient for v in labelled])
    names = np.unique(patients)
    rng = np.random.default_rng(0)
    drawn = []
    for _ in range(RESAMPLES):
        index = np.concatenate(
            [np.flatnonzero(patients == p) for p in rng.choice(names, len(names))]
        )
        if len(set(truth[index])) == 2:
            drawn.append(roc_auc_score(truth[index], score[index]))
    low, high = np.percentile(drawn, (2.5, 97.5)) if drawn else (None, None)
    return {
        "vertebrae": len(labelled),
        "patients": len(names),
        "auc": float(roc_auc_score(truth, score)),
        "auc_95": [None if v is None else float(v) for v in (low, high)],
    }


def _central_latents(
    dae: DiffusionAutoencoder, to_intensity: Intensity, vertebrae: Sequence[Vertebra]
) -> NDArray[np.float32]:
    hu = np.concatenate([v.central for v in vertebrae]).astype(np.float32)
    return encode_all(dae, to_intensity(hu))
