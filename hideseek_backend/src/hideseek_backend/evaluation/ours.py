"""HideSeek itself on the benchmark's slices: many vertebrae at a time, everything kept.

The steps are those of `case.analyse_vertebra` with `slices="central"`: screen on the mean latent
of `p_slices` central slices, healthy edit of the central one, candidates, scores, polarity. Here
every vertebra is forced through, so that a figure can be given with and without the threshold.
"""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Iterator
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from hideseek_backend.attribution.candidates import Candidates, Polarity, find_candidates
from hideseek_backend.attribution.edit import HealthyEdit, healthy_edit
from hideseek_backend.attribution.network import Network
from hideseek_backend.attribution.options import Options
from hideseek_backend.attribution.scoring import Score, score_candidates
from hideseek_backend.evaluation.dataset import MIDDLE, SliceSet
from hideseek_backend.evaluation.instances import BLASTIC, LYTIC, POLARITIES
from hideseek_backend.evaluation.memo import Memory, RememberingNetwork
from hideseek_backend.models.store import Model
from hideseek_backend.progress import Meter, Progress, ProgressCallback

CHUNK = 16


@dataclass(frozen=True, eq=False)
class CandidateTable:
    """All candidates of N vertebrae, kept or not; C rows.

    vertebra: (C,) index of the vertebra. number: (C,) its label in `Findings.labels`. polarity:
    (C,) 1 lytic, 2 blastic. delta, p_hide: (C,). area: (C,) px. residual: (C,) summed absolute
    residual, model intensity.
    """

    vertebra: NDArray[np.int64]
    number: NDArray[np.int64]
    polarity: NDArray[np.int64]
    delta: NDArray[np.float64]
    p_hide: NDArray[np.float64]
    area: NDArray[np.int64]
    residual: NDArray[np.float64]

    def __len__(self) -> int:
        return len(self.vertebra)


@dataclass(frozen=True, eq=False)
class Findings:
    """What the method found on N central slices.

    p: (N,) malignancy. p_healthy: (N,) of the healthy image, encoded again. labels: (N, 64, 64)
    uint16 candidate numbers, each vertebra from 1. image, reconstruction, healthy: (N, 64, 64)
    float32, model intensity. seconds: (N,) a vertebra, its chunk's time shared out.
    """

    p: NDArray[np.float64]
    p_healthy: NDArray[np.float64]
    labels: NDArray[np.uint16]
    image: NDArray[np.float32]
    reconstruction: NDArray[np.float32]
    healthy: NDArray[np.float32]
    seconds: NDArray[np.float64]
    candidates: CandidateTable


def malignancy(
    model: Model, vertebrae: SliceSet, options: Options, memory: Memory | None = None
) -> NDArray[np.float64]:
    """Probability of each vertebra from the mean latent of its `p_slices` central slices: (N,)."""
    half = min(options.p_slices, 2 * MIDDLE + 1) // 2
    wanted = range(MIDDLE - half, MIDDLE + half + 1)
    network = _network(model, options, memory)
    latents = [network.encode(_images(model, vertebrae, k)) for k in wanted]
    return model.classifier.probability(torch.stack(latents).mean(dim=0))


def analyse_set(
    model: Model,
    vertebrae: SliceSet,
    options: Options,
    *,
    cache: Path | None = None,
    memory: Memory | None = None,
    progress: ProgressCallback | None = None,
    name: str = "analysing",
) -> Findings:
    """Analyse the central slices of a set, each vertebra forced.

    cache: a folder in which finished chunks are kept, so that a stopped run goes on. memory: for
    sweeps. Results do not depend on the chunk a vertebra is in beyond rounding.
    """
    parts = []
    for start in range(0, len(vertebrae), CHUNK):
        chunk = vertebrae.take(np.arange(start, min(start + CHUNK, len(vertebrae))))
        path = None if cache is None else cache / f"{_chunk_key(model, chunk, options)}.npz"
        if path is not None and path.is_file():
            parts.append(_read(path))
        else:
            parts.append(_analyse_chunk(model, chunk, options, memory))
            if path is not None:
                _write(path, parts[-1])
        if progress is not None:
            progress(Progress(name, None, start + len(chunk), len(vertebrae)))
    return _join(parts)


