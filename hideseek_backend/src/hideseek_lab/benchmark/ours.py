"""HideSeek itself on the benchmark's slices: many vertebrae at a time, everything kept.

What runs is `attribute`, as in the product, on the central slice; p is read from the mean latent of
`p_slices` central slices (the set holds no others, so `p_span` plays no part). Here every vertebra
is forced through, so that a figure can be given with and without the threshold.
"""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Iterator
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any, Protocol, cast

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.special import expit
from torch import Tensor

from hideseek_backend.attribution.attribute import Attribution, Stack, attribute
from hideseek_backend.attribution.candidates import Candidates, Polarity
from hideseek_backend.attribution.network import Network
from hideseek_backend.attribution.options import Options
from hideseek_backend.attribution.phenotype import phenotype_of
from hideseek_backend.attribution.scoring import Score
from hideseek_backend.attribution.vertebra import AnalysisModel
from hideseek_backend.files import whole_file
from hideseek_backend.models.spec import ModelSpec
from hideseek_backend.progress import Meter, Progress, ProgressCallback
from hideseek_lab.benchmark.dataset import MIDDLE, SliceSet
from hideseek_lab.benchmark.memo import Memory, RememberingNetwork
from hideseek_lab.scoring.instances import BLASTIC, LYTIC, POLARITIES

CHUNK = 16
_NAMES: dict[int, Polarity] = {LYTIC: "lytic", BLASTIC: "blastic"}


class BenchmarkModel(AnalysisModel, Protocol):
    """What the benchmark needs of a model; see `models.Model`."""

    @property
    def hash(self) -> str: ...

    @property
    def spec(self) -> ModelSpec: ...


@dataclass(frozen=True, eq=False)
class CandidateTable:
    """All candidates of N vertebrae, kept or not; C rows.

    vertebra: (C,) index of the vertebra. number: (C,) its label in `Findings.labels`. polarity:
    (C,) 1 lytic, 2 blastic. delta, p_hide: (C,). area: (C,) px.
    """

    vertebra: NDArray[np.int64]
    number: NDArray[np.int64]
    polarity: NDArray[np.int64]
    delta: NDArray[np.float64]
    p_hide: NDArray[np.float64]
    area: NDArray[np.int64]

    def __len__(self) -> int:
        return len(self.vertebra)


@dataclass(frozen=True, eq=False)
class Findings:
    """What the method found on N central slices.

    p: (N,) malignancy. presence: (N, 2) of lytic and of blastic disease. p_healthy: (N,) of the
    healthy image, encoded again. labels: (N, 64, 64) uint16 candidate numbers, each vertebra from
    1. image, healthy: (N, 64, 64) float32, model intensity. seconds: (N,) a vertebra, its chunk's
    time shared out.
    """

    p: NDArray[np.float64]
    presence: NDArray[np.float64]
    p_healthy: NDArray[np.float64]
    labels: NDArray[np.uint16]
    image: NDArray[np.float32]
    healthy: NDArray[np.float32]
    seconds: NDArray[np.float64]
    candidates: CandidateTable


def load(name: str, device: str) -> BenchmarkModel:
    """Load a model by name or folder. Raises ModelError and DeviceError as `load_model` does."""
    from hideseek_backend.models.store import load_model

    # its solver names are literals, which the protocol widens to text
    return cast(BenchmarkModel, load_model(name, device))


def malignancy(
    model: BenchmarkModel, vertebrae: SliceSet, options: Options, memory: Memory | None = None
) -> NDArray[np.float64]:
    """Probability of each vertebra from its `p_slices` central slices: (N,)."""
    latents = _central_latents(model, vertebrae, options, memory)
    return np.array([expit(model.classifier.vertebra_logit(z)) for z in latents])


def _central_latents(
    model: BenchmarkModel, vertebrae: SliceSet, options: Options, memory: Memory | None
) -> torch.Tensor:
    """z of each vertebra's central slices: (N, n, d)."""
    half = min(options.p_slices, 2 * MIDDLE + 1) // 2
    wanted = range(MIDDLE - half, MIDDLE + half + 1)
    network = make_network(model, options, memory)
    latents = [network.encode(images_of(model, vertebrae, k)) for k in wanted]
    return torch.stack(latents, dim=1)


