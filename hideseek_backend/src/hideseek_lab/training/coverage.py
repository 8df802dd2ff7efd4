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
from hideseek_lab.training.dataset import ShardSet
from hideseek_lab.training.real_cases import RealCase

FloatArray = NDArray[np.float64]

QUANTILE = 0.95
"""Of held-out training vertebrae, patient by patient, that shall lie within each limit. Training
scans are made harder than real ones (dose, kernel, thickness): of real ones fewer lie beyond."""
DIRECTIONS = 24
"""Principal directions of latents that are kept for each source."""
VERTEBRAE = {"phantom": 500, "real": 48}
"""Phantoms of each kind of shard, and samples of each real case."""
_AS_SCREENED = [0, 1, 2, 3, 3, 4, 5, 6, 7]
"""A shard's slices, from side to side, as the nine over most of the body that p is read from."""
_PRIOR_VARIANCE = 1e-3  # added to every picture feature's, all of them logarithms
_FOLDS = 5


@dataclass(frozen=True, eq=False)
class Seen:
    """N vertebrae of one source: latents (N, n, d), pictures (N, f), malignant (N,) or not."""

    latents: FloatArray
    pictures: FloatArray
    malignant: NDArray[np.bool_]


def look_at(
    dae: DiffusionAutoencoder,
    classifier: LatentClassifier,
    shards: ShardSet,
    count: int,
    to_intensity: Callable[[NDArray[np.float32]], Tensor],
    seed: int,
) -> Seen:
    """Read up to `count` vertebrae of a shard set as screening reads them."""
    index = np.random.default_rng([seed, 13]).permutation(len(shards))[:count]
    hu = np.concatenate([shards.hu[i][_AS_SCREENED] for i in index]).astype(np.float32)
    images = to_intensity(hu)[:, None]
    device = next(dae.parameters()).device
    network = Network(dae, device, Options(), Meter())
    z = network.encode(images).unflatten(0, (len(index), len(_AS_SCREENED)))
    expected = network.expected(z[:, expected_of(len(_AS_SCREENED))].flatten(0, 1))[:, 0].numpy()
    shown = images[:, 0].cpu().numpy(), expected, hu
    each = zip(*(np.split(array, len(index)) for array in shown), strict=True)
    return Seen(
        classifier.scaled(z.flatten(0, 1)).reshape(z.shape),
        np.stack([picture_features(*vertebra) for vertebra in each]),
        np.array([bool(shards.labels[i][0]) for i in index]),
    )


def fit_coverage(phantoms: Seen, real: Sequence[Seen], quantile: float = QUANTILE) -> Coverage:
    """Fit the Gaussians of each source on all of it, and its limits on what was held out of it:
    folds of phantoms, and real vertebrae patient by patient.

    real: one a patient; of a single one, folds are held out.
    """
    parts = [_folds(phantoms)]
    if real:
        parts.append(list(real) if len(real) > 1 else _folds(real[0]))
    whole = _gaussians([_joined(own) for own in parts])
    limits = np.stack([_limits(own, quantile) for own in parts])
    return replace(whole, limits=limits, training=np.array([quantile, THICKEST_MM]))


def _limits(parts: Sequence[Seen], quantile: float) -> FloatArray:
    """The distances (2,), of latents and of pictures, that `quantile` of a source's vertebrae keep
    both of when their part is held out: the same share of them exceeds the one and the other."""
    distances = []
    for left in parts:
        held = _gaussians([_joined([part for part in parts if part is not left])])
        latent, picture = held.latent_distance(left.latents), held.picture_distance(left.pictures)
        distances.append(np.concatenate([latent, picture], axis=1))
    found = np.concatenate(distances)
    # Each distance by its rank among its own: a vertebra is as far as the worse of the two says.
    worse = found.argsort(axis=0).argsort(axis=0).max(axis=1)
    rank = np.sort(worse)[int(np.ceil(quantile * len(worse))) - 1]
    return np.asarray(np.sort(found, axis=0)[rank])


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
    # Screening reads from side to side: phantoms drawn in their whole width count as the others do.
    kinds = ["phantom-0*.npz", *["wide-*.npz"] * any(data.glob("wide-*.npz"))]
    drawn = _joined(
        [
            look_at(dae, classifier, ShardSet(data, kind), VERTEBRAE["phantom"], to_intensity, seed)
            for kind in kinds
        ]
    )
    by_patient: dict[str, list[Seen]] = {}
    for case in seen:
        pattern = f"real-{case.name}-*.npz"
        if any(data.glob(pattern)):
            shards = ShardSet(data, pattern)
            one = look_at(dae, classifier, shards, VERTEBRAE["real"], to_intensity, seed)
            by_patient.setdefault(case.patient, []).append(one)
    real = [_joined(own) for own in by_patient.values()]
    return replace(classifier, coverage=fit_coverage(drawn, real))


def _gaussians(groups: Sequence[Seen]) -> Coverage:
    """Gaussians of each group, their limits still open."""
    # Where a source shows one class only, all of it is one.
    both = all(2 < np.count_nonzero(g.malignant) < len(g.malignant) - 2 for g in groups)
    latent = []
    for g in groups:
        classes = (~g.malignant, g.malignant) if both else (np.ones_like(g.malignant),)
        own = [_principal(np.concatenate(g.latents[c])) for c in classes]
        latent.append([np.stack(part) for part in zip(*own, strict=True)])
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
        np.ones((len(groups), 2)),
        np.ones(2),
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
        np.concatenate([g.latents for g in groups]),
        np.concatenate([g.pictures for g in groups]),
        np.concatenate([g.malignant for g in groups]),
    )


def _folds(group: Seen) -> list[Seen]:
    fold = np.arange(len(group.latents)) % _FOLDS
    return [
        Seen(group.latents[fold == n], group.pictures[fold == n], group.malignant[fold == n])
        for n in range(_FOLDS)
    ]
