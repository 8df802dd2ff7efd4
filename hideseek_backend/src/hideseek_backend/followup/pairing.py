"""Which vertebra of one scan is which of another: by shape, because names may be off by one."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from hideseek_backend.followup.registration import (
    TURNS_DEG,
    Pose,
    centroid,
    register,
    spine_motion,
)
from hideseek_backend.volumes.volume import FloatArray, Volume
from hideseek_backend.wire.levels import order

_COARSE_MM = 1.5
_FAR_NAMES = 1  # names further apart than this are never tried
# Mean surface distances in mm. The same body fits to a few tenths, its neighbour to about one.
_WORTH_MM = 2.0  # what a pair may cost before it is better left out
_OTHER_NAME_MM = 0.1  # names alike where the fit does not decide
_BREAK_MM = 0.8  # a level left out within a scan is rarer than a count that starts one off


@dataclass(frozen=True, eq=False)
class Pair:
    """One vertebra at both dates, by its name at each, and its motion earlier -> current."""

    earlier: str
    current: str
    pose: Pose

    @property
    def renamed(self) -> bool:
        """Whether the two scans call it differently."""
        return self.earlier != self.current


def pair_levels(earlier: Mapping[str, Volume], current: Mapping[str, Volume]) -> tuple[Pair, ...]:
    """Pair the bodies of two scans from head to foot and register each pair.

    earlier, current: level -> body mask. Of all ways to lay one spine beside the other in order,
    the one whose bodies fit best after rigid registration; what has no counterpart is left out.
    """
    above, below = sorted(earlier, key=order), sorted(current, key=order)
    shared = [level for level in above if level in current]
    motion = _motion([(level, level) for level in shared] or _ends(above, below), earlier, current)
    tried: dict[tuple[int, int], Pose] = {}
    for i, a in enumerate(above):
        for j, b in enumerate(below):
            if abs(_rank(a) - _rank(b)) <= _FAR_NAMES:
                tried[i, j] = register(earlier[a], current[b], motion, _COARSE_MM, TURNS_DEG)
    worth = {
        (i, j): _WORTH_MM - pose.gap_mm - _OTHER_NAME_MM * (above[i] != below[j])
        for (i, j), pose in tried.items()
    }
    return tuple(
        Pair(above[i], below[j],
             register(earlier[above[i]], current[below[j]], tried[i, j].matrix[:3, :3]))
        for i, j in _best_chain(worth, above, below)
    )  # fmt: skip


def _rank(level: str) -> float:
    """Place from head to foot among the usual levels; T13 and L6 lie half-way to the next."""
    place = order(level) - (order(level) > order("T13"))
    return place - 0.5 if level in ("T13", "L6") else float(place)


def _best_chain(
    worth: Mapping[tuple[int, int], float], above: Sequence[str], below: Sequence[str]
) -> list[tuple[int, int]]:
    """The rising chain of index pairs of the greatest sum; a change of names within it costs."""
    best: dict[tuple[int, int], tuple[float, tuple[int, int] | None]] = {}
    for i, j in sorted(worth):
        shift = _rank(below[j]) - _rank(above[i])
        options: list[tuple[float, tuple[int, int] | None]] = [(0.0, None)]
        for (p, q), (total, _) in best.items():
            if p < i and q < j:
                broken = _rank(below[q]) - _rank(above[p]) != shift
                options.append((total - _BREAK_MM * broken, (p, q)))
        total, before = max(options, key=lambda option: option[0])
        best[i, j] = total + worth[i, j], before
    chain: list[tuple[int, int]] = []
    place = max(best, key=lambda key: best[key][0], default=None)
    if place is not None and best[place][0] <= 0:
        return chain
    while place is not None:
        chain.append(place)
        place = best[place][1]
    return chain[::-1]


def _ends(above: Sequence[str], below: Sequence[str]) -> list[tuple[str, str]]:
    return list(zip(above, below, strict=False))


def _motion(
    pairs: Sequence[tuple[str, str]], earlier: Mapping[str, Volume], current: Mapping[str, Volume]
) -> FloatArray:
    if not pairs:
        return np.eye(3)
    a = np.array([centroid(earlier[one]) for one, _ in pairs])
    b = np.array([centroid(current[two]) for _, two in pairs])
    return spine_motion(a, b)
