"""Turn the authors' released files into a model folder."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import numpy as np
from safetensors.numpy import load_file

from hideseek_backend.attribution.classifier import LatentClassifier
from hideseek_backend.attribution.options import Options
from hideseek_backend.errors import ModelError
from hideseek_backend.files import sha256
from hideseek_backend.models.architecture import architecture_of
from hideseek_backend.models.checkpoint import read_checkpoint
from hideseek_backend.models.pickles import read_estimator
from hideseek_backend.models.places import check_name
from hideseek_backend.models.spec import ModelSpec
from hideseek_backend.models.store import build, save_model

DAE_VERTS = "dae-verts"

RELEASED = Path(__file__).parent / "reference" / "classifier.safetensors"
"""1,537 numbers of classifier_lr.pkl and scaler.pkl (sha256 425ab012… and b2eda625…)."""

# The released notebook: each slice's minimum to 0 and 99.5th percentile to 1, not clipped.
REFERENCE_INTENSITY = {"kind": "percentile", "lower": 0.0, "upper": 99.5}

_LICENCE = "MIT (released by its authors at github.com/matanat/hide_and_seek)"

_PathLike = str | os.PathLike[str]


def import_reference(
    dae: _PathLike,
    classifier: _PathLike | None,
    scaler: _PathLike | None,
    out: _PathLike,
    half: bool = False,
    *,
    name: str = DAE_VERTS,
) -> ModelSpec:
    """Write a model folder `out` from a Lightning checkpoint and two scikit-learn pickles.

    classifier, scaler: None takes the released ones, whose numbers come with the package.

    The architecture is read from the weights' shapes. EMA weights are taken; plain ones only where
    there are no others, and the spec then says so (`training["weights"]`). half: store float16.
    Nothing in the three files is executed.

    Raises ModelError for files of another kind, damaged ones, and parts that do not fit together.
    """
    check_name(name)
    checkpoint = read_checkpoint(Path(dae))
    config = architecture_of(
        {k: tuple(v.shape) for k, v in checkpoint.weights.items()},
        image_size=checkpoint.image_size,
        settings=checkpoint.settings,
    )
    weights = {f"network.{k}": v for k, v in checkpoint.weights.items()}
    network = build(config, weights, Path(dae).name)
    if classifier is None or scaler is None:
        latent = released_classifier()
    else:
        latent = read_classifier(classifier, scaler)
    if latent.channels != config.z_channels:
        raise ModelError(
            f"The classifier reads latents of {latent.channels} numbers, the autoencoder makes "
            f"{config.z_channels}.",
            "Use the classifier and scaler that belong to this checkpoint.",
        )
    parameters = sum(p.numel() for p in network.parameters())
    return save_model(
        out,
        network,
        latent,
        name=name,
        intensity_map=REFERENCE_INTENSITY,
        half=half,
        defaults={"fast": fast_defaults()},
        training={
            "weights": "EMA"
            if checkpoint.averaged
            else "plain (the checkpoint has no EMA weights)",
            "step": checkpoint.step,
            "parameters": parameters,
            "paper": "Atad et al. 2025, arXiv:2512.06849",
        },
        source={
            key: {"file": Path(path).name, "sha256": sha256(path)}
            for key, path in (
                ("dae", dae),
                ("classifier", classifier or RELEASED),
                ("scaler", scaler or RELEASED),
            )
        },
        licence=_LICENCE,
    )


def released_classifier() -> LatentClassifier:
    """Return c(z) of the authors' classifier_lr.pkl and scaler.pkl, as numbers (MIT licence)."""
    return LatentClassifier.from_tensors(load_file(RELEASED))


def read_classifier(classifier: _PathLike, scaler: _PathLike) -> LatentClassifier:
    """Read c(z) from the pickles of a LogisticRegression and a StandardScaler, executing nothing.

    Raises ModelError when they are anything else, or do not fit each other.
    """
    regression = read_estimator(Path(classifier), "LogisticRegression")
    scaling = read_estimator(Path(scaler), "StandardScaler")
    weight, bias = regression.array("coef_"), regression.array("intercept_")
    classes = regression.array("classes_")
    if weight.ndim != 2 or len(weight) != 1 or classes.tolist() != [0, 1]:
        raise ModelError(
            f"Expected a classifier of healthy (0) and malignant (1), got classes "
            f"{classes.tolist()[:5]} with weights {weight.shape}.",
            "Use the published classifier_lr.pkl.",
        )
    if regression.attributes.get("multi_class") == "multinomial":
        raise ModelError(
            "The classifier was fitted as multinomial, which doubles its logits.",
            "Fit it again with scikit-learn's default.",
        )
    channels = weight.shape[1]
    mean, scale = np.zeros(channels), np.ones(channels)
    if scaling.attributes.get("with_mean", True):
        mean = scaling.array("mean_")
    if scaling.attributes.get("with_std", True):
        scale = scaling.array("scale_")
    bias_value = float(bias.reshape(-1)[0]) if bias.size else 0.0
    return LatentClassifier(mean, scale, weight[0], bias_value)


def fast_defaults() -> dict[str, Any]:
    """The fast protocol of imported weights: the paper's method with a faster solver.

    Everything that defines the result stays as published. The projection is left out: under the
    same z it is the identity but for the solver's error. See docs/speed.md for what that changes.
    """
    left = ("protocol", "solver", "invert_steps", "render_steps", "projection", "max_batch")
    paper = Options.for_protocol("reference").to_dict()
    return {k: v for k, v in paper.items() if k not in left}
