"""The voxels of every candidate as the review left them: edits by hand and overlaps included.

A segment shows all kept candidates of a level and kind together. Where a reader painted or erased
in it, each voxel belongs to the candidate that it was analysed as, new ones to the one they touch.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import numpy as np

from HideSeekLib.anatomy.geometry import SegmentVoxels, need, voxels_of
from HideSeekLib.case.case import Case
from HideSeekLib.case.segments import segment_id
from HideSeekLib.i18n import _
from HideSeekLib.wire.records import Candidate, Vertebra


@dataclass(frozen=True, eq=False)
class Reviewed:
    """Candidates of one level and their voxels now.

    voxels: candidate number -> (N, 3) int32 indices on the CT's grid; no voxel is in two.
    changed: keys of kept ones whose voxels are not the ones that were scored. Their volume, HU and
    centroid are measured anew and their Δ is left out: it was of another outline.
    """

    candidates: tuple[Candidate, ...]
    voxels: dict[int, np.ndarray]
    changed: tuple[str, ...]


def segment_voxels(case: Case, level: str, polarity: str) -> np.ndarray:
    """Voxels of a lesion segment as it is now, (N, 3) int indices on the CT's grid.

    Raises NodeGone when the lesions were deleted.
    """
    node = need(case.lesions, _("The lesion segmentation"))
    grid, none = case.record.grid, np.zeros((0, 3), int)
    identifier = segment_id(level, polarity)
    if node.GetSegmentation().GetSegment(identifier) is None:
        return none
    found = SegmentVoxels(node, identifier)
    if found.empty:
        return none
    # All of it, not its box: a speck far from the rest may lie outside that.
    index = np.argwhere(found.array == found.value)
    ras = index @ found.affine[:3, :3].T + found.affine[:3, 3]
    ijk = np.rint(grid.ijk(ras)).astype(int)
    return np.asarray(ijk[np.all((ijk >= 0) & (ijk < grid.shape), axis=1)])


def reviewed(case: Case, row: Vertebra) -> Reviewed:
    """Give the candidates of a vertebra that has results with their voxels as the review left them.

    row: as the table shows it. Raises NodeGone when the CT or the lesions were deleted.
    """
    level = row.level
    reply = case.record.replies[level]
    rows = list(row.candidates)
    none = np.zeros((0, 3), np.int32)
    before = {c.number: reply.voxels.get(c.number, none) for c in rows}
    now = dict(before)
    for polarity in sorted(case.edited_by_hand(level)):
        kept = {c.number: before[c.number] for c in rows if c.polarity == polarity and c.kept}
        drawn = segment_voxels(case, level, polarity).astype(np.int32)
        if not kept and len(drawn):
            number = max((c.number for c in rows), default=0) + 1
            rows.append(_drawn(level, number, polarity))
            before[number], kept = none, {number: none}
        now.update(shared_out(drawn, kept))
    # What a reader drew goes before what it lies over, and what is kept before what is not.
    rank = {c.number: (c.kept, c.source == "reader") for c in rows}
    now = _without_overlaps({n: now[n] for n in sorted(now, key=lambda n: (rank[n], -n))})
    changed = tuple(c.key for c in rows if c.kept and not _same(now[c.number], before[c.number]))
    measured = [_measured(case, c, now[c.number]) if c.key in changed else c for c in rows]
    return Reviewed(tuple(measured), now, changed)


def shared_out(drawn: np.ndarray, owners: dict[int, np.ndarray]) -> dict[int, np.ndarray]:
    """Share voxels (N, 3) out among candidates: number -> its voxels among them.

    A voxel stays with its owner; new ones join the owner that they touch, step by step, and those
    that touch none the nearest one.
    """
    none = np.zeros((0, 3), np.int32)
    if not len(drawn) or not owners:
        return dict.fromkeys(owners, none)
    low = drawn.min(0) - 1
    shape = drawn.max(0) + 2 - low
    inside, labels = np.zeros(shape, bool), np.zeros(shape, np.int32)
    inside[tuple((drawn - low).T)] = True
    for number, index in owners.items():
        own = index[np.all((index >= low) & (index < low + shape), axis=1)] - low
        labels[tuple(own.T)] = number
    labels[~inside] = 0
    while True:
        free = inside & (labels == 0)
        grown = np.where(free, _beside(labels), 0)
        if not grown.any():
            break
        labels += grown
    left = np.argwhere(inside & (labels == 0))
    if len(left):
        middles = {n: v.mean(0) - low for n, v in owners.items() if len(v)}
        names = list(middles or owners)
        places = np.array(list(middles.values()) or [shape / 2.0])
        nearest = np.argmin(np.linalg.norm(left[:, None] - places, axis=2), axis=1)
        labels[tuple(left.T)] = np.array(names)[nearest]
    return {n: (np.argwhere(labels == n) + low).astype(np.int32) for n in owners}


def _beside(labels: np.ndarray) -> np.ndarray:
    """For every voxel the largest number among its six neighbours; the outermost have none."""
    out = np.zeros_like(labels)
    for axis in range(3):
        for step in (1, -1):
            np.maximum(out, np.roll(labels, step, axis), out=out)
    return out


def _without_overlaps(voxels: dict[int, np.ndarray]) -> dict[int, np.ndarray]:
    """Give shared voxels to the last who has them."""
    index = np.concatenate(list(voxels.values())) if voxels else np.zeros((0, 3), np.int32)
    if not len(index):
        return voxels
    low = index.min(0)
    box = np.zeros(index.max(0) + 1 - low, np.int32)
    for number, own in voxels.items():
        box[tuple((own - low).T)] = number
    return {n: own[box[tuple((own - low).T)] == n] for n, own in voxels.items()}


def _same(a: np.ndarray, b: np.ndarray) -> bool:
    return len(a) == len(b) and {*map(tuple, a.tolist())} == {*map(tuple, b.tolist())}


def _drawn(level: str, number: int, polarity: str) -> Candidate:
    """Stand for what a reader painted where nothing of the model's is kept: seen, so accepted."""
    return Candidate(
        vertebra=level,
        number=number,
        polarity="lytic" if polarity == "lytic" else "blastic",
        delta=math.nan,
        kept=True,
        p_hide=math.nan,
        slices=(),
        area_px=0,
        volume_mm3=0.0,
        mean_hu=math.nan,
        centroid_ras=(math.nan, math.nan, math.nan),
        source="reader",
        decision="accept",
        reason=_("drawn by hand"),
    )


def _measured(case: Case, candidate: Candidate, voxels: np.ndarray) -> Candidate:
    """Measure a candidate on its voxels now; its scores were of others and are left out."""
    if not len(voxels):
        return candidate
    grid = case.record.grid
    hu = voxels_of(need(case.ct, _("The CT")))[tuple(voxels.T)]
    r, a, s = (grid.affine[:3, :3] @ voxels.mean(0) + grid.affine[:3, 3]).tolist()
    return replace(
        candidate,
        delta=math.nan,
        p_hide=math.nan,
        p_without=None,
        volume_mm3=len(voxels) * grid.voxel_volume_mm3,
        mean_hu=float(hu.mean()),
        centroid_ras=(r, a, s),
    )
