"""One slice through the method, timed and counted; and how two such runs agree."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from hideseek_backend.attribution.attribute import Stack, attribute
from hideseek_backend.attribution.candidates import Candidates
from hideseek_backend.attribution.edit import HealthyEdit
from hideseek_backend.attribution.network import Network
from hideseek_backend.attribution.options import Options
from hideseek_backend.attribution.scoring import Score, score_candidates
from hideseek_backend.files import whole_file
from hideseek_backend.models.store import Model
from hideseek_backend.progress import Meter
from hideseek_lab.benchmark.memory import peak_memory


@dataclass(frozen=True, eq=False)
class Timed:
    """What one run found on a slice and what it took.

    healthy: (1, 1, 64, 64). edit: everything about it, None for a run read from a file.
    seconds: by the clock; cpu_seconds: of processor time, which other work beside this one hardly
    changes (all threads together). calls: network evaluations, whatever their batch; evaluations:
    slices through the network.
    peak_mb: growth of memory during the run (of the GPU's on a GPU), 0 where it cannot be told.
    """

    healthy: Tensor
    edit: HealthyEdit | None
    candidates: Candidates
    scores: dict[int, Score]
    seconds: float
    cpu_seconds: float
    calls: int
    evaluations: int
    peak_mb: float

    def kept(self, tau: float) -> NDArray[np.bool_]:
        """Pixels of the candidates with Δ of at least tau: (64, 64)."""
        numbers = [n for n, score in self.scores.items() if score.delta >= tau]
        return np.isin(self.candidates.labels[:, :, 0], numbers)

    def figures(self) -> dict[str, float]:
        """Return what it took, as plain numbers."""
        return {
            "seconds": self.seconds,
            "cpu_seconds": self.cpu_seconds,
            "calls": self.calls,
            "evaluations": self.evaluations,
            "candidates": len(self.scores),
            "peak_mb": self.peak_mb,
        }

    def save(self, path: Path) -> None:
        """Write the run, but for its edit, as tensors and plain values."""
        packed = {
            "healthy": self.healthy,
            "labels": torch.from_numpy(self.candidates.labels.astype(np.int32)),
            "suspected": torch.from_numpy(self.candidates.suspected),
            "polarities": list(self.candidates.polarities),
            "scores": {n: (s.delta, s.p_hide, s.p_without) for n, s in self.scores.items()},
            "taken": [self.seconds, self.cpu_seconds, self.calls, self.evaluations, self.peak_mb],
        }
        with whole_file(path) as part:
            torch.save(packed, part)

    @classmethod
    def read(cls, path: Path) -> Timed:
        """Read what `save` wrote."""
        kept = torch.load(path, weights_only=True)
        candidates = Candidates(
            kept["labels"].numpy().astype(np.uint16),
            tuple(kept["polarities"]),
            kept["suspected"].numpy(),
        )
        scores = {n: Score(*values) for n, values in kept["scores"].items()}
        return cls(kept["healthy"], None, candidates, scores, *kept["taken"])


@dataclass
class Agreement:
    """How a run compares with another, over many slices.

    deltas: |Δ - Δ'| of the same candidates. flips: candidates kept by one and not by the other, of
    those whose Δ is more than 0.05 from τ; near: those nearer, which may fall on either side.
    """

    deltas: list[float] = field(default_factory=list)
    flips: int = 0
    near: int = 0
    shared_px: int = 0
    own_px: int = 0
    images: list[float] = field(default_factory=list)

    def add(
        self,
        run: Timed,
        target: Timed,
        scores: dict[int, Score],
        tau: float,
    ) -> None:
        """Count one slice. scores: the run's, of the target's candidates."""
        for number, score in scores.items():
            theirs = target.scores[number].delta
            self.deltas.append(abs(score.delta - theirs))
            if abs(theirs - tau) <= FLIP_MARGIN:
                self.near += 1
            elif (score.delta >= tau) != (theirs >= tau):
                self.flips += 1
        mine, other = run.kept(tau), target.kept(tau)
        self.shared_px += int((mine & other).sum())
        self.own_px += int(mine.sum() + other.sum())
        self.images.append(float((run.healthy - target.healthy).abs().max()))

    def to_dict(self) -> dict[str, float | int]:
        """Return the figures; |ΔΔ| is 0 and Dice 1 where there was nothing to differ on."""
        deltas = self.deltas or [0.0]
        return {
            "candidates": len(self.deltas),
            "delta_abs_p95": float(np.quantile(deltas, 0.95)),
            "delta_abs_max": float(max(deltas)),
            "flips": self.flips,
            "near_tau": self.near,
            "mask_dice": 2 * self.shared_px / self.own_px if self.own_px else 1.0,
            "healthy_abs_max_median": float(np.median(self.images)) if self.images else 0.0,
        }


FLIP_MARGIN = 0.05


def run_slice(
    model: Model, shown: Stack, options: Options, *, most: int | None = None, screened: int = 1
) -> Timed:
    """Edit one slice, find its candidates and score them.

    most: score only so many of the largest candidates (the others are hidden all the same).
    screened: slices encoded first for the vertebra's p.
    """
    network = Network(model.dae, model.device, options, Meter())
    with _counted(model) as counts, peak_memory(model.device) as peak:
        _wait(model.device)
        started, cpu = time.perf_counter(), time.process_time()
        network.encode(shown.images.expand(screened, -1, -1, -1))
        found = attribute(
            network,
            model.classifier,
            model.intensity,
            shown,
            options,
            wanted=lambda candidates: largest(candidates, most),
        )
        _wait(model.device)
        seconds, cpu = time.perf_counter() - started, time.process_time() - cpu
    took = (seconds, cpu, counts.calls, counts.slices, peak.mb)
    return Timed(found.edit.healthy, found.edit, found.candidates, found.scores, *took)


def score_same(
    model: Model, run: Timed, candidates: Candidates, options: Options, most: int | None
) -> dict[int, Score]:
    """Score another run's candidates on the edit of `run`, which must have been made just now."""
    if run.edit is None:
        raise ValueError("a run read from a file has no edit to score on")
    network = Network(model.dae, model.device, options, Meter())
    wanted = largest(candidates, most)
    return score_candidates(network, model.classifier, run.edit, candidates, options, wanted=wanted)


def largest(candidates: Candidates, most: int | None) -> list[int]:
    """Numbers of the `most` largest candidates (all if None), ascending."""
    areas = np.bincount(candidates.labels.ravel(), minlength=len(candidates) + 1)[1:]
    order = np.argsort(-areas, kind="stable")[:most] + 1
    return sorted(int(n) for n in order)


@dataclass
class _Counts:
    calls: int = 0
    slices: int = 0


@contextmanager
def _counted(model: Model) -> Iterator[_Counts]:
    """Count evaluations of the UNet and of the encoder."""
    counts = _Counts()

    def count(_module: object, inputs: tuple[Tensor, ...], _output: object) -> None:
        counts.calls += 1
        counts.slices += len(inputs[0])

    network = model.dae.network
    hooks = [part.register_forward_hook(count) for part in (network, network.encoder)]
    try:
        yield counts
    finally:
        for hook in hooks:
            hook.remove()


def _wait(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.synchronize(device)