def kept_labels(
    findings: Findings,
    options: Options,
    *,
    phenotype: NDArray[np.str_] | None = None,
    gate: bool = True,
) -> NDArray[np.uint8]:
    """Label maps (N, 64, 64), 1 lytic and 2 blastic, of the candidates that are kept.

    phenotype: (N,) a label known beforehand decides which polarity stays, as the paper assumes;
    without it `options.polarity` does. gate: vertebrae below `p_threshold` come out empty.
    """
    table = findings.candidates
    keep = table.delta >= options.tau
    if gate:
        keep &= findings.p[table.vertebra] >= options.p_threshold
    if phenotype is None:
        keep &= _polarity_kept(table, keep, options)
    else:
        known = phenotype[table.vertebra]
        keep &= (known == "mixed") | (
            known == np.where(table.polarity == LYTIC, "lytic", "blastic")
        )
    labels = np.zeros(findings.labels.shape, dtype=np.uint8)
    for row in np.flatnonzero(keep):
        vertebra = table.vertebra[row]
        mask = findings.labels[vertebra] == table.number[row]
        labels[vertebra][mask] = table.polarity[row]
    return labels


def predicted_phenotype(labels: NDArray[np.uint8]) -> NDArray[np.str_]:
    """Phenotype of each label map (N, 64, 64): what has any kept pixel."""
    flat = labels.reshape(len(labels), -1)
    code = (flat == LYTIC).any(axis=1) + 2 * (flat == BLASTIC).any(axis=1)
    return np.array(["healthy", "lytic", "blastic", "mixed"])[code]


def _polarity_kept(
    table: CandidateTable, keep: NDArray[np.bool_], options: Options
) -> NDArray[np.bool_]:
    """Which candidates are of a polarity that `options.polarity` leaves in their vertebra."""
    if options.polarity == "both":
        return np.ones(len(table), dtype=bool)
    if options.polarity != "auto":
        return np.asarray(table.polarity == POLARITIES[options.polarity])
    size = int(table.vertebra.max(initial=-1)) + 1
    sums = np.zeros((size, 3))
    np.add.at(sums, (table.vertebra[keep], table.polarity[keep]), table.residual[keep])
    total = sums.sum(axis=1, keepdims=True)
    share = np.divide(sums, total, out=np.zeros_like(sums), where=total > 0)
    return np.asarray(share[table.vertebra, table.polarity] >= options.mixed_fraction)


def _analyse_chunk(
    model: Model, chunk: SliceSet, options: Options, memory: Memory | None
) -> Findings:
    started = time.perf_counter()
    network = _network(model, options, memory)
    p = malignancy(model, chunk, options, memory)
    edit = healthy_edit(network, model.classifier, _images(model, chunk, MIDDLE), options)
    candidates = _candidates(model, chunk, edit, options)
    scores = score_candidates(network, model.classifier, edit, candidates, options)
    return _collect(edit, p, candidates, scores, options, time.perf_counter() - started)


def _candidates(model: Model, chunk: SliceSet, edit: HealthyEdit, options: Options) -> Candidates:
    """Candidates of each slice on its own, numbered through the chunk: (64, 64, N)."""
    difference = edit.difference(options)
    labels = np.zeros(difference.shape, dtype=np.uint16)
    suspected = np.zeros(difference.shape, dtype=bool)
    polarities: list[Polarity] = []
    body = chunk.body[:, MIDDLE] & chunk.valid[:, MIDDLE]
    least = least_residual(model, options)
    for k in range(len(chunk)):
        found = find_candidates(
            difference[:, :, k : k + 1], body[k][:, :, None], options, min_residual=least
        )
        here = found.labels[:, :, 0]
        labels[:, :, k] = np.where(here > 0, here + len(polarities), 0)
        suspected[:, :, k] = found.suspected[:, :, 0]
        polarities += found.polarities
    return Candidates(labels, tuple(polarities), suspected)


def least_residual(model: Model, options: Options) -> float:
    """`min_contrast` in the model's intensity; 0 where HU cannot be expressed in it."""
    intensity = model.spec.intensity
    if options.min_contrast <= 0 or intensity.get("kind") != "window":
        return 0.0
    return float(options.min_contrast / (intensity["high"] - intensity["low"]))


