"""Δ as a second opinion: candidates of another system, scored by Hide-and-Seek.

As `hideseek score` does with a reader's regions: a component is hidden and shown against the
vertebra's own candidates, whose pixels under it become its own.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from hideseek_backend.attribution.candidates import Candidates, Polarity
from hideseek_backend.attribution.edit import edit_steps, healthy_edit
from hideseek_backend.attribution.options import Options
from hideseek_backend.attribution.scoring import score_candidates, score_steps
from hideseek_lab.benchmark.dataset import MIDDLE
from hideseek_lab.benchmark.ours import (
    CHUNK,
    BenchmarkModel,
    Findings,
    make_network,
    stack_of,
)
from hideseek_lab.scoring.instances import label_components
from hideseek_lab.supervised.arenas import Vertebrae
from hideseek_lab.supervised.clinical.statistics import Interval, bootstrap

#: "delta" is Δ; "suspicion" is Δ times the vertebra's malignancy, for Δ is a share of the latter;
#: "p_hide" is the malignancy of the slice that shows this component and hides all else suspected
SCORES = ("delta", "suspicion", "p_hide")
MOST_RECALL_LOST = 0.05


@dataclass(frozen=True)
class Opinion:
    """A supervised component with our scores. hits: lesions (numbers on the slice) it overlaps."""

    vertebra: int
    component: int
    hits: tuple[int, ...]
    delta: float
    suspicion: float
    p_hide: float

    @property
    def true(self) -> bool:
        return bool(self.hits)


def opinions(
    model: BenchmarkModel,
    vertebrae: Vertebrae,
    labels: NDArray[np.uint8],
    findings: Findings,
    options: Options,
) -> list[Opinion]:
    """Score every component of `labels` (N, 64, 64), any polarity, on the central slices.

    findings: of our own analysis of the same slices.
    """
    scored: list[Opinion] = []
    for start in range(0, len(vertebrae), CHUNK):
        index = np.arange(start, min(start + CHUNK, len(vertebrae)))
        scored += _chunk(model, vertebrae, labels, findings, options, index)
    return scored


def _chunk(
    model: BenchmarkModel,
    vertebrae: Vertebrae,
    labels: NDArray[np.uint8],
    findings: Findings,
    options: Options,
    index: NDArray[np.int_],
) -> list[Opinion]:
    marked = index[(labels[index] > 0).any(axis=(1, 2))]
    if not marked.size:
        return []
    slices = vertebrae.slices.take(marked)
    stack = stack_of(model, slices)
    network = make_network(model, options, None)
    network.meter.phase("edit", 60, edit_steps(len(marked), options))
    edit = healthy_edit(network, model.classifier, stack.images, options, body=stack.body)
    made: list[Opinion] = []
    # one component a slice and round: each is scored against our candidates, not against the others
    parts = [label_components(labels[v] > 0)[0] for v in marked]
    for number in range(1, max(int(p.max()) for p in parts) + 1):
        plane_labels, own_number = [], []
        first = 0
        for part, v in zip(parts, marked.tolist(), strict=True):
            own = part == number
            plane, first, drawn = _beside(findings.labels[v], own, first)
            plane_labels.append(plane)
            own_number.append(drawn)
        stacked = np.stack(plane_labels, axis=2)
        unused: Polarity = "lytic"  # polarities play no part in a score
        candidates = Candidates(stacked, (unused,) * first, stacked > 0)
        wanted = [n for n in own_number if n]
        network.meter.phase("score", 95, score_steps(stacked, options))
        scores = score_candidates(
            network, model.classifier, edit, candidates, options, wanted=wanted
        )
        for part, v, n in zip(parts, marked.tolist(), own_number, strict=True):
            if not n:
                continue
            delta = float(scores[n].delta)
            truth, _ = label_components(vertebrae.slices.truth[v, MIDDLE] > 0)
            hits = np.unique(truth[part == number])
            made.append(
                Opinion(
                    v, number, tuple(int(h) for h in hits if h), delta,
                    max(delta, 0.0) * float(findings.p[v]), scores[n].p_hide,
                )
            )  # fmt: skip
    return made


def _beside(
    others: NDArray[np.uint16], own: NDArray[np.bool_], first: int
) -> tuple[NDArray[np.uint16], int, int]:
    """A plane with the other candidates and the component, numbered on from `first`; the last
    number used, and that of the component (0 where it has no pixel here)."""
    plane = np.zeros(own.shape, dtype=np.uint16)
    for n in np.unique(others[~own]).tolist():
        if n:
            first += 1
            plane[others == n] = first
    if not own.any():
        return plane, first, 0
    first += 1
    plane[own] = first
    return plane, first, first


@dataclass(frozen=True)
class Removal:
    """What a threshold on our score takes away from a system's components.

    false_before, false_after, lesions_before, lesions_after: counts. intervals: over patients, of
    `false_removed` and `recall_lost`, where they were asked for.
    """

    score: str
    threshold: float
    false_before: int
    false_after: int
    lesions_before: int
    lesions_after: int
    intervals: tuple[Interval, Interval] | None = None

    @property
    def false_removed(self) -> float:
        return _share(self.false_before, self.false_after)

    @property
    def recall_lost(self) -> float:
        """Share of the lesions that the system had found and that are lost."""
        return _share(self.lesions_before, self.lesions_after)


def _share(before: float, after: float) -> float:
    """What was taken away, as a share; NaN where there was nothing."""
    return 1 - after / before if before else math.nan


def removal(
    scored: Sequence[Opinion],
    score: str,
    threshold: float,
    patients: NDArray[np.str_] | None = None,
) -> Removal:
    """Drop the components below a threshold; a lesion stays found while one component is left.

    patients: (N,) whose each vertebra is, for intervals over them.
    """
    counted: dict[str, NDArray[np.float64]] = {}
    lesions: dict[tuple[int, int], bool] = {}
    for o in scored:
        kept = getattr(o, score) >= threshold
        row = counted.setdefault(_owner(o.vertebra, patients), np.zeros(4))
        row[:2] += (not o.true, not o.true and kept)
        for hit in o.hits:
            lesions[o.vertebra, hit] = lesions.get((o.vertebra, hit), False) or kept
    for (vertebra, _), kept in lesions.items():
        counted[_owner(vertebra, patients)][2:] += (1, kept)
    rows = np.array(list(counted.values())).reshape(-1, 4)
    totals = [int(v) for v in rows.sum(axis=0)]
    intervals = None
    if patients is not None and len(rows):
        intervals = (
            bootstrap(rows, lambda r: _share(r[:, 0].sum(), r[:, 1].sum())),
            bootstrap(rows, lambda r: _share(r[:, 2].sum(), r[:, 3].sum())),
        )
    return Removal(score, threshold, totals[0], totals[1], totals[2], totals[3], intervals)


def _owner(vertebra: int, patients: NDArray[np.str_] | None) -> str:
    return str(vertebra) if patients is None else str(patients[vertebra])


def pooled(systems: Sequence[Sequence[Opinion]], vertebrae: int) -> list[Opinion]:
    """Opinions on several systems' components in the same `vertebrae`, as if each system had
    marked vertebrae of its own: a lesion that two have found counts twice."""
    return [
        replace(o, vertebra=o.vertebra + number * vertebrae)
        for number, scored in enumerate(systems)
        for o in scored
    ]


def choose_removal(
    scored: Sequence[Opinion], most_lost: float = MOST_RECALL_LOST
) -> Removal | None:
    """The score and threshold that take most false components at a loss of `most_lost` recall at
    most; None without false components. To be chosen on tuning patients."""
    best: Removal | None = None
    for score in SCORES:
        for threshold in sorted({getattr(o, score) for o in scored}):
            found = removal(scored, score, threshold)
            if not math.isfinite(found.false_removed):
                return None
            lost = found.recall_lost if math.isfinite(found.recall_lost) else 0.0
            if lost <= most_lost and (best is None or found.false_removed > best.false_removed):
                best = found
    return best
