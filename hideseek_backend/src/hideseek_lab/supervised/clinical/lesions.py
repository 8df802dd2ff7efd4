"""Lesions as Pawan, Rich et al. count and describe them, and how predictions agree with truth.

A lesion is what hangs together within a slice (diagonals included) or overlaps by a pixel or more
from one slice to the next.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from hideseek_lab.supervised.clinical.bones import GROUPS, Bone

NEAR_SLICES = 10
DIFFUSE_SHARE = 0.8
"""The paper says "the vast majority of the bone in at least one slice" and gives no number."""
LEAST_BONE_PX = 20
"""A slice that shows less of a bone cannot make a lesion diffuse: every bone ends in a tip."""


@dataclass(frozen=True)
class Lesion:
    """One lesion of a mask.

    number: in the labels. first, last: slices. neighbours: other lesions within 10 slices.
    diffuse: None without a bone map, or outside every bone. share: most of its bone that it fills
    in one slice.
    """

    number: int
    voxels: int
    volume_mm3: float
    first: int
    last: int
    neighbours: int
    bone: Bone | None = None
    share: float = math.nan
    diffuse: bool | None = None


def slice_axis(affine: NDArray[np.float64]) -> int:
    """The array axis that runs most along the body, so that slices are axial."""
    directions = affine[:3, :3] / np.linalg.norm(affine[:3, :3], axis=0)
    return int(np.argmax(np.abs(directions[2])))


def count_lesions_3d(mask: NDArray[np.bool_], axis: int = 2) -> tuple[NDArray[np.int32], int]:
    """Label lesions by the paper's rule: (labels of the mask's shape, number of lesions).

    axis: along which the slices are stacked.
    """
    structure = np.zeros((3, 3, 3), dtype=bool)
    structure[1] = True
    structure[:, 1, 1] = True
    labels = np.zeros(mask.shape, dtype=np.int32)
    count = ndimage.label(mask, np.moveaxis(structure, 0, axis), output=labels)
    return labels, int(count)


def describe(
    labels: NDArray[np.int32],
    voxel_mm3: float,
    bones: NDArray[np.integer] | None = None,
    names: Mapping[int, Bone] | None = None,
    *,
    axis: int = 2,
    diffuse_share: float = DIFFUSE_SHARE,
) -> list[Lesion]:
    """Describe every lesion of `count_lesions_3d`.

    bones: a label map on the same grid; names: its values. A lesion lies in the bone that holds
    most of its voxels. It is diffuse where it fills `diffuse_share` of that bone in a slice.
    """
    stacked = np.moveaxis(labels, axis, 0)
    bone_planes = None if bones is None else np.moveaxis(np.asarray(bones), axis, 0)
    spans = [(number, box) for number, box in enumerate(ndimage.find_objects(stacked), 1) if box]
    ranges = {number: (box[0].start, box[0].stop - 1) for number, box in spans}
    sizes = np.bincount(labels.ravel())
    bone_areas: dict[int, NDArray[np.int_]] = {}
    made = []
    for number, box in spans:
        first, last = ranges[number]
        near = sum(
            max(low - last, first - high, 0) <= NEAR_SLICES
            for other, (low, high) in ranges.items()
            if other != number
        )
        own = stacked[box] == number
        bone, share, diffuse = None, math.nan, None
        if bone_planes is not None and names is not None:
            value = _most(bone_planes[box][own], names)
            if value:
                bone = names[value]
                if value not in bone_areas:
                    bone_areas[value] = (bone_planes == value).sum(axis=(1, 2))
                areas = bone_areas[value][first : last + 1]
                inside = (own & (bone_planes[box] == value)).sum(axis=(1, 2))
                large = areas >= LEAST_BONE_PX
                share = float((inside[large] / areas[large]).max()) if large.any() else 0.0
                diffuse = share >= diffuse_share
        voxels = int(sizes[number])
        made.append(
            Lesion(number, voxels, voxels * voxel_mm3, first, last, near, bone, share, diffuse)
        )
    return made


def _most(values: NDArray[np.integer], names: Mapping[int, Bone]) -> int:
    """The named label that most voxels have, 0 for none."""
    found, counts = np.unique(values, return_counts=True)
    known = [(int(c), int(v)) for v, c in zip(found, counts, strict=True) if int(v) in names]
    return max(known)[1] if known else 0


@dataclass(frozen=True)
class Anchored:
    """A true lesion with the predicted one that overlaps it most, None where it was missed."""

    truth: Lesion
    predicted: Lesion | None


def anchor(
    truth_labels: NDArray[np.int32],
    truth: Sequence[Lesion],
    predicted_labels: NDArray[np.int32],
    predicted: Sequence[Lesion],
) -> list[Anchored]:
    """Give each true lesion its prediction."""
    by_number = {lesion.number: lesion for lesion in predicted}
    both = (truth_labels > 0) & (predicted_labels > 0)
    pairs = np.stack([truth_labels[both], predicted_labels[both]], axis=1)
    kinds, counts = (
        np.unique(pairs, axis=0, return_counts=True) if len(pairs) else (pairs, np.zeros(0))
    )
    best: dict[int, tuple[int, int]] = {}
    for (t, p), n in zip(kinds.tolist(), counts.tolist(), strict=True):
        best[t] = max(best.get(t, (0, 0)), (int(n), int(p)))
    return [
        Anchored(lesion, by_number[best[lesion.number][1]] if lesion.number in best else None)
        for lesion in truth
    ]


@dataclass(frozen=True)
class TaskFigures:
    """A yes-or-no task over true lesions.

    tp, fn, fp, tn: with missed lesions counted as "no". sensitivity_found, specificity_found: over
    the lesions that were found alone. NaN where undefined.
    """

    task: str
    tp: int
    fn: int
    fp: int
    tn: int
    sensitivity_found: float
    specificity_found: float

    @property
    def sensitivity(self) -> float:
        return _share(self.tp, self.fn)

    @property
    def specificity(self) -> float:
        return _share(self.tn, self.fp)


def task(
    name: str, pairs: Sequence[Anchored], says: Callable[[Lesion], bool | None]
) -> TaskFigures:
    """Compare what truth and prediction say of each true lesion; None leaves the lesion out."""
    counts = {(a, b): 0 for a in (True, False) for b in (True, False)}
    found = dict(counts)
    for pair in pairs:
        truth = says(pair.truth)
        if truth is None:
            continue
        own = bool(says(pair.predicted)) if pair.predicted is not None else False
        counts[truth, own] += 1
        if pair.predicted is not None:
            found[truth, own] += 1
    return TaskFigures(
        name,
        counts[True, True], counts[True, False], counts[False, True], counts[False, False],
        _share(found[True, True], found[True, False]),
        _share(found[False, False], found[False, True]),
    )  # fmt: skip


def clinical_tasks(pairs: Sequence[Anchored]) -> list[TaskFigures]:
    """The paper's tasks anchored on true lesions: clustered, diffuse, weight bearing, each bone."""

    def in_group(group: str) -> Callable[[Lesion], bool | None]:
        return lambda lesion: None if lesion.bone is None else lesion.bone.group == group

    def bearing(lesion: Lesion) -> bool | None:
        return None if lesion.bone is None else lesion.bone.weight_bearing

    made = [task("clustered (another within 10 slices)", pairs, lambda le: le.neighbours > 0)]
    if any(pair.truth.bone is not None for pair in pairs):
        made.append(task("diffuse", pairs, lambda lesion: lesion.diffuse))
        made.append(task("weight bearing", pairs, bearing))
        present = {pair.truth.bone.group for pair in pairs if pair.truth.bone is not None}
        made += [task(f"in {g}", pairs, in_group(g)) for g in GROUPS if g in present]
    return made


def bone_specificity(
    truth: NDArray[np.bool_],
    prediction: NDArray[np.bool_],
    bones: NDArray[np.integer],
    names: Mapping[int, Bone],
) -> tuple[int, int]:
    """(bones without a true lesion, those of them without a predicted one).

    The papers' specificity of lesion detection counts lesions of other systems as negatives and so
    depends on who takes part; bones do not.
    """
    present = {int(v) for v in np.unique(bones)} & set(names)
    ill = {int(v) for v in np.unique(bones[truth])}
    marked = {int(v) for v in np.unique(bones[prediction])}
    healthy = present - ill
    return len(healthy), len(healthy - marked)


def _share(part: int, rest: int) -> float:
    return part / (part + rest) if part + rest else math.nan
