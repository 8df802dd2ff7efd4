"""The training loop of the autoencoder: resumable, reproducible, readable in a sitting."""

from __future__ import annotations

import copy
import json
import math
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, field
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from torch import Generator, Tensor, nn

from hideseek_backend.dae import DaeConfig, DiffusionAutoencoder
from hideseek_backend.diffusion import edm
from hideseek_backend.files import whole_file
from hideseek_lab.training.augment import Augmentation, augment
from hideseek_lab.training.distributed import ALONE, Replicas

LABELS = ("malignant", "lytic", "blastic")
"""Vertebra-level labels of the auxiliary loss, in the order of a batch's label columns."""


@dataclass(frozen=True)
class TrainConfig:
    """Everything that decides a training besides its data.

    label_weight: weight of the auxiliary binary cross-entropy on vertebra-level labels
        (0: the paper's unsupervised autoencoder).
    encoder_steps: how many of the steps come first and train the encoder alone, on labels.
    label_images: images a step that only the encoder and the label loss see, on top of `batch`;
        the encoder costs a tenth of the denoiser.
    bag: slices of one vertebra that the label loss pools: a malignant vertebra must look malignant
        on some of them, a healthy one on none. 1: every slice has its vertebra's label.
    log_sigma_mean, log_sigma_std: the log-normal distribution of noise levels. Most effort goes
        where the noise is high enough that only z can tell what was there.
    decay_from: share of the steps after which the learning rate falls linearly to 2 %.
    """

    architecture: DaeConfig
    steps: int = 10_000
    batch: int = 32
    learning_rate: float = 1e-3
    warmup: int = 200
    decay_from: float = 0.6
    ema: float = 0.999
    label_weight: float = 0.1
    encoder_steps: int = 0
    label_images: int = 0
    bag: int = 1
    log_sigma_mean: float = 0.3
    log_sigma_std: float = 1.3
    gradient_clip: float = 1.0
    bf16: bool = True
    seed: int = 0
    augmentation: Augmentation = field(default_factory=Augmentation)

    @property
    def drawn(self) -> int:
        """Images drawn for a step."""
        return self.batch + self.label_images

    def to_dict(self) -> dict[str, object]:
        return {**asdict(self), "architecture": self.architecture.to_dict()}


@dataclass(frozen=True)
class Batch:
    """images: (B, 1, S, S) model intensity, the `bag` slices of a vertebra next to each other;
    labels: (B / bag, 3) in {0, 1} as LABELS, NaN where nobody has said."""

    images: Tensor
    labels: Tensor


class Trainee(nn.Module):
    """The autoencoder with the linear label head that only training uses."""

    def __init__(self, config: DaeConfig) -> None:
        super().__init__()
        self.dae = DiffusionAutoencoder(config)
        self.head = nn.Linear(config.z_channels, len(LABELS))

    def forward(self, images: Tensor, sigma: Tensor, noise: Tensor) -> tuple[Tensor, Tensor]:
        """Return the denoising loss and the logits of all images.

        As many images as there are noise levels are denoised, spread evenly over the batch.
        """
        z = self.dae.semantic(images)
        loss = z.new_zeros(())
        if len(sigma):
            seen = torch.arange(len(sigma), device=z.device) * len(images) // len(sigma)
            loss = denoising_loss(self.dae, images[seen], z[seen], sigma, noise)
        return loss, self.head(z)


def denoising_loss(
    dae: DiffusionAutoencoder, images: Tensor, z: Tensor, sigma: Tensor, noise: Tensor
) -> Tensor:
    """Weighted denoising error of images: (B, 1, S, S) under z at sigma: (B,).

    noise: (B, 1, S, S), of unit variance.

    Karras et al. 2022, eq. 8 with λ(σ) = (σ² + 1) / σ², for data of unit variance.
    """
    clean = dae.standardise(images)
    noisy = clean + noise * sigma[:, None, None, None]
    time_modulations = dae.network.time_modulations(edm.noise_embedding(sigma))
    denoised = dae.denoise(noisy, sigma, time_modulations, dae.network.z_modulations(z))
    weight = (sigma.square() + 1) / sigma.square()
    return (weight[:, None, None, None] * (denoised - clean).square()).mean()