def _collect(
    edit: HealthyEdit,
    p: NDArray[np.float64],
    candidates: Candidates,
    scores: dict[int, Score],
    options: Options,
    seconds: float,
) -> Findings:
    planes = np.moveaxis(candidates.labels, 2, 0)
    polarities = [POLARITIES[name] for name in candidates.polarities]
    residual = np.abs(np.moveaxis(edit.difference(options), 2, 0))
    rows: list[tuple[Any, ...]] = []
    own = np.zeros(planes.shape, dtype=np.uint16)
    for k, plane in enumerate(planes):
        for position, number in enumerate(np.unique(plane[plane > 0]).tolist(), start=1):
            mask = plane == number
            own[k][mask] = position
            score = scores[number]
            rows.append(
                (k, position, polarities[number - 1], score.delta, score.p_hide,
                 int(mask.sum()), float(residual[k][mask].sum()))
            )  # fmt: skip
    columns = list(zip(*rows, strict=True)) if rows else [()] * 7
    whole, real = np.int64, np.float64
    table = CandidateTable(
        vertebra=np.array(columns[0], dtype=whole),
        number=np.array(columns[1], dtype=whole),
        polarity=np.array(columns[2], dtype=whole),
        delta=np.array(columns[3], dtype=real),
        p_hide=np.array(columns[4], dtype=real),
        area=np.array(columns[5], dtype=whole),
        residual=np.array(columns[6], dtype=real),
    )
    count = len(planes)
    realised = 1 / (1 + np.exp(-edit.realised_logits))
    return Findings(
        p=np.asarray(p, dtype=np.float64),
        p_healthy=np.asarray(realised, dtype=np.float64),
        labels=own,
        image=edit.images[:, 0].numpy(),
        reconstruction=edit.reconstruction[:, 0].numpy(),
        healthy=edit.healthy[:, 0].numpy(),
        seconds=np.full(count, seconds / max(count, 1)),
        candidates=table,
    )


def _network(model: Model, options: Options, memory: Memory | None) -> Network:
    if memory is None:
        return Network(model.dae, model.device, options, Meter())
    return RememberingNetwork(model.dae, model.device, options, Meter(), memory)


def _images(model: Model, vertebrae: SliceSet, k: int) -> Tensor:
    """Slices k of the set: (N, 1, 64, 64) in the model's intensity."""
    hu = vertebrae.hu[:, k].astype(np.float32)
    images = [model.to_intensity(h, v) for h, v in zip(hu, vertebrae.valid[:, k], strict=True)]
    return torch.from_numpy(np.stack([np.asarray(image, dtype=np.float32) for image in images]))[
        :, None
    ]


def _chunk_key(model: Model, chunk: SliceSet, options: Options) -> str:
    """A name for the result: weights, slices and every option that changes it before the cut."""
    later = ("tau", "polarity", "mixed_fraction", "p_threshold", "force", "max_batch", "protocol")
    settings = {k: v for k, v in options.to_dict().items() if k not in later}
    digest = hashlib.sha256(json.dumps(settings, sort_keys=True).encode())
    digest.update(model.hash.encode())
    digest.update(chunk.hu.tobytes())
    digest.update(chunk.body.tobytes())
    return digest.hexdigest()[:24]


def _write(path: Path, findings: Findings) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    arrays = {f.name: getattr(findings, f.name) for f in fields(Findings) if f.name != "candidates"}
    table = findings.candidates
    arrays |= {f"candidates_{f.name}": getattr(table, f.name) for f in fields(CandidateTable)}
    part = path.with_name(f".part-{path.name}")
    np.savez_compressed(part, **arrays)
    part.replace(path)


def _read(path: Path) -> Findings:
    with np.load(path, allow_pickle=False) as stored:
        table = CandidateTable(*(stored[f"candidates_{f.name}"] for f in fields(CandidateTable)))
        plain = {f.name: stored[f.name] for f in fields(Findings) if f.name != "candidates"}
    return Findings(**plain, candidates=table)


def _join(parts: list[Findings]) -> Findings:
    plain = {
        f.name: np.concatenate([getattr(part, f.name) for part in parts])
        for f in fields(Findings)
        if f.name != "candidates"
    }
    return Findings(**plain, candidates=CandidateTable(*_joined_tables(parts)))


def _joined_tables(parts: list[Findings]) -> Iterator[NDArray[Any]]:
    offsets = np.cumsum([0, *(len(part.p) for part in parts)])
    for field in fields(CandidateTable):
        columns = [getattr(part.candidates, field.name) for part in parts]
        if field.name == "vertebra":
            columns = [c + offset for c, offset in zip(columns, offsets, strict=False)]
        yield np.concatenate(columns)
