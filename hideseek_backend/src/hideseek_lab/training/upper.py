"""Train the upper part of an encoder anew on vertebra labels, over features of a frozen lower part.

The lowest blocks see edges and grain at full resolution and take most of the time. Their features
of augmented training slices are computed once; what is trained from them (the other blocks and the
label head) costs a fraction of the whole, so that five folds of patients are a matter of an hour on
one core. The denoiser takes no part: such a model gives p, and no edit that belongs to it.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Generator, Tensor, nn

from hideseek_backend.dae import DiffusionAutoencoder
from hideseek_lab.training.augment import Augmentation, augment
from hideseek_lab.training.dataset import SLICES
from hideseek_lab.training.loop import LABELS, label_loss


@dataclass(frozen=True)
class UpperPlan:
    """How the upper part of an encoder is trained.

    frozen: the encoder's first blocks that stay as they are. vertebrae: bags of eight slices a
    step. decay: AdamW's. drop: share of the latent dropped before the head.
    """

    frozen: int = 4
    steps: int = 500
    vertebrae: int = 8
    learning_rate: float = 5e-4
    warmup: int = 20
    decay_from: float = 0.4
    decay: float = 0.02
    drop: float = 0.1
    ema: float = 0.99
    bf16: bool = True
    seed: int = 0

    def to_dict(self) -> dict[str, object]:
        return asdict(self)


@dataclass(frozen=True, eq=False)
class Features:
    """values: (V, 8, C, s, s) of V vertebrae; labels: (V, 3) as `loop.LABELS`."""

    values: Tensor
    labels: Tensor

    def __len__(self) -> int:
        return len(self.values)


class Upper(nn.Module):
    """The encoder's blocks from `frozen` on, and a linear head on their latent."""

    def __init__(self, dae: DiffusionAutoencoder, frozen: int, drop: float) -> None:
        super().__init__()
        encoder = copy.deepcopy(dae.network.encoder)
        self.blocks = nn.Sequential(*encoder.input_blocks[frozen:], encoder.middle_block)
        self.out = encoder.out
        self.drop = nn.Dropout(drop)
        self.head = nn.Linear(dae.config.z_channels, len(LABELS))

    def forward(self, features: Tensor) -> Tensor:
        """features: (B, C, s, s); returns logits: (B, 3)."""
        return self.head(self.drop(self.out(self.blocks(features)).flatten(1)))


def lower_features(
    dae: DiffusionAutoencoder,
    hu: Sequence[NDArray[np.int16]],
    labels: Sequence[NDArray[np.float32]],
    to_intensity: Callable[[NDArray[np.float32]], Tensor],
    augmentation: Augmentation,
    plan: UpperPlan,
    seed: int,
) -> Features:
    """Augment slices of vertebrae, (8, 64, 64) HU each, and take them through the lower part."""
    blocks = nn.Sequential(*dae.network.encoder.input_blocks[: plan.frozen])
    generator = Generator().manual_seed(seed)
    made = []
    for own in hu:
        images = augment(to_intensity(own.astype(np.float32))[:, None], augmentation, generator)
        with torch.inference_mode(), torch.autocast("cpu", dtype=torch.bfloat16, enabled=plan.bf16):
            folded = dae._fold(dae.process.encoded(images))
            lower = blocks(folded.contiguous(memory_format=torch.channels_last))
        made.append(lower.bfloat16() if plan.bf16 else lower)
    return Features(torch.stack(made), torch.from_numpy(np.stack(labels)))


def train_upper(
    dae: DiffusionAutoencoder,
    head: tuple[NDArray[np.float64], NDArray[np.float64]] | None,
    sets: Sequence[tuple[Features, float]],
    plan: UpperPlan,
    report: Callable[[int, float], None] | None = None,
) -> tuple[DiffusionAutoencoder, NDArray[np.float64], NDArray[np.float64]]:
    """Train on features, each set with the share of the vertebrae that are drawn from it.

    head: weight (3, d) and bias (3,) on latents to begin with. Returns a copy of the autoencoder
    with the new encoder, and the head's weight and bias.
    """
    torch.manual_seed(plan.seed)
    upper = Upper(dae, plan.frozen, plan.drop).requires_grad_(True).train()
    upper.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    if head is not None:
        with torch.no_grad():
            upper.head.weight.copy_(torch.from_numpy(head[0]))
            upper.head.bias.copy_(torch.from_numpy(head[1]))
    average = copy.deepcopy(upper).eval().requires_grad_(False)
    optimiser = torch.optim.AdamW(
        upper.parameters(), lr=plan.learning_rate, betas=(0.9, 0.99), weight_decay=plan.decay
    )
    shares = np.array([share for _, share in sets])
    rng = np.random.default_rng(plan.seed)
    total = 0.0
    for step in range(plan.steps):
        for group in optimiser.param_groups:
            group["lr"] = _rate(plan, step)
        chosen = rng.choice(len(sets), size=plan.vertebrae, p=shares / shares.sum())
        parts, labels = [], []
        for which in chosen:
            features, _ = sets[which]
            index = int(rng.integers(len(features)))
            parts.append(features.values[index])
            labels.append(features.labels[index])
        values = torch.cat(parts).contiguous(memory_format=torch.channels_last)
        # torch's group norm crashes on the way back where a channels-last input needs no gradient.
        values.requires_grad_(True)
        with torch.autocast("cpu", dtype=torch.bfloat16, enabled=plan.bf16):
            logits = upper(values)
        loss = label_loss(logits.float(), torch.stack(labels), SLICES)
        optimiser.zero_grad(set_to_none=True)
        loss.backward()
        nn.utils.clip_grad_norm_(upper.parameters(), 1.0)
        optimiser.step()
        total += loss.item()
        with torch.no_grad():
            for mean, now in zip(average.parameters(), upper.parameters(), strict=True):
                mean.lerp_(now, 1 - min(plan.ema, (1 + step) / (10 + step)))
        if (step + 1) % 50 == 0:
            if report is not None:
                report(step + 1, total / 50)
            total = 0.0
    trained = copy.deepcopy(dae)
    encoder = trained.network.encoder
    with torch.no_grad():
        for mine, new in zip(
            [*encoder.input_blocks[plan.frozen :], encoder.middle_block, encoder.out],
            [*average.blocks, average.out],
            strict=True,
        ):
            mine.load_state_dict(new.state_dict())
    return (
        trained.eval().requires_grad_(False),
        average.head.weight.double().numpy(),
        average.head.bias.double().numpy(),
    )


def _rate(plan: UpperPlan, step: int) -> float:
    rate = plan.learning_rate * min(1.0, (step + 1) / plan.warmup)
    start = plan.decay_from * plan.steps
    return rate * (1 - 0.98 * max(0.0, step - start) / max(1.0, plan.steps - start))