def pooled(logits: Tensor, bag: int) -> Tensor:
    """Pool logits of slices: (V · bag, n) to those of V vertebrae: (V, n), log-mean-exp.

    Smooth between the mean and the maximum: the multiple-instance reading of a vertebra's label.
    """
    return logits.unflatten(0, (-1, bag)).logsumexp(dim=1) - math.log(bag)


def label_loss(logits: Tensor, labels: Tensor, bag: int) -> Tensor:
    """Binary cross-entropy of pooled logits: (V · bag, n) and labels: (V, n), NaN for no loss."""
    known = labels.isfinite()
    loss = F.binary_cross_entropy_with_logits(
        pooled(logits, bag), labels.nan_to_num(), reduction="none"
    )
    return (loss * known).mean()


def learning_rate(config: TrainConfig, step: int) -> float:
    """Linear warm-up (once more where the denoiser joins), constant, linear decay to 2 %."""
    since = step - config.encoder_steps if step >= config.encoder_steps else step
    rate = config.learning_rate * min(1.0, (since + 1) / config.warmup)
    start = config.decay_from * config.steps
    if step > start:
        rate *= 1 - 0.98 * (step - start) / max(1.0, config.steps - start)
    return rate


def train(
    config: TrainConfig,
    batches: Callable[[int], Iterator[Batch]],
    folder: Path,
    *,
    device: torch.device | None = None,
    start_from: Path | None = None,
    save_every: int = 500,
    report: Callable[[int, dict[str, float]], None] | None = None,
    replicas: Replicas = ALONE,
) -> DiffusionAutoencoder:
    """Train to `config.steps`, resuming from `folder` where it holds a state.

    batches(step): an endless iterator of batches that continues at that step. start_from: a folder
    of another training of the same architecture, whose weights a new one begins with.
    replicas: this process's place where several train one model; each is given whole batches.
    Returns the autoencoder with the averaged (EMA) weights.
    """
    device = device or torch.device("cpu")
    torch.manual_seed(config.seed)
    trainee = Trainee(config.architecture).to(device)
    # The stubs of Module.to do not know memory_format, which torch itself documents.
    trainee.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    average = copy.deepcopy(trainee).eval().requires_grad_(False)
    optimiser = torch.optim.Adam(trainee.parameters(), lr=config.learning_rate, betas=(0.9, 0.99))
    step = 0
    if (folder / "state.pt").exists():
        step = _load(folder / "state.pt", trainee, average, optimiser, device)
    elif start_from is not None and (start_from / "state.pt").exists():
        _load(start_from / "state.pt", trainee, average, optimiser, device)
    elif start_from is not None:
        _load_model(start_from, trainee, average)
    whole = replicas.wrap(trainee, unused=config.encoder_steps > 0)
    generator = Generator().manual_seed(config.seed * 1_000_003 + step)
    torch.manual_seed(config.seed * 1_000_003 + step)
    sums: dict[str, float] = {}
    since, started = step, time.monotonic()
    for batch in batches(step):
        if step >= config.steps:
            break
        images = augment(batch.images, config.augmentation, generator)
        denoised = config.batch if step >= config.encoder_steps else 0
        sigma = torch.randn(denoised, generator=generator)
        sigma = sigma.mul(config.log_sigma_std).add(config.log_sigma_mean).exp()
        noise = torch.randn((denoised, *images.shape[1:]), generator=generator)
        images, labels, sigma, noise = (
            replicas.part(values).to(device) for values in (images, batch.labels, sigma, noise)
        )
        for group in optimiser.param_groups:
            group["lr"] = learning_rate(config, step)
        with torch.autocast(device.type, dtype=torch.bfloat16, enabled=config.bf16):
            denoising, logits = whole(images, sigma, noise)
            labelled = label_loss(logits.float(), labels, config.bag)
        loss = denoising + (config.label_weight if denoised else 1.0) * labelled
        optimiser.zero_grad(set_to_none=True)
        loss.backward()
        nn.utils.clip_grad_norm_(trainee.parameters(), config.gradient_clip)
        optimiser.step()
        step += 1
        _average(average, trainee, min(config.ema, (1 + step) / (10 + step)))
        for key, value in (("denoising", denoising), ("label", labelled)):
            sums[key] = sums.get(key, 0.0) + value.item()
        if step % 100 == 0:
            seconds = (time.monotonic() - started) / (step - since)
            mean = {k: replicas.mean(v / (step - since)) for k, v in sums.items()}
            if report is not None:
                report(step, {**mean, "seconds_per_step": seconds})
            sums, since, started = {}, step, time.monotonic()
        if replicas.first and (step % save_every == 0 or step == config.steps):
            _save(folder, config, step, trainee, average, optimiser)
    replicas.wait()
    return average.dae


