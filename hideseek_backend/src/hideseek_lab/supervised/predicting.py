"""From a trained segmenter to probabilities of a whole scan, and from these to lesions."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from hideseek_backend.optional import import_optional
from hideseek_lab.scoring.instances import label_components
from hideseek_lab.supervised.networks import BASELINES_EXTRA
from hideseek_lab.supervised.patches import Roi
from hideseek_lab.supervised.scans import Scan

OVERLAP = 0.5
_WINDOWS = 16


@torch.inference_mode()
def probabilities(
    network: nn.Module, scan: Scan, roi: Roi, device: torch.device | None = None
) -> NDArray[np.float32]:
    """Probability of every class and voxel: (classes, I, J, K).

    Sliding windows of the training's size that overlap by half (SAP); a roi of depth 1 goes through
    the slices of axis 2.
    """
    inferers = import_optional("monai.inferers", "The supervised networks", BASELINES_EXTRA)
    device = device or torch.device("cpu")
    network.eval()
    image = torch.from_numpy(np.ascontiguousarray(scan.image, dtype=np.float32))
    flat = roi[2] == 1
    # slices become the batch
    inputs = image.permute(3, 0, 1, 2) if flat else image[None]
    size = roi[:2] if flat else roi
    parts = []
    for piece in inputs.split(_WINDOWS if flat else 1):
        logits = inferers.sliding_window_inference(
            piece.to(device), size, _WINDOWS if flat else 1, network, overlap=OVERLAP
        )
        parts.append(logits.softmax(dim=1).float().cpu())
    found = torch.cat(parts)
    return np.asarray((found.permute(1, 2, 3, 0) if flat else found[0]).numpy())


def lesion_probability(classes: NDArray[np.float32]) -> NDArray[np.float32]:
    """Probability of any lesion (I, J, K) from those of all classes."""
    return np.asarray(1 - classes[0], dtype=np.float32)


def labels_at(
    classes: NDArray[np.float32], threshold: float = 0.5, least_voxels: int = 0
) -> NDArray[np.uint8]:
    """Lesion mask (I, J, K): the likeliest lesion class where any lesion is as likely as the
    threshold; components of fewer voxels are dropped."""
    labels = (classes[1:].argmax(axis=0) + 1).astype(np.uint8)
    found = lesion_probability(classes) >= threshold
    if least_voxels > 1:
        parts, _ = label_components(found)
        sizes = np.bincount(parts.ravel())
        found &= sizes[parts] >= least_voxels
    return np.where(found, labels, 0).astype(np.uint8)


def component_confidences(
    probability: NDArray[np.floating], components: NDArray[np.int32]
) -> list[float]:
    """The highest lesion probability of each component 1..n."""
    count = int(components.max(initial=0))
    best = np.zeros(count + 1)
    np.maximum.at(best, components.ravel(), probability.ravel())
    return [float(v) for v in best[1:]]


def mean_of(parts: Sequence[NDArray[np.float32]]) -> NDArray[np.float32]:
    """An ensemble's probabilities."""
    return np.asarray(np.mean(np.stack(parts), axis=0), dtype=np.float32)
