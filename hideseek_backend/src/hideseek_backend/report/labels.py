"""Places for the Δ labels of a picture: in the gutters beside it, never over one another."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class Anchor:
    """What a label belongs to: `key`, and its point (x, y) in a picture of `size` units."""

    key: int
    x: float
    y: float


@dataclass(frozen=True)
class Placed:
    """Where a label goes: on the left or right side, its text's middle at height y."""

    anchor: Anchor
    left: bool
    y: float


def place(anchors: Sequence[Anchor], size: float, gap: float) -> tuple[Placed, ...]:
    """Put each label on the nearer side, as close to its anchor's height as `gap` allows.

    A side that would overflow hands its innermost labels to the other; beyond 2 · size / gap labels
    the gap shrinks instead.
    """
    per_side = max(1, int(size // gap))
    ordered = sorted(anchors, key=lambda a: a.x)
    count = len(ordered)
    lefts = sum(a.x < size / 2 for a in ordered)
    lefts = min(max(lefts, count - per_side), max(per_side, count - per_side))
    return (*_column(ordered[:lefts], True, size, gap), *_column(ordered[lefts:], False, size, gap))


def _column(anchors: Sequence[Anchor], left: bool, size: float, gap: float) -> list[Placed]:
    ordered = sorted(anchors, key=lambda a: (a.y, a.x))
    if not ordered:
        return []
    gap = min(gap, size / len(ordered))
    heights: list[float] = []
    for anchor in ordered:  # push down where two are too close …
        least = heights[-1] + gap if heights else gap / 2
        heights.append(max(anchor.y, least))
    ceiling = size - gap / 2
    for index in range(len(heights) - 1, -1, -1):  # … and up again from the lower edge
        heights[index] = min(heights[index], ceiling)
        ceiling = heights[index] - gap
    return [Placed(a, left, y) for a, y in zip(ordered, heights, strict=True)]
