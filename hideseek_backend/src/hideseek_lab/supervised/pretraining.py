"""What a lesion network starts from: chance, self-supervision, or bone labels.

Self-supervision is that of Tang et al. 2022 (Swin UNETR): inpainting of masked regions, which
quarter turn was made, and contrast between two views of a patch; the encoder is taken over.
Supervised anatomical pretraining (SAP, Wuts et al.) segments bones; encoder and decoder are taken
over and the head is new. Both then learn lesions with a slower encoder.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Literal, get_args

import numpy as np
import torch
from torch import Tensor, nn

from hideseek_backend.errors import InputError, ModelError
from hideseek_backend.optional import import_optional
from hideseek_lab.supervised.networks import BASELINES_EXTRA, encode, parts_of
from hideseek_lab.supervised.patches import Patch, Roi, cut, window_starts
from hideseek_lab.supervised.scans import REGIONS, Scan
from hideseek_lab.supervised.training import (
    Batch,
    Batches,
    FitPlan,
    LossFunction,
    augmented,
    segmentation_loss,
)

Init = Literal["random", "ssl", "sap"]
INITS: tuple[Init, ...] = get_args(Init)
INIT_TITLES: dict[Init, str] = {
    "random": "from chance",
    "ssl": "self-supervised",
    "sap": "anatomical (SAP)",
}
#: rates of the encoder as a share of the decoder's: 5e-6 and 2e-6 against 1e-5 (SAP)
ENCODER_SHARE: dict[Init, float | None] = {"random": None, "ssl": 0.5, "sap": 0.2}
_MASKED = 0.3
_PROJECTION = 128
_LEAST_BONE = 0.01


def pretraining_task(
    init: Init,
    make: Callable[..., nn.Module],
    scans: Sequence[Scan],
    healthy: Sequence[Scan],
    roi: Roi,
    plan: FitPlan,
) -> tuple[nn.Module, LossFunction, Batches]:
    """What "ssl" or "sap" learns before lesions: the network, its loss and its batches.

    make: `make_segmenter` with all but `classes` chosen. scans: what self-supervision sees;
    healthy: whose bone labels anatomical pretraining learns, as in the paper.
    Seeds torch's random numbers with the plan's.
    """
    torch.manual_seed(plan.seed)
    if init == "ssl":
        channels = scans[0].image.shape[0]
        sides = roi[:2] if roi[2] == 1 else roi
        network = SelfSupervision(make(), torch.zeros(1, channels, *sides))
        return network, self_supervised_loss(), self_supervised_batches(list(scans), roi, plan)
    batches = anatomy_batches(list(healthy), roi, plan)
    return make(classes=len(REGIONS) + 1), segmentation_loss(), batches


class SelfSupervision(nn.Module):
    """A segmenter's encoder with the three heads: turn (4), contrast, and the image itself."""

    def __init__(self, segmenter: nn.Module, sample: Tensor) -> None:
        super().__init__()
        self.segmenter = segmenter
        with torch.no_grad():
            features = encode(segmenter.eval(), sample)
        width, spatial = features.shape[1], sample.ndim - 2
        steps = int(np.log2(sample.shape[2] / features.shape[2]))
        self.turn = nn.Linear(width, 4)
        self.contrast = nn.Linear(width, _PROJECTION)
        conv = nn.Conv2d if spatial == 2 else nn.Conv3d
        norm = nn.InstanceNorm2d if spatial == 2 else nn.InstanceNorm3d
        mode = "bilinear" if spatial == 2 else "trilinear"
        layers: list[nn.Module] = []
        for _ in range(steps):
            layers += [
                conv(width, max(width // 2, 8), 3, padding=1, bias=False),  # the norm takes it out
                norm(max(width // 2, 8)),
                nn.LeakyReLU(),
                nn.Upsample(scale_factor=2, mode=mode, align_corners=False),
            ]
            width = max(width // 2, 8)
        self.image = nn.Sequential(*layers, conv(width, sample.shape[1], 1))

    def forward(self, images: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Turn logits (B, 4), projections (B, P) and images (B, C, …) of images (B, C, …)."""
        features = encode(self.segmenter, images)
        pooled = features.flatten(2).mean(dim=2)
        return self.turn(pooled), self.contrast(pooled), self.image(features)


def self_supervised_loss() -> LossFunction:
    """Cross-entropy of the turn, contrast of the two views, mean absolute error of the image.

    A batch's image holds two views of each patch, one half after the other, as changed; its target
    (B, C + 1, …) is the turned but whole image, and the turn in the last channel.
    """
    losses = import_optional("monai.losses", "The supervised networks", BASELINES_EXTRA)
    contrastive = losses.ContrastiveLoss(temperature=0.5)

    def loss_of(network: nn.Module, batch: Batch) -> Tensor:
        turn, projection, image = network(batch.image)
        whole, turns = batch.target[:, :-1], batch.target[:, -1].flatten(1)[:, 0].long()
        first, second = projection.chunk(2)
        # MONAI's loss keeps a mask that needs two views of at least two patches
        contrast = contrastive(first, second) if len(first) > 1 else projection.sum() * 0
        return (
            nn.functional.cross_entropy(turn, turns)
            + contrast
            + nn.functional.l1_loss(image, whole)
        )

    return loss_of


def self_supervised_batches(scans: list[Scan], roi: Roi, plan: FitPlan) -> Batches:
    """Batches of two views of `plan.batch // 2` patches; no mask is looked at."""
    places = [Patch(n, s) for n, scan in enumerate(scans) for s in window_starts(scan.shape, roi)]
    flat = roi[2] == 1

    def batch_at(step: int) -> Batch:
        rng = np.random.default_rng([plan.seed, step, 3])
        chosen = [places[int(i)] for i in rng.integers(len(places), size=max(plan.batch // 2, 1))]
        images, targets = [], []
        for _view in range(2):
            for place in chosen:
                image, _ = cut(scans[place.scan], place, roi)
                turn = int(rng.integers(4))
                whole = np.rot90(image, turn, axes=(1, 2)).copy()
                label = np.full((1, *roi), turn, dtype=np.float32)
                target = np.concatenate([whole, label])
                changed = masked(whole, rng)
                images.append(changed[..., 0] if flat else changed)
                targets.append(target[..., 0] if flat else target)
        return Batch(torch.from_numpy(np.stack(images)), torch.from_numpy(np.stack(targets)))

    return batch_at


def masked(image: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Replace boxes of the image (C, I, J, K) by noise until 30 % are gone (Tang et al.)."""
    out = image.copy()
    sides = np.array(image.shape[1:])
    gone = np.zeros(sides, dtype=bool)
    while gone.mean() < _MASKED:
        size = np.maximum((sides * rng.uniform(0.1, 0.35, 3)).astype(int), 1)
        low = [int(rng.integers(full - n + 1)) for full, n in zip(sides, size, strict=True)]
        box = tuple(slice(a, a + int(n)) for a, n in zip(low, size, strict=True))
        for channel in out:
            channel[box] = rng.random(channel[box].shape)
        gone[box] = True
    return out


def anatomy_batches(scans: list[Scan], roi: Roi, plan: FitPlan) -> Batches:
    """Batches of patches with their bone labels; at least half of a batch show bone.

    Raises InputError where no scan has bone labels.
    """
    flat = roi[2] == 1
    places: dict[bool, list[Patch]] = {True: [], False: []}
    for n, scan in enumerate(scans):
        for start in window_starts(scan.shape, roi):
            patch = Patch(n, start)
            bone = float((cut(scan, patch, roi)[1][1] > 0).mean())
            places[bone >= _LEAST_BONE].append(patch)
    if not places[True]:
        raise InputError(
            f"Expected bone labels to pretrain on, got none in {len(scans)} scans.",
            "Give vertebra masks, or choose another start.",
        )

    def batch_at(step: int) -> Batch:
        rng = np.random.default_rng([plan.seed, step, 4])
        images, targets = [], []
        for n in range(plan.batch):
            pool = places[n % 2 == 0 or not places[False]]
            patch = pool[int(rng.integers(len(pool)))]
            image, masks = augmented(*cut(scans[patch.scan], patch, roi), rng)
            images.append(image[..., 0] if flat else image)
            targets.append((masks[1][..., 0] if flat else masks[1])[None])
        return Batch(torch.from_numpy(np.stack(images)), torch.from_numpy(np.stack(targets)).long())

    return batch_at


def take_over(network: nn.Module, pretrained: Path, init: Init) -> list[str]:
    """Load what a pretraining learned; returns the names that were taken over.

    pretrained: state file of `fit`. "ssl" takes the encoder, "sap" all but the head.
    Raises ModelError where the file is of another network.
    """
    if init == "random":
        return []
    state: dict[str, Tensor] = torch.load(pretrained, map_location="cpu", weights_only=True)[
        "network"
    ]
    parts = parts_of(network)
    prefix = "segmenter." if init == "ssl" else ""
    left_out = parts.head if init == "sap" else parts.head | parts.decoder
    wanted = [n for n in network.state_dict() if n not in left_out]
    if init == "ssl":  # buffers of the decoder stay with it
        wanted = [n for n in wanted if n in parts.encoder]
    own = network.state_dict()
    fitting = [n for n in wanted if prefix + n in state and state[prefix + n].shape == own[n].shape]
    if set(fitting) != set(wanted):
        missing = sorted(set(wanted) - set(fitting))
        raise ModelError(
            f"{pretrained} is of another network: {len(missing)} of {len(wanted)} arrays do not "
            f"fit, {missing[0]} first.",
            "Pretrain the same network with the same size and channels.",
        )
    network.load_state_dict({**own, **{n: state[prefix + n] for n in wanted}})
    return wanted


def fine_tuning(plan: FitPlan, init: Init) -> FitPlan:
    """The plan with the encoder's slower rate after a pretraining."""
    share = ENCODER_SHARE[init]
    return replace(plan, encoder_rate=None if share is None else share * plan.rate)
