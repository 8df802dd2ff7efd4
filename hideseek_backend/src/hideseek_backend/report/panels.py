"""The pictures of one vertebra: CT, healthy edit, difference, and the candidates over the CT."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from hideseek_backend.report.labels import Anchor, Placed, place
from hideseek_backend.report.pixels import (
    BONE,
    Window,
    centre,
    difference_picture,
    grey_picture,
    outline,
    symmetric_limit,
)

if TYPE_CHECKING:
    from hideseek_backend.case import Candidate, SliceEvidence, VertebraResult

SIZE = 64
LABEL_GAP = 4.2
MAX_LABELS = 24
LEAST_DIFFERENCE_HU = 200.0
LEAST_DIFFERENCE_MODEL = 0.1


@dataclass(frozen=True)
class Outline:
    """A candidate on a slice: its SVG path, and how it is to be drawn."""

    number: int
    polarity: str
    kept: bool
    delta: float
    path: str


@dataclass(frozen=True)
class Label:
    """A Δ label: text side and height, and the leader's end on the lesion."""

    outline: Outline
    left: bool
    y: float
    to_x: float
    to_y: float


@dataclass(frozen=True)
class SlicePanel:
    """One slice with its outlines, small or large."""

    k: int
    picture: str
    body: str
    outlines: tuple[Outline, ...]


@dataclass(frozen=True)
class Panels:
    """Everything drawn for one vertebra. limit is the end of the difference's colour scale."""

    main: SlicePanel
    labels: tuple[Label, ...]
    healthy: str
    difference: str
    window: str
    limit: str
    unit: str
    others: tuple[SlicePanel, ...]


def vertebra_panels(vertebra: VertebraResult) -> Panels:
    """Draw a vertebra that has evidence, on the slice that shows most of its kept candidates."""
    in_hu = vertebra.evidence_unit == "HU"
    chosen = _best_slice(vertebra)
    window = BONE if in_hu else _own_window(chosen)
    least = LEAST_DIFFERENCE_HU if in_hu else LEAST_DIFFERENCE_MODEL
    limit = symmetric_limit(chosen.difference, chosen.body, least)
    main = _panel(chosen, vertebra, window, scale=6)
    others = [_panel(e, vertebra, window, scale=2) for e in vertebra.evidence]
    return Panels(
        main=main,
        labels=_labels(main, chosen),
        healthy=grey_picture(chosen.healthy, window),
        difference=difference_picture(chosen.difference, limit),
        window=window.text,
        limit=f"{limit:g}",
        unit=window.unit,
        others=tuple(others) if len(others) > 1 else (),
    )


def _best_slice(vertebra: VertebraResult) -> SliceEvidence:
    kept = [c.number for c in vertebra.candidates if c.kept]
    found = [c.number for c in vertebra.candidates]
    middle = vertebra.evidence[len(vertebra.evidence) // 2].k

    def rank(evidence: SliceEvidence) -> tuple[int, int, int]:
        return (
            int(np.isin(evidence.labels, kept).sum()),
            int(np.isin(evidence.labels, found).sum()),
            -abs(evidence.k - middle),
        )

    return max(vertebra.evidence, key=rank)


def _panel(
    evidence: SliceEvidence, vertebra: VertebraResult, window: Window, scale: int
) -> SlicePanel:
    return SlicePanel(
        k=evidence.k,
        picture=grey_picture(evidence.image, window, scale),
        body=outline(evidence.body),
        outlines=tuple(_outline(c, evidence) for c in vertebra.candidates if _is_on(c, evidence)),
    )


def _is_on(candidate: Candidate, evidence: SliceEvidence) -> bool:
    return bool((evidence.labels == candidate.number).any())


def _outline(candidate: Candidate, evidence: SliceEvidence) -> Outline:
    return Outline(
        number=candidate.number,
        polarity=candidate.polarity,
        kept=candidate.kept,
        delta=candidate.delta,
        path=outline(evidence.labels == candidate.number),
    )


def _labels(panel: SlicePanel, evidence: SliceEvidence) -> tuple[Label, ...]:
    # Kept candidates come first where there are more than can be read; the table has them all.
    ranked = sorted(panel.outlines, key=lambda o: (not o.kept, -o.delta))[:MAX_LABELS]
    by_number = {o.number: o for o in ranked}
    anchors = [Anchor(n, *centre(evidence.labels == n)) for n in by_number]
    return tuple(_label(p, by_number[p.anchor.key]) for p in place(anchors, SIZE, LABEL_GAP))


def _label(placed: Placed, shape: Outline) -> Label:
    return Label(shape, placed.left, round(placed.y, 1), placed.anchor.x, placed.anchor.y)


def _own_window(evidence: SliceEvidence) -> Window:
    low, high = (float(v) for v in np.percentile(evidence.image, (0.5, 99.5)))
    return Window((low + high) / 2, max(high - low, 1e-3), "model intensity")
