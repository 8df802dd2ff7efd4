"""A model folder with a tiny random network, for tests of everything around the network."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch

from hideseek_backend.attribution.classifier import LatentClassifier
from hideseek_backend.dae import DaeConfig, DiffusionAutoencoder
from hideseek_backend.models.store import save_model

CONFIG = DaeConfig(
    patch=4,
    base_channels=8,
    channel_mult=(1, 2),
    res_blocks=1,
    attention_resolutions=(),
    z_channels=16,
    embed_channels=16,
    norm_groups=4,
    dropout=0.0,
    encoder_base_channels=8,
    encoder_channel_mult=(1, 2),
    encoder_res_blocks=1,
    encoder_attention_resolutions=(),
    parametrization="edm",
    data_mean=0.3,
    data_std=0.2,
)
FAST_OPTIONS = {"invert_steps": 2, "render_steps": 2}


WINDOW = {"kind": "window", "low": -250.0, "high": 1250.0}
PERCENTILE = {"kind": "percentile", "lower": 0.0, "upper": 99.5}


def write_tiny_model(
    folder: Path,
    *,
    malignant: bool = True,
    seed: int = 0,
    intensity_map: Mapping[str, Any] = WINDOW,
) -> Path:
    """Write a model that calls every vertebra malignant, or every one healthy; return its folder.

    Its pictures mean nothing: its weights are random.
    """
    generator = torch.Generator().manual_seed(seed)
    dae = DiffusionAutoencoder(CONFIG)
    with torch.no_grad():
        for parameter in dae.parameters():  # last layers start at zero: give all of them life
            parameter.copy_(0.2 * torch.randn(parameter.shape, generator=generator))
    rng = np.random.default_rng(seed)
    weight = rng.normal(0, 0.5, CONFIG.z_channels)
    classifier = LatentClassifier(
        mean=np.zeros(CONFIG.z_channels),
        scale=np.ones(CONFIG.z_channels),
        weight=weight / np.linalg.norm(weight),
        bias=12.0 if malignant else -12.0,
        pattern=weight,
    )
    save_model(
        folder,
        dae,
        classifier,
        name="tiny",
        intensity_map=dict(intensity_map),
        defaults={"fast": FAST_OPTIONS},
    )
    return folder
