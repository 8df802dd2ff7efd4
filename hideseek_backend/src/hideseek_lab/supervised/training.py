"""Training a network in steps: resumable, within a budget, in one process or several."""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from hideseek_backend.errors import Cancelled
from hideseek_backend.files import whole_file
from hideseek_backend.optional import import_optional
from hideseek_backend.progress import Progress, ProgressCallback
from hideseek_lab.supervised.networks import BASELINES_EXTRA, parts_of
from hideseek_lab.supervised.patches import BalancedPatches, cut
from hideseek_lab.training.distributed import ALONE, Replicas

_CPU = torch.device("cpu")


@dataclass(frozen=True)
class FitPlan:
    """steps of `batch` patches. rate: learning rate; encoder_rate: of the encoder, where it brings
    learned weights along. warmup: share of the steps until full rate, then a cosine to 0."""

    steps: int = 400
    batch: int = 16
    rate: float = 1e-3
    encoder_rate: float | None = None
    weight_decay: float = 1e-5
    warmup: float = 0.025
    seed: int = 0
    save_every: int = 50


class Deadline:
    """When the work must stop; without minutes it never does."""

    def __init__(self, minutes: float | None = None) -> None:
        self.end = math.inf if minutes is None else time.monotonic() + 60 * minutes

    @property
    def over(self) -> bool:
        return time.monotonic() >= self.end


@dataclass(frozen=True)
class Batch:
    """image (B, C, …) in [0, 1]; target (B, 1, …) or (B,) whole numbers."""

    image: Tensor
    target: Tensor


LossFunction = Callable[[nn.Module, Batch], Tensor]
Batches = Callable[[int], Batch]
Optimisation = tuple[torch.optim.Optimizer, torch.optim.lr_scheduler.LRScheduler]


def adam(network: nn.Module, plan: FitPlan) -> Optimisation:
    """Adam, warmed up, then along a cosine to 0 (SAP's); the encoder at its own rate."""
    optimiser = torch.optim.Adam(
        _groups(network, plan), lr=plan.rate, weight_decay=plan.weight_decay
    )
    return optimiser, torch.optim.lr_scheduler.LambdaLR(optimiser, _curve(plan))


def fit(
    network: nn.Module,
    loss_of: LossFunction,
    batches: Batches,
    plan: FitPlan,
    state: Path,
    *,
    optimisation: Callable[[nn.Module, FitPlan], Optimisation] = adam,
    device: torch.device = _CPU,
    replicas: Replicas = ALONE,
    deadline: Deadline | None = None,
    name: str = "training",
    progress: ProgressCallback | None = None,
) -> nn.Module:
    """Train until `plan.steps`, or go on where an earlier call stopped; back in evaluation mode.

    batches: the batch of a step, the same whenever it is asked for. state: file of the run.
    Raises Cancelled when the deadline is over; what was done until then is kept.
    """
    network.to(device).train()
    optimiser, schedule = optimisation(network, plan)
    done = 0
    if state.is_file():
        kept = torch.load(state, map_location=device, weights_only=True)
        network.load_state_dict(kept["network"])
        optimiser.load_state_dict(kept["optimiser"])
        schedule.load_state_dict(kept["schedule"])
        done = int(kept["step"])
    if done >= plan.steps:
        return network.eval()
    trainee = replicas.wrap(network, unused=True)

    def keep(step: int) -> None:
        if replicas.first:
            with whole_file(state) as part:
                torch.save(
                    {
                        "network": network.state_dict(),
                        "optimiser": optimiser.state_dict(),
                        "schedule": schedule.state_dict(),
                        "step": step,
                    },
                    part,
                )

    for step in range(done, plan.steps):
        torch.manual_seed(plan.seed * 1_000_003 + step)  # dropout, the same after a stop
        whole = batches(step)
        part = Batch(replicas.part(whole.image).to(device), replicas.part(whole.target).to(device))
        loss = loss_of(trainee, part)
        optimiser.zero_grad(set_to_none=True)
        loss.backward()
        optimiser.step()
        schedule.step()
        if progress is not None and replicas.first:
            progress(Progress(name, None, step + 1, plan.steps))
        last = step + 1 == plan.steps
        stop = deadline is not None and deadline.over and not last
        if last or stop or (step + 1) % plan.save_every == 0:
            keep(step + 1)
        if stop:
            raise Cancelled(
                f"The time is over: {name} has {step + 1} of {plan.steps} steps.",
                "Run the same command again to go on.",
            )
    return network.eval()


