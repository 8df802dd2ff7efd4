"""Which lesion of one date is which of another, within one vertebra and one frame."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components
from scipy.spatial import cKDTree

from hideseek_backend.volumes.volume import FloatArray

_MOST_POINTS = 4000  # of a lesion that are asked; more say nothing new about an overlap


@dataclass(frozen=True)
class MatchOptions:
    """When two lesions are one, and when a change counts.

    reach_mm: voxels this near count as common (by half, see `overlaps`): what registration and
        segmentation may be off.
    least_overlap: share of the smaller lesion that must be common.
    least_change_percent: growth below it is stable however sure (shrinking likewise, as a ratio).
    least_volume_mm3: a lesion below it at both dates is never called grown or shrunk.
    same_protocol: both CTs are taken to have one kind of kernel and the same contrast medium where
        their headers do not say.
    """

    reach_mm: float = 1.5
    least_overlap: float = 0.4
    least_change_percent: float = 20.0
    least_volume_mm3: float = 100.0
    same_protocol: bool = False


def overlaps(
    earlier: Sequence[FloatArray], current: Sequence[FloatArray], reach_mm: float
) -> NDArray[np.float64]:
    """(n, m) share of the smaller of two lesions that is common, 0 to 1.

    A point within `reach_mm` of the other lesion is half common, within half of that wholly: what
    only lies side by side must not become one lesion.
    earlier, current: points that fill each lesion (N, 3), mm, in one frame, at most `reach_mm` from
    the next.
    """
    shares = np.zeros((len(earlier), len(current)))
    trees = [cKDTree(b) for b in current]
    for i, a in enumerate(earlier):
        own = cKDTree(a)
        for j, b in enumerate(current):
            gap = np.maximum(a.min(axis=0) - b.max(axis=0), b.min(axis=0) - a.max(axis=0))
            if gap.max() <= reach_mm:
                shares[i, j] = max(_common(a, trees[j], reach_mm), _common(b, own, reach_mm))
    return shares


def _common(points: FloatArray, other: cKDTree, reach_mm: float) -> float:
    asked = points[:: len(points) // _MOST_POINTS + 1]
    distance = other.query(asked, distance_upper_bound=reach_mm + 1e-6)[0]
    return float(((distance <= reach_mm).mean() + (distance <= reach_mm / 2).mean()) / 2)


def groups(shares: FloatArray, least: float) -> list[tuple[tuple[int, ...], tuple[int, ...]]]:
    """Group lesions that are one: ((earlier …), (current …)), either side empty for gone and new.

    Several to one is a merger, one to several a split. Several to several is one group as well:
    what one segmentation breaks into other parts than another is compared as a whole.
    """
    n, m = shares.shape
    where = np.nonzero(shares >= least)
    graph = coo_array((np.ones(len(where[0])), (where[0], where[1] + n)), shape=(n + m, n + m))
    count, label = connected_components(graph, directed=False)
    found: list[tuple[tuple[int, ...], tuple[int, ...]]] = []
    for number in range(count):
        rows, columns = (np.flatnonzero(part == number) for part in (label[:n], label[n:]))
        found.append((tuple(rows.tolist()), tuple(columns.tolist())))
    return sorted(found, key=lambda g: (g[0] or (n,), g[1] or (m,)))