def averaged(folder: Path) -> tuple[DiffusionAutoencoder, int]:
    """Load the averaged autoencoder and its step from a training folder."""
    config = DaeConfig.from_dict(
        json.loads((folder / "config.json").read_text(encoding="utf-8"))["architecture"]
    )
    trainee = Trainee(config)
    state = torch.load(folder / "state.pt", map_location="cpu", weights_only=True)
    trainee.load_state_dict(state["average"])
    return trainee.dae.eval(), int(state["step"])


def label_head(folder: Path) -> tuple[np.ndarray, np.ndarray]:
    """Load the averaged label head of a training: weight (3, d) and bias (3,), rows as LABELS."""
    state = torch.load(folder / "state.pt", map_location="cpu", weights_only=True)["average"]
    return state["head.weight"].double().numpy(), state["head.bias"].double().numpy()


def _average(average: nn.Module, trainee: nn.Module, decay: float) -> None:
    with torch.no_grad():
        for mean, now in zip(average.parameters(), trainee.parameters(), strict=True):
            mean.lerp_(now, 1 - decay)


def _load(
    path: Path,
    trainee: nn.Module,
    average: nn.Module,
    optimiser: torch.optim.Optimizer,
    device: torch.device,
) -> int:
    """Load a state and return its step."""
    state = torch.load(path, map_location=device, weights_only=True)
    trainee.load_state_dict(state["trainee"])
    average.load_state_dict(state["average"])
    optimiser.load_state_dict(state["optimiser"])
    return int(state["step"])


def _load_model(folder: Path, trainee: Trainee, average: Trainee) -> None:
    """Take the weights of a model's folder, and its classifier as the label head."""
    from hideseek_backend.models.store import load_model

    model = load_model(folder, "cpu")
    own = model.classifier
    weight, bias = [own.weight], [own.bias]
    if own.head is not None:
        weight, bias = [own.weight, *own.head.weight], [own.bias, *own.head.bias]
    raw = np.stack(weight) / own.scale
    count = len(weight)
    with torch.no_grad():
        trainee.dae.load_state_dict(model.dae.state_dict())
        trainee.head.weight[:count] = torch.from_numpy(raw).float()
        trainee.head.bias[:count] = torch.from_numpy(np.array(bias) - raw @ own.mean).float()
    average.load_state_dict(trainee.state_dict())


def _save(
    folder: Path,
    config: TrainConfig,
    step: int,
    trainee: nn.Module,
    average: nn.Module,
    optimiser: torch.optim.Optimizer,
) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "config.json").write_text(json.dumps(config.to_dict(), indent=2))
    state = {
        "step": step,
        "trainee": trainee.state_dict(),
        "average": average.state_dict(),
        "optimiser": optimiser.state_dict(),
    }
    with whole_file(folder / "state.pt") as part:
        torch.save(state, part)
