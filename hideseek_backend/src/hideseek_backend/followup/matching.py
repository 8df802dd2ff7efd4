"""Which lesion of one date is which of another, within one vertebra and one frame."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import linear_sum_assignment
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components
from scipy.spatial import cKDTree

from hideseek_backend.volumes.volume import FloatArray

_MOST_POINTS = 4000  # of a lesion; more say nothing new about an overlap


@dataclass(frozen=True)
class MatchOptions:
    """When two lesions are one, and when a change counts.

    reach_mm: voxels this near count as common (by half, see `overlaps`): what registration and
        segmentation may be off.
    least_overlap: share of the smaller lesion that must be common.
    least_change_percent: growth below it is stable however sure (shrinking likewise, as a ratio).
    least_volume_mm3: a lesion below it at both dates is never called grown or shrunk.
    """

    reach_mm: float = 1.5
    least_overlap: float = 0.4
    least_change_percent: float = 20.0
    least_volume_mm3: float = 100.0


def overlaps(
    earlier: Sequence[FloatArray], current: Sequence[FloatArray], reach_mm: float
) -> NDArray[np.float64]:
    """(n, m) share of the smaller of two lesions that is common, 0 to 1.

    A voxel within `reach_mm` of the other lesion is half common, within half of that wholly: what
    only lies side by side must not become one lesion.
    earlier, current: places of each lesion's voxels, (N, 3) mm in one frame.
    """
    shares = np.zeros((len(earlier), len(current)))
    ours, theirs = [_thinned(p) for p in earlier], [_thinned(p) for p in current]
    trees = [cKDTree(b) for b in theirs]
    for i, a in enumerate(ours):
        own = cKDTree(a)
        for j, b in enumerate(theirs):
            gap = np.maximum(a.min(axis=0) - b.max(axis=0), b.min(axis=0) - a.max(axis=0))
            if gap.max() <= reach_mm:
                shares[i, j] = max(_common(a, trees[j], reach_mm), _common(b, own, reach_mm))
    return shares


def _common(places: FloatArray, other: cKDTree, reach_mm: float) -> float:
    distance = other.query(places, distance_upper_bound=reach_mm + 1e-6)[0]
    return float(((distance <= reach_mm).mean() + (distance <= reach_mm / 2).mean()) / 2)


def groups(shares: FloatArray, least: float) -> list[tuple[tuple[int, ...], tuple[int, ...]]]:
    """Group lesions that are one: ((earlier …), (current …)), either side empty for gone and new.

    Several to one is a merger, one to several a split. Several to several is told apart into pairs
    of the greatest common share (Kuhn 1955); what is left over joins its best partner.
    """
    n, m = shares.shape
    tied = shares >= least
    where = np.nonzero(tied)
    graph = coo_array((np.ones(len(where[0])), (where[0], where[1] + n)), shape=(n + m, n + m))
    count, label = connected_components(graph, directed=False)
    found = []
    for number in range(count):
        rows = np.flatnonzero(label[:n] == number)
        columns = np.flatnonzero(label[n:] == number)
        if len(rows) > 1 and len(columns) > 1:
            found += _told_apart(shares, tied, rows, columns)
        else:
            found.append((tuple(rows.tolist()), tuple(columns.tolist())))
    return sorted(found, key=lambda g: (g[0] or (n,), g[1] or (m,)))


def _told_apart(
    shares: FloatArray, tied: NDArray[np.bool_], rows: NDArray[np.int_], columns: NDArray[np.int_]
) -> list[tuple[tuple[int, ...], tuple[int, ...]]]:
    part = np.where(tied, shares, 0.0)[np.ix_(rows, columns)]
    taken = [(i, j) for i, j in zip(*linear_sum_assignment(-part), strict=True) if part[i, j] > 0]
    sets = [({int(rows[i])}, {int(columns[j])}) for i, j in taken]
    for i in sorted(set(range(len(rows))) - {i for i, _ in taken}):
        best = int(part[i].argmax())
        next(s for s in sets if int(columns[best]) in s[1])[0].add(int(rows[i]))
    for j in sorted(set(range(len(columns))) - {j for _, j in taken}):
        best = int(part[:, j].argmax())
        next(s for s in sets if int(rows[best]) in s[0])[1].add(int(columns[j]))
    return [(tuple(sorted(a)), tuple(sorted(b))) for a, b in sets]


def _thinned(places: FloatArray) -> FloatArray:
    return places[:: len(places) // _MOST_POINTS + 1]
