"""The published network (Atad et al. 2025: 90.8 million parameters) as a training of our own."""

from __future__ import annotations

from hideseek_backend.dae import DaeConfig
from hideseek_lab.training.augment import Augmentation
from hideseek_lab.training.loop import TrainConfig
from hideseek_lab.training.presets import BUNDLED_DEFAULTS, BUNDLED_WINDOW, Preset

# Its layers and widths, trained as a preconditioned denoiser as all our networks are.
PUBLISHED = Preset(
    train=TrainConfig(
        architecture=DaeConfig(parametrization="edm", data_mean=0.26, data_std=0.15),
        steps=200_000,
        batch=32,
        learning_rate=1e-4,
        label_weight=0.1,
        bag=4,
        augmentation=Augmentation(),
    ),
    intensity=BUNDLED_WINDOW,
    shards=0,
    per_shard=0,
    classifier_vertebrae=0,
    defaults={"fast": BUNDLED_DEFAULTS},
)
