"""Small trainings of the two baseline networks on phantom slices: resumable, kept in the cache."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from dataclasses import asdict, dataclass
from functools import lru_cache
from pathlib import Path
from typing import Literal

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor, nn

from hideseek_backend.optional import import_optional
from hideseek_backend.phantom.options import PHANTOM_VERSION
from hideseek_backend.progress import ProgressCallback
from hideseek_lab.benchmark.baselines.common import to_unit
from hideseek_lab.benchmark.dataset import CENTRAL_SLICES, SliceSet
from hideseek_lab.supervised.training import (
    Batch,
    FitPlan,
    LossFunction,
    Optimisation,
    classification_loss,
    fit,
)


@dataclass(frozen=True)
class TrainingPlan:
    """vertebrae: how many of the train split; steps of `batch` slices each; learning rate."""

    vertebrae: int = 2000
    steps: int = 1200
    batch: int = 32
    rate: float = 1e-3
    seed: int = 0


RESNET_PLAN = TrainingPlan()
UNET_PLAN = TrainingPlan(steps=2000)
_SAVE_EVERY = 100


def make_resnet() -> nn.Module:
    """MONAI's ResNet-18 for 64-pixel slices: stride 2 at the start and no pooling after it."""
    nets = import_optional("monai.networks.nets", "The GradCAM baselines")
    network: nn.Module = nets.resnet18(
        spatial_dims=2, n_input_channels=1, num_classes=2, conv1_t_stride=2, no_max_pool=True,
        # in-place activations would overwrite what the map's hooks keep
        act=("relu", {"inplace": False}),
    )  # fmt: skip
    return network


def make_unet() -> nn.Module:
    """A small MONAI U-Net: background, lytic, blastic."""
    nets = import_optional("monai.networks.nets", "The supervised U-Net")
    network: nn.Module = nets.UNet(
        spatial_dims=2, in_channels=1, out_channels=3, channels=(24, 48, 96, 128),
        strides=(2, 2, 2), num_res_units=1,
    )  # fmt: skip
    return network


def unet_loss(network: nn.Module, batch: Batch) -> Tensor:
    """Cross-entropy plus soft Dice of both polarities over the batch."""
    logits, truth = network(batch.image), batch.target
    p = logits.softmax(dim=1)
    loss = F.cross_entropy(logits, truth)
    for value in (1, 2):
        target = (truth == value).float()
        overlap = (p[:, value] * target).sum()
        loss = loss + 0.5 * (1 - (2 * overlap + 1) / (p[:, value].sum() + target.sum() + 1))
    return loss


def train_resnet(
    data: Callable[[], SliceSet],
    plan: TrainingPlan,
    cache: Path,
    progress: ProgressCallback | None = None,
) -> nn.Module:
    """The classifier behind the CAMs. It is given the vertebra's label, as our classifier is, and
    no masks. Otherwise as `train_unet`."""
    return _train("resnet18", make_resnet, classification_loss, data, plan, cache, progress)


def train_unet(
    data: Callable[[], SliceSet],
    plan: TrainingPlan,
    cache: Path,
    progress: ProgressCallback | None = None,
) -> nn.Module:
    """The U-Net, trained on masks or gone on with after a stop; in evaluation mode.

    data: called only when there is something left to train. The checkpoint's name holds a hash of
    the plan and the phantom's version, so that another plan trains anew.
    """
    return _train("unet", make_unet, unet_loss, data, plan, cache, progress)


def _train(
    name: Literal["resnet18", "unet"],
    make: Callable[[], nn.Module],
    loss_of: LossFunction,
    data: Callable[[], SliceSet],
    plan: TrainingPlan,
    cache: Path,
    progress: ProgressCallback | None,
) -> nn.Module:
    decides = json.dumps({**asdict(plan), "phantom": PHANTOM_VERSION}, sort_keys=True)
    digest = hashlib.sha256(decides.encode()).hexdigest()[:8]
    vertebrae = lru_cache(data)

    def batch_at(step: int) -> Batch:
        images, truth, malignant = _batch(vertebrae(), plan, step)
        return Batch(images, truth if name == "unet" else malignant)

    torch.manual_seed(plan.seed)
    return fit(
        make(), loss_of, batch_at,
        FitPlan(plan.steps, plan.batch, plan.rate, seed=plan.seed, save_every=_SAVE_EVERY),
        cache / f"{name}-{digest}.pt", optimisation=_one_cycle, name=f"training {name}",
        progress=progress,
    )  # fmt: skip


def _one_cycle(network: nn.Module, plan: FitPlan) -> Optimisation:
    optimiser = torch.optim.AdamW(network.parameters(), lr=plan.rate, weight_decay=1e-4)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimiser, plan.rate, total_steps=plan.steps)
    return optimiser, schedule


def _batch(vertebrae: SliceSet, plan: TrainingPlan, step: int) -> tuple[Tensor, Tensor, Tensor]:
    """Images (B, 1, 64, 64), truth (B, 64, 64), malignant (B,), randomly turned and scaled."""
    rng = np.random.default_rng([plan.seed, step])
    who = rng.integers(len(vertebrae), size=plan.batch)
    which = rng.integers(CENTRAL_SLICES, size=plan.batch)
    images = torch.from_numpy(to_unit(vertebrae.hu[who, which]))[:, None]
    truth = torch.from_numpy(vertebrae.truth[who, which].astype(np.float32))[:, None]
    grid = _random_grid(plan.batch, rng)
    images = F.grid_sample(images, grid, padding_mode="border", align_corners=False)
    truth = F.grid_sample(truth, grid, mode="nearest", align_corners=False)
    noise = rng.normal(0, 0.015, images.shape).astype(np.float32)
    malignant = torch.from_numpy(vertebrae.malignant[who].astype(np.int64))
    return images + torch.from_numpy(noise), truth[:, 0].long(), malignant


def _random_grid(batch: int, rng: np.random.Generator) -> Tensor:
    """Sampling grids (B, 64, 64, 2): rotation, zoom and shift, each applied to half the slices."""
    on = rng.random((3, batch)) < 0.5
    angle = np.deg2rad(np.where(on[0], rng.uniform(-15, 15, batch), 0))
    zoom = np.where(on[1], rng.uniform(0.85, 1.15, batch), 1.0)
    shift = np.where(on[2], rng.uniform(-3, 3, (2, batch)), 0) * 2 / 64
    cos, sin = np.cos(angle) / zoom, np.sin(angle) / zoom
    theta = np.stack([[cos, -sin, shift[0]], [sin, cos, shift[1]]]).transpose(2, 0, 1)
    return F.affine_grid(
        torch.from_numpy(theta.astype(np.float32)), [batch, 1, 64, 64], align_corners=False
    )


@torch.inference_mode()
def unet_labels(network: nn.Module, hu: NDArray[np.int16]) -> NDArray[np.uint8]:
    """Predict slices hu: (N, 64, 64) as labels (N, 64, 64), 1 lytic, 2 blastic."""
    images = torch.from_numpy(to_unit(hu))[:, None]
    parts = [network(chunk).argmax(dim=1) for chunk in images.split(64)]
    return torch.cat(parts).numpy().astype(np.uint8)


@torch.inference_mode()
def resnet_probability(network: nn.Module, hu: NDArray[np.int16]) -> NDArray[np.float64]:
    """Malignancy probability of slices hu: (N, 64, 64)."""
    images = torch.from_numpy(to_unit(hu))[:, None]
    parts = [network(chunk).softmax(dim=1)[:, 1] for chunk in images.split(64)]
    return torch.cat(parts).numpy().astype(np.float64)
