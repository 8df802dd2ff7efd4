"""What the latent classifier is fitted on, and how well it does (paper, section 4)."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray
from sklearn.metrics import f1_score, roc_auc_score
from torch import Tensor

from hideseek_backend.attribution.classifier import LatentClassifier
from hideseek_backend.dae import DiffusionAutoencoder
from hideseek_lab.training.dataset import CENTRAL, SLICES, ShardSet

WIDE_SLICES = 2
"""Slices of each vertebra of a wide shard that the classifier is fitted on."""
DRIFT_VERTEBRAE = 1000
"""Healthy vertebrae that the drift of latents towards the sides is measured on, at most."""


def central_slices(
    shards: ShardSet, count: int, seed: int
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Draw one of the five central slices of each of the first `count` vertebrae.

    Returns hu (N, 64, 64) and labels (N, 3) in the order of `loop.LABELS`.
    """
    rng = np.random.default_rng(seed)
    count = min(count, len(shards))
    hu = [shards.hu[i][rng.integers(CENTRAL)] for i in range(count)]
    return np.stack(hu).astype(np.float32), np.stack(shards.labels[:count])


def fitting_slices(
    central: ShardSet, wide: ShardSet | None, count: int, seed: int
) -> tuple[NDArray[np.float32], NDArray[np.float32], NDArray[np.bool_]]:
    """Draw what the classifier is fitted on: central slices, and some from anywhere in the body.

    Returns hu (N, 64, 64), labels (N, 3) and whether each is a central slice (N,), which malignant
    vertebrae seldom look healthy on.
    """
    hu, labels = central_slices(central, count, seed)
    if wide is None:
        return hu, labels, np.ones(len(labels), dtype=bool)
    rng = np.random.default_rng(seed)
    spread = [own[k] for own in wide.hu for k in rng.choice(SLICES, WIDE_SLICES, replace=False)]
    spread_labels = np.repeat(np.stack(wide.labels), WIDE_SLICES, axis=0)
    return (
        np.concatenate([hu, np.stack(spread).astype(np.float32)]),
        np.concatenate([labels, spread_labels]),
        np.arange(len(labels) + len(spread_labels)) < len(labels),
    )


def middle_slices(
    real: ShardSet, count: int, seed: int
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Draw one of the middle four slices of up to `count` real vertebrae, in no order.

    Returns hu (N, 64, 64) and labels (N, 3).
    """
    rng = np.random.default_rng([seed, 5])
    index = rng.permutation(len(real))[:count]
    hu = [real.hu[i][rng.integers(SLICES // 4, 3 * SLICES // 4)] for i in index]
    return np.stack(hu).astype(np.float32), np.stack([real.labels[i] for i in index])


def sideways_parts(
    dae: DiffusionAutoencoder,
    wide: ShardSet,
    to_intensity: Callable[[NDArray[np.float32]], Tensor],
) -> NDArray[np.float32]:
    """Encode slices of healthy vertebrae by their place between the middle and the side.

    Returns z: (4, N, d), from the middle outwards; a wide shard's eight slices are of the eighths
    from one side to the other.
    """
    healthy = [hu for hu, own in zip(wide.hu, wide.labels, strict=True) if own[0] == 0]
    images = to_intensity(np.concatenate(healthy[:DRIFT_VERTEBRAE]).astype(np.float32))
    z = encode_all(dae, images)
    z = z.reshape(-1, SLICES, z.shape[-1])
    half = SLICES // 2
    return np.stack([np.concatenate([z[:, half - 1 - j], z[:, half + j]]) for j in range(half)])


def encode_all(dae: DiffusionAutoencoder, images: Tensor, batch: int = 128) -> NDArray[np.float32]:
    """Encode images: (N, 64, 64) in model intensity as z: (N, d)."""
    return np.concatenate([dae.encode(part[:, None]).cpu().numpy() for part in images.split(batch)])


def classification_figures(
    classifier: LatentClassifier, z: NDArray[np.float32], malignant: NDArray[np.float32]
) -> dict[str, float]:
    """AUC and F1 (at p ≥ 0.5) of a classifier on z: (N, d) with labels (N,) in {0, 1}."""
    p = classifier.probability(z)
    return {
        "auc": float(roc_auc_score(malignant, p)),
        "f1": float(f1_score(malignant, p >= 0.5)),
        "n": float(len(malignant)),
    }