def segmentation_loss() -> LossFunction:
    """Dice with cross-entropy (SAP's): softmax, background left out of Dice, smoothed by 1e-5.

    Dice is taken over the batch: a slice often lacks one of the classes, whose own Dice is then
    all or nothing.
    """
    losses = import_optional("monai.losses", "The supervised networks", BASELINES_EXTRA)
    dice_ce = losses.DiceCELoss(
        include_background=False, softmax=True, to_onehot_y=True, batch=True, smooth_nr=1e-5,
        smooth_dr=1e-5,
    )  # fmt: skip

    def loss_of(network: nn.Module, batch: Batch) -> Tensor:
        loss: Tensor = dice_ce(network(batch.image), batch.target)
        return loss

    return loss_of


def classification_loss(network: nn.Module, batch: Batch) -> Tensor:
    """Cross-entropy of two logits."""
    return nn.functional.cross_entropy(network(batch.image), batch.target)


def patch_batches(patches: BalancedPatches, plan: FitPlan, *, bones: bool = False) -> Batches:
    """Batches that go through one balanced epoch after another, augmented.

    bones: the target is the bone labels instead of the lesions. A roi of depth 1 gives slices.
    """
    flat = patches.roi[2] == 1

    @lru_cache(maxsize=4)
    def epoch(number: int) -> list[Any]:
        return patches.epoch(np.random.default_rng([plan.seed, number, 1]))

    length = len(epoch(0))

    def batch_at(step: int) -> Batch:
        rng = np.random.default_rng([plan.seed, step, 2])
        images, targets = [], []
        for position in range(step * plan.batch, (step + 1) * plan.batch):
            drawn = epoch(position // length)[position % length]
            image, masks = cut(patches.scans[drawn.scan], drawn, patches.roi)
            image, masks = augmented(image, masks, rng)
            images.append(image[..., 0] if flat else image)
            mask = masks[1 if bones else 0]
            targets.append((mask[..., 0] if flat else mask)[None])
        return Batch(torch.from_numpy(np.stack(images)), torch.from_numpy(np.stack(targets)).long())

    return batch_at


def augmented(image: Any, masks: Any, rng: np.random.Generator) -> tuple[Any, Any]:
    """SAP's augmentation: flips (.5 an axis), quarter turns (.2), intensity ± .1 (at .1).

    image: (C, I, J, K) in [0, 1]; masks: (M, I, J, K). An axis of length 1 is left alone, and turns
    are made in the plane of the first two axes, where these are alike.
    """
    for axis in (1, 2, 3):
        if image.shape[axis] > 1 and rng.random() < 0.5:
            image, masks = np.flip(image, axis), np.flip(masks, axis)
    if image.shape[1] == image.shape[2] and rng.random() < 0.2:
        turns = int(rng.integers(1, 4))
        image, masks = (np.rot90(a, turns, axes=(1, 2)) for a in (image, masks))
    if rng.random() < 0.1:
        image = image * np.float32(1 + rng.uniform(-0.1, 0.1))
    if rng.random() < 0.1:
        image = image + np.float32(rng.uniform(-0.1, 0.1))
    return np.ascontiguousarray(image, dtype=np.float32), np.ascontiguousarray(masks)


def _groups(network: nn.Module, plan: FitPlan) -> list[dict[str, Any]]:
    """Parameters with their rates: the encoder's own where the plan has one."""
    if plan.encoder_rate is None:
        return [{"params": list(network.parameters()), "lr": plan.rate}]
    encoder = parts_of(network).encoder
    named = list(network.named_parameters())
    return [
        {"params": [p for n, p in named if n in encoder], "lr": plan.encoder_rate},
        {"params": [p for n, p in named if n not in encoder], "lr": plan.rate},
    ]


def _curve(plan: FitPlan) -> Callable[[int], float]:
    warm = max(1, round(plan.warmup * plan.steps))

    def factor(step: int) -> float:
        if step < warm:
            return (step + 1) / warm
        return 0.5 * (1 + math.cos(math.pi * (step - warm) / max(plan.steps - warm, 1)))

    return factor
