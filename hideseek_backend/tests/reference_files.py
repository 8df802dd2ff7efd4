"""The three files that the reference releases, small and with random weights."""

from __future__ import annotations

import pickle
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from sklearn.linear_model import LogisticRegression
from sklearn.preprocessing import StandardScaler

from hideseek_backend.dae import DaeConfig, DiffusionAutoencoder

SMALL = DaeConfig(
    base_channels=8,
    channel_mult=(1, 2),
    attention_resolutions=(32,),
    z_channels=12,
    embed_channels=20,
    encoder_base_channels=8,
    encoder_channel_mult=(1, 2, 4),
    encoder_attention_resolutions=(32,),
)


def write_reference_files(
    folder: Path, config: DaeConfig = SMALL, change: Callable[[dict[str, Any]], None] | None = None
) -> dict[str, Path]:
    """Write last.ckpt, classifier_lr.pkl and scaler.pkl as the reference does, with random weights.

    change: alters the checkpoint before it is written.
    """
    folder.mkdir(parents=True, exist_ok=True)
    torch.manual_seed(0)
    ema = DiffusionAutoencoder(config).network.state_dict()
    state = {f"model.{k}": torch.zeros_like(v) for k, v in ema.items()}
    state |= {f"ema_model.{k}": torch.randn_like(v) for k, v in ema.items()}
    state["x_T"] = torch.zeros(2, config.in_channels, config.image_size, config.image_size)
    checkpoint = {
        "epoch": 1,
        "global_step": 7,
        "state_dict": state,
        "hyper_parameters": {"T": 1000, "net_ch_mult": (1, 2), "name": "x"},
        "optimizer_states": [{"state": {0: {"exp_avg": torch.zeros(3)}}}],
    }
    if change is not None:
        change(checkpoint)
    rng = np.random.default_rng(0)
    z = rng.normal(size=(40, config.z_channels))
    scaler = StandardScaler().fit(z)
    regression = LogisticRegression().fit(scaler.transform(z), z[:, 0] > 0)
    regression.classes_ = np.array([0, 1])
    paths = {
        "dae": folder / "last.ckpt",
        "classifier": folder / "classifier_lr.pkl",
        "scaler": folder / "scaler.pkl",
    }
    torch.save(checkpoint, paths["dae"])
    paths["classifier"].write_bytes(pickle.dumps(regression))
    paths["scaler"].write_bytes(pickle.dumps(scaler))
    return paths
