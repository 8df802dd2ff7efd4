"""Named trainings: the bundled model, the anomaly baseline's, and a tiny one for tests."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from hideseek_backend.dae import DaeConfig
from hideseek_lab.training.augment import Augmentation
from hideseek_lab.training.loop import TrainConfig

# 97 % of phantom pixels lie inside this window: air is cut below, the densest bone above.
BUNDLED_WINDOW = {"kind": "window", "low": -200.0, "high": 1000.0}


@dataclass(frozen=True)
class Preset:
    """A training configuration, the intensity mapping its model is made for, and its data.

    shards, wide_shards: of `per_shard` phantoms each, of the two kinds of `dataset`.
    real_per_vertebra: samples drawn of every real vertebra that the user gives.
    defaults: options by protocol that the model's folder overrides, chosen on validation data.
    healthy_only: the autoencoder sees healthy vertebrae alone (the classifier sees all).
    """

    train: TrainConfig
    intensity: dict[str, object]
    shards: int
    per_shard: int
    classifier_vertebrae: int
    wide_shards: int = 0
    real_per_vertebra: int = 60
    defaults: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    healthy_only: bool = False

    def to_intensity(self, hu: NDArray[np.float32]) -> Tensor:
        """HU to model intensity by the window."""
        low, high = float(self.intensity["low"]), float(self.intensity["high"])  # type: ignore[arg-type]
        return torch.from_numpy((hu.clip(low, high) - low) / (high - low)).float()


# Found on the validation split by `python -m hideseek_lab.benchmark.tune`, seeds from
# 1,100,000; p_slices, p_span and the pooling of slices on three patients that the trial encoder had
# not seen (among nine poolings, log-mean-exp had the highest AUC on both generators of lesions);
# reach on whole spines, seeds from 1,300,000; steps from 1,100,000 again (docs/speed.md);
# lytic_ceiling and merge_depth on whole spines from 2,200,001 and central slices from 2,200,500.
# edit_margin on inserted lesions in patients of the training. The test split took no part.
BUNDLED_DEFAULTS: dict[str, Any] = {
    "invert_steps": 8,
    "render_steps": 12,
    "p_slices": 9,
    "p_span": 0.8,
    "direction": "posterior",
    "posterior_passes": 3,
    "edit_margin": 5,
    "edit_rounds": 2,
    "p_target": 0.2,
    "residual_against": "image",
    "smooth_sigma": 1.2,
    "binarize": "hysteresis",
    "hysteresis_low": 0.1,
    "hysteresis_high": 0.4,
    "min_contrast": 35.0,
    "peak_fraction": 0.25,
    "lytic_ceiling": 50.0,
    "closing": 1,
    "fill_holes": False,
    "split_distance": 6,
    "merge_depth": 0.7,
    "connectivity": 8,
    "erode": 0,
    "reach": 0.5,
    "min_area": 16,
    "min_evidence": 0.5,
    "tau": 0.2,
    "mixed_fraction": 0.05,
    "min_presence": 0.5,
    "name_presence": 0.6,
}

BUNDLED = Preset(
    train=TrainConfig(
        architecture=DaeConfig(
            patch=2,
            base_channels=48,
            channel_mult=(1, 2, 2),
            res_blocks=1,
            attention_resolutions=(8,),
            z_channels=256,
            embed_channels=256,
            norm_groups=16,
            dropout=0.0,
            encoder_base_channels=48,
            encoder_channel_mult=(1, 2, 3, 4),
            encoder_res_blocks=2,
            encoder_attention_resolutions=(),
            # Pooled to one vector, as published: z says what there is and x_T where it is, so that
            # one direction of z removes a lesion wherever it lies.
            encoder_grid=1,
            parametrization="edm",
            data_mean=0.26,
            data_std=0.15,
        ),
        steps=13_000,
        # What the encoder alone learns from labels in a tenth of a joint step's time is what the
        # joint training needs longest for.
        encoder_steps=5_000,
        label_images=64,
        bag=8,
        decay_from=0.75,
        label_weight=0.5,
        # Without the paper's flip: a small network on unlimited phantoms gains nothing from
        # anatomy it will never be shown. L5 leans by 30 degrees.
        augmentation=Augmentation(
            rotation_deg=25.0,
            zoom=(0.8, 1.25),
            flip_probability=0.0,
            shift_px=2.0,
            contrast=(0.7, 1.25),
            contrast_pivot=0.2,  # soft tissue, 40 HU
            sharpness=(-0.5, 1.0),
            noise=0.025,
        ),
    ),
    intensity=BUNDLED_WINDOW,
    shards=40,
    wide_shards=10,
    per_shard=500,
    classifier_vertebrae=12_000,
    defaults={"fast": BUNDLED_DEFAULTS},
)

# The network of the anomaly-detection baseline: the published, unsupervised training.
HEALTHY = replace(
    BUNDLED,
    train=replace(
        BUNDLED.train, steps=3_000, encoder_steps=0, label_images=0, label_weight=0.0, bag=1
    ),
    shards=8,
    wide_shards=0,
    classifier_vertebrae=2_000,
    defaults={},
    healthy_only=True,
)

TINY = Preset(
    train=TrainConfig(
        architecture=DaeConfig(
            patch=4,
            base_channels=16,
            channel_mult=(1, 1),
            res_blocks=1,
            attention_resolutions=(),
            z_channels=16,
            embed_channels=32,
            norm_groups=4,
            dropout=0.0,
            encoder_base_channels=16,
            encoder_channel_mult=(1, 1),
            encoder_res_blocks=1,
            encoder_attention_resolutions=(),
            encoder_grid=1,
            parametrization="edm",
            data_mean=0.26,
            data_std=0.15,
        ),
        steps=40,
        batch=8,
        warmup=5,
        bf16=False,
        augmentation=Augmentation(rotation_deg=15.0, flip_probability=0.0),
    ),
    intensity=BUNDLED_WINDOW,
    shards=1,
    per_shard=12,
    classifier_vertebrae=12,
)

PRESETS = {"bundled": BUNDLED, "healthy": HEALTHY, "tiny": TINY}