def analyse_set(
    model: BenchmarkModel,
    vertebrae: SliceSet,
    options: Options,
    *,
    cache: Path | None = None,
    memory: Memory | None = None,
    progress: ProgressCallback | None = None,
    name: str = "analysing",
    told: bool = False,
) -> Findings:
    """Analyse the central slices of a set, each vertebra forced.

    cache: a folder in which finished chunks are kept, so that a stopped run goes on. memory: for
    sweeps. told: the phenotype is known and candidates of the other polarity need no score (their
    Δ is NaN, which keeps them out); the slow projections then take about a third less time.
    Results do not depend on the chunk a vertebra is in beyond rounding.
    """
    parts = []
    for start in range(0, len(vertebrae), CHUNK):
        chunk = vertebrae.take(np.arange(start, min(start + CHUNK, len(vertebrae))))
        path = None if cache is None else cache / f"{_chunk_key(model, chunk, options, told)}.npz"
        if path is not None and path.is_file():
            parts.append(_read(path))
        else:
            parts.append(_analyse_chunk(model, chunk, options, memory, told))
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
        allowed = [kept for _, kept in _phenotypes(findings, options)]
        keep &= np.array(
            [
                _NAMES[int(k)] in allowed[v]
                for v, k in zip(table.vertebra, table.polarity, strict=True)
            ],
            dtype=bool,
        )
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


def found_phenotypes(
    findings: Findings, options: Options, *, gate: bool = True
) -> NDArray[np.str_]:
    """Phenotype that each vertebra is given without a patient's label: (N,), "healthy" for none."""
    names = [phenotype for phenotype, _ in _phenotypes(findings, options)]
    found = np.array([name or "healthy" for name in names])
    return np.where(gate & (findings.p < options.p_threshold), "healthy", found)


def _phenotypes(
    findings: Findings, options: Options
) -> list[tuple[str | None, frozenset[Polarity]]]:
    """Phenotype and polarities kept of each vertebra, as `case` decides them."""
    table = findings.candidates
    decided = []
    for vertebra in range(len(findings.p)):
        rows = np.flatnonzero(table.vertebra == vertebra)
        decided.append(
            phenotype_of(
                [_NAMES[int(value)] for value in table.polarity[rows]],
                table.area[rows].tolist(),
                table.delta[rows].tolist(),
                options,
                findings.presence[vertebra].tolist(),
            )
        )
    return decided


def _analyse_chunk(
    model: BenchmarkModel, chunk: SliceSet, options: Options, memory: Memory | None, told: bool
) -> Findings:
    started = time.perf_counter()
    network = make_network(model, options, memory)
    latents = _central_latents(model, chunk, options, memory)
    p = np.array([expit(model.classifier.vertebra_logit(z)) for z in latents])
    presence = np.stack([model.classifier.vertebra_presence(z) for z in latents])
    wanted = (lambda found: _of_phenotype(found, chunk.slice_phenotype)) if told else None
    stack = stack_of(model, chunk)
    found = attribute(network, model.classifier, model.intensity, stack, options, wanted=wanted)
    return _collect(found, p, presence, time.perf_counter() - started)


def reconstructions(
    model: BenchmarkModel, vertebrae: SliceSet, options: Options, memory: Memory | None = None
) -> NDArray[np.float32]:
    """The central slices inverted and rendered under their own z: (N, 64, 64), model intensity."""
    network, images = make_network(model, options, memory), images_of(model, vertebrae, MIDDLE)
    z = network.encode(images)
    return np.asarray(network.render(network.invert(images, z), z)[:, 0].numpy())


def stack_of(model: BenchmarkModel, vertebrae: SliceSet) -> Stack:
    """The central slices of a set, each of a body of its own."""
    hu = np.moveaxis(vertebrae.hu[:, MIDDLE], 0, 2).astype(np.float32)
    body = np.moveaxis(vertebrae.body[:, MIDDLE] & vertebrae.valid[:, MIDDLE], 0, 2)
    images = images_of(model, vertebrae, MIDDLE)
    return Stack(images, hu, body, bodies=(1,) * len(vertebrae))


