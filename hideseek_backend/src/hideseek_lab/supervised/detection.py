"""Slice detection: does a slice show a lesion? Three classifiers, their figures, and GradCAM."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from hideseek_backend.optional import import_optional
from hideseek_lab.benchmark.baselines.cams import cam_maps
from hideseek_lab.benchmark.dataset import MIN_TRUTH_PX
from hideseek_lab.scoring import plots
from hideseek_lab.supervised.networks import CAM_LAYERS
from hideseek_lab.supervised.patches import Patch, Roi, cut
from hideseek_lab.supervised.scans import Scan
from hideseek_lab.supervised.training import Batch, Batches, FitPlan, augmented


@dataclass(frozen=True)
class DetectionFigures:
    """Figures of slices at p ≥ 0.5 (table 1 of Pawan, Rich et al.); NaN where undefined."""

    slices: int
    positive: int
    accuracy: float
    precision: float
    recall: float
    f1: float
    auc: float


def shows_lesion(lesions: NDArray[np.uint8]) -> NDArray[np.bool_]:
    """(K,) slices of a mask (I, J, K) with at least 5 lesion pixels."""
    return np.asarray((lesions > 0).sum(axis=(0, 1)) >= MIN_TRUTH_PX)


def slice_batches(scans: Sequence[Scan], roi: Roi, plan: FitPlan) -> Batches:
    """Batches of whole slices with their label, half of them with a lesion, augmented.

    roi: (I, J, 1), the size that slices are cut to about their middle, or about their lesion.
    """
    places: dict[bool, list[Patch]] = {True: [], False: []}
    for n, scan in enumerate(scans):
        for k, shown in enumerate(shows_lesion(scan.lesions).tolist()):
            centre = [side / 2 for side in scan.shape[:2]]
            if shown:
                centre = np.argwhere(scan.lesions[:, :, k] > 0).mean(axis=0).tolist()
            low = [
                int(np.clip(round(c - size / 2), 0, max(full - size, 0)))
                for c, size, full in zip(centre, roi[:2], scan.shape[:2], strict=True)
            ]
            places[shown].append(Patch(n, (low[0], low[1], k), int(shown)))

    def batch_at(step: int) -> Batch:
        rng = np.random.default_rng([plan.seed, step, 5])
        images, labels = [], []
        for n in range(plan.batch):
            pool = places[n % 2 == 0] or places[n % 2 != 0]
            patch = pool[int(rng.integers(len(pool)))]
            image, _ = augmented(*cut(scans[patch.scan], patch, roi), rng)
            images.append(image[..., 0])
            labels.append(patch.lesion)
        return Batch(torch.from_numpy(np.stack(images)), torch.tensor(labels))

    return batch_at


@torch.inference_mode()
def slice_probabilities(network: nn.Module, images: NDArray[np.float32]) -> NDArray[np.float64]:
    """Probability of a lesion on slices (N, C, H, W) in [0, 1]."""
    network.eval()
    parts = [network(piece).softmax(dim=1)[:, 1] for piece in torch.from_numpy(images).split(32)]
    return torch.cat(parts).double().numpy()


def detection_figures(
    probability: NDArray[np.float64], shown: NDArray[np.bool_], threshold: float = 0.5
) -> DetectionFigures:
    """Figures of N slices: probability (N,), shown (N,) whether truth has a lesion there."""
    called = probability >= threshold
    tp, fp = int((called & shown).sum()), int((called & ~shown).sum())
    fn, tn = int((~called & shown).sum()), int((~called & ~shown).sum())
    auc = math.nan
    if shown.any() and not shown.all():
        metrics = import_optional("sklearn.metrics", "The area under the ROC curve")
        auc = float(metrics.roc_auc_score(shown, probability))
    return DetectionFigures(
        slices=len(shown),
        positive=int(shown.sum()),
        accuracy=(tp + tn) / len(shown) if len(shown) else math.nan,
        precision=tp / (tp + fp) if tp + fp else math.nan,
        recall=tp / (tp + fn) if tp + fn else math.nan,
        f1=2 * tp / (2 * tp + fp + fn) if 2 * tp + fp + fn else math.nan,
        auc=auc,
    )


def cam_overlays(name: str, network: nn.Module, images: NDArray[np.float32]) -> NDArray[np.float32]:
    """GradCAM of slices (N, C, H, W) in [0, 1]: (N, H, W), 0 to 1, larger where the network looks.

    All at once, for every call copies the network and the copy is slow to go away again.
    """
    planes = torch.from_numpy(np.ascontiguousarray(images))
    heat = cam_maps("gradcam", network, planes, CAM_LAYERS[name])
    top = heat.max(axis=(1, 2), keepdims=True)
    return heat / np.where(top > 0, top, 1)


def cam_picture(image: NDArray[np.float32], heat: NDArray[np.float32], title: str) -> bytes:
    """A slice (H, W) with its map over it, as PNG; superior up, posterior to the right."""
    figure, (axis,) = plots.new_figure(width=4, height=4)
    axis.imshow(image.T[::-1], cmap="gray", vmin=0, vmax=0.8)
    axis.imshow(heat.T[::-1], cmap="inferno", alpha=0.45, vmin=0, vmax=1)
    axis.set_title(title, fontsize=9)
    axis.axis("off")
    return plots.png(figure)


def cam_share_inside(heat: NDArray[np.float32], lesions: NDArray[np.uint8]) -> float:
    """Share of a map's weight that lies on the lesions, NaN where the map is empty."""
    total = float(heat.sum())
    return float(heat[lesions > 0].sum()) / total if total else math.nan
