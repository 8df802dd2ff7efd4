"""Fit what the model has seen: Gaussians of training latents and pictures, and their limits."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from hideseek_backend.attribution.classifier import LatentClassifier
from hideseek_backend.attribution.coverage import Coverage, expected_of, picture_features
from hideseek_backend.attribution.network import Network
from hideseek_backend.attribution.options import Options
from hideseek_backend.dae import DiffusionAutoencoder
from hideseek_backend.progress import Meter
from hideseek_lab.insertion.scans import THICKEST_MM
from hideseek_lab.training.dataset import SLICES, ShardSet
from hideseek_lab.training.real_cases import RealCase

FloatArray = NDArray[np.float64]

QUANTILE = 0.95
"""Of held-out training vertebrae, patient by patient, that shall lie within each limit. Training
scans are made harder than real ones (dose, kernel, thickness): of real ones fewer lie beyond."""
DIRECTIONS = 24
"""Principal directions of latents that are kept for each source."""
VERTEBRAE = {"phantom": 240, "real": 16}
"""Phantoms in all, and samples of each real case."""
_PRIOR_VARIANCE = 1e-3  # added to every picture feature's, all of them logarithms
_FOLDS = 5


@dataclass(frozen=True, eq=False)
class Seen:
    """N vertebrae of one source: latents (N, n, d), pictures (N, f)."""

    source: str
    latents: FloatArray
    pictures: FloatArray


def look_at(
    dae: DiffusionAutoencoder,
    classifier: LatentClassifier,
    shards: ShardSet,
    count: int,
    to_intensity: Callable[[NDArray[np.float32]], Tensor],
    source: str,
    seed: int,
) -> Seen:
    """Read up to `count` vertebrae of a shard set as screening reads them."""
    index = np.random.default_rng([seed, 13]).permutation(len(shards))[:count]
    hu = np.concatenate([shards.hu[i] for i in index]).astype(np.float32)
    images = to_intensity(hu)
    device = next(dae.parameters()).device
    network = Network(dae, device, Options(), Meter())
    z = network.encode(images[:, None])
    few = z.reshape(len(index), SLICES, -1)[:, expected_of(SLICES)]
    expected = network.expected(few.flatten(0, 1))[:, 0].numpy()
    shown = images.cpu().numpy(), expected, hu
    each = zip(*(np.split(array, len(index)) for array in shown), strict=True)
    pictures = np.stack([picture_features(*vertebra) for vertebra in each])
    return Seen(source, classifier.scaled(z).reshape(len(index), SLICES, -1), pictures)


def fit_coverage(phantoms: Seen, real: Sequence[Seen], quantile: float = QUANTILE) -> Coverage:
    """Fit both Gaussians on everything, and the limits on vertebrae held out patient by patient.

    real: one a patient. Without any, folds of the phantoms are held out instead.
    """
    latent, picture = [], []
    if real:
        for left in real:
            rest = [one for one in real if one is not left]
            held = _gaussians([phantoms, *([_joined(rest)] if rest else [])])
            latent.append(held.latent_distance(left.latents))
            picture.append(held.picture_distance(left.pictures))
    else:
        fold = np.arange(len(phantoms.latents)) % _FOLDS
        for number in range(_FOLDS):
            kept, left = _part(phantoms, fold != number), _part(phantoms, fold == number)
            held = _gaussians([kept])
            latent.append(held.latent_distance(left.latents))
            picture.append(held.picture_distance(left.pictures))
    whole = _gaussians([phantoms, *([_joined(real)] if real else [])])
    limits = [np.quantile(np.concatenate(found), quantile) for found in (latent, picture)]
    return replace(whole, limits=np.array([*limits, quantile, THICKEST_MM]))


def covered(
    dae: DiffusionAutoencoder,
    classifier: LatentClassifier,
    data: Path,
    seen: Sequence[RealCase],
    to_intensity: Callable[[NDArray[np.float32]], Tensor],
    seed: int = 0,
) -> LatentClassifier:
    """Return the classifier with what its training covered.

    data: the training's shards; seen: its real cases. Raises InputError without phantom shards.
    """
    phantoms = ShardSet(data, "phantom-0*.npz")
    drawn = look_at(dae, classifier, phantoms, VERTEBRAE["phantom"], to_intensity, "phantom", seed)
    by_patient: dict[str, list[Seen]] = {}
    for case in seen:
        pattern = f"real-{case.name}-*.npz"
        if any(data.glob(pattern)):
            shards = ShardSet(data, pattern)
            one = look_at(dae, classifier, shards, VERTEBRAE["real"], to_intensity, case.name, seed)
            by_patient.setdefault(case.patient, []).append(one)
    real = [_joined(own) for own in by_patient.values()]
    return replace(classifier, coverage=fit_coverage(drawn, real))


def _gaussians(groups: Sequence[Seen]) -> Coverage:
    """Gaussians of each group, their limits still open."""
    latent = [_principal(g.latents.reshape(-1, g.latents.shape[-1])) for g in groups]
    pictures = [g.pictures for g in groups]
    ridge = _PRIOR_VARIANCE * np.eye(pictures[0].shape[-1])
    precision = [np.linalg.inv(np.cov(p, rowvar=False) + ridge) for p in pictures]
    mean, direction, variance, rest = (np.stack(part) for part in zip(*latent, strict=True))
    return Coverage(
        mean,
        direction,
        variance,
        rest,
        np.stack([p.mean(axis=0) for p in pictures]),
        np.stack(precision),
        np.ones(4),
    )


def _principal(
    scaled: FloatArray,
) -> tuple[FloatArray, FloatArray, FloatArray, NDArray[np.float64]]:
    """Mean, principal directions, their variances and that of every other: of latents (N, d)."""
    values, vectors = np.linalg.eigh(np.cov(scaled, rowvar=False))
    kept = min(DIRECTIONS, len(values) - 1)
    rest = max(float(values[:-kept].mean()), 1e-6)
    variance = np.maximum(values[-kept:], rest)
    return scaled.mean(axis=0), vectors[:, -kept:].T, variance, np.array(rest)


def _joined(groups: Sequence[Seen]) -> Seen:
    return Seen(
        "real",
        np.concatenate([g.latents for g in groups]),
        np.concatenate([g.pictures for g in groups]),
    )


def _part(group: Seen, chosen: NDArray[np.bool_]) -> Seen:
    return Seen(group.source, group.latents[chosen], group.pictures[chosen])