def _of_phenotype(candidates: Candidates, phenotype: NDArray[np.str_]) -> list[int]:
    """Numbers of the candidates whose polarity their slice's phenotype holds."""
    planes = np.moveaxis(candidates.labels, 2, 0)
    return [
        number
        for plane, name in zip(planes, phenotype.tolist(), strict=True)
        for number in np.unique(plane[plane > 0]).tolist()
        if name in ("mixed", candidates.polarities[number - 1])
    ]


def _collect(
    found: Attribution, p: NDArray[np.float64], presence: NDArray[np.float64], seconds: float
) -> Findings:
    edit, candidates, scores = found.edit, found.candidates, found.scores
    planes = np.moveaxis(candidates.labels, 2, 0)
    polarities = [POLARITIES[name] for name in candidates.polarities]
    rows: list[tuple[Any, ...]] = []
    own = np.zeros(planes.shape, dtype=np.uint16)
    for k, plane in enumerate(planes):
        for position, number in enumerate(np.unique(plane[plane > 0]).tolist(), start=1):
            mask = plane == number
            own[k][mask] = position
            score = scores.get(number, Score(np.nan, np.nan))
            rows.append(
                (k, position, polarities[number - 1], score.delta, score.p_hide,
                 int(mask.sum()))
            )  # fmt: skip
    columns = list(zip(*rows, strict=True)) if rows else [()] * 6
    whole, real = np.int64, np.float64
    table = CandidateTable(
        vertebra=np.array(columns[0], dtype=whole),
        number=np.array(columns[1], dtype=whole),
        polarity=np.array(columns[2], dtype=whole),
        delta=np.array(columns[3], dtype=real),
        p_hide=np.array(columns[4], dtype=real),
        area=np.array(columns[5], dtype=whole),
    )
    count = len(planes)
    realised = 1 / (1 + np.exp(-edit.realised_logits))
    return Findings(
        p=np.asarray(p, dtype=np.float64),
        presence=presence,
        p_healthy=np.asarray(realised, dtype=np.float64),
        labels=own,
        image=edit.images[:, 0].numpy(),
        healthy=edit.healthy[:, 0].numpy(),
        seconds=np.full(count, seconds / max(count, 1)),
        candidates=table,
    )


def make_network(model: BenchmarkModel, options: Options, memory: Memory | None) -> Network:
    if memory is None:
        return Network(model.dae, model.device, options, Meter())
    return RememberingNetwork(model.dae, model.device, options, Meter(), memory)


def images_of(model: BenchmarkModel, vertebrae: SliceSet, k: int) -> Tensor:
    """Slices k of the set: (N, 1, 64, 64) in the model's intensity."""
    hu = vertebrae.hu[:, k].astype(np.float32)
    images = model.intensity.to_intensity(hu, np.ascontiguousarray(vertebrae.valid[:, k]))
    return torch.as_tensor(images, dtype=torch.float32).cpu()[:, None]


def _chunk_key(model: BenchmarkModel, chunk: SliceSet, options: Options, told: bool) -> str:
    """A name for the result: weights, slices and every option that changes it before the cut."""
    later = (
        "tau", "polarity", "mixed_fraction", "min_presence", "name_presence", "p_threshold",
        "force", "max_batch", "protocol",
    )  # fmt: skip
    settings = {k: v for k, v in options.to_dict().items() if k not in later}
    digest = hashlib.sha256(json.dumps(settings, sort_keys=True).encode())
    digest.update(model.spec.numerics().encode())
    digest.update(chunk.hu.tobytes())
    digest.update(chunk.body.tobytes())
    if told:
        digest.update(" ".join(chunk.slice_phenotype.tolist()).encode())
    return digest.hexdigest()[:24]


def _write(path: Path, findings: Findings) -> None:
    arrays = {f.name: getattr(findings, f.name) for f in fields(Findings) if f.name != "candidates"}
    table = findings.candidates
    arrays |= {f"candidates_{f.name}": getattr(table, f.name) for f in fields(CandidateTable)}
    with whole_file(path) as part:
        np.savez_compressed(part, **arrays)


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
