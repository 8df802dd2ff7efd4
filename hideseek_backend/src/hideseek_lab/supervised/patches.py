"""Instance-balanced patches: in an epoch one for each lesion, and as many without (SAP).

Wuts et al., after their instance-balanced loader: a positive patch is a random crop of the lesion's
bounding box and ten voxels around it, grown to 4/3 of the patch; negative windows overlap by half.
A patch of depth 1 is a slice.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from hideseek_backend.errors import InputError
from hideseek_lab.scoring.instances import label_components
from hideseek_lab.supervised.scans import Scan

MARGIN = 10
GROW = 4 / 3
_TRIES = 20
Roi = tuple[int, int, int]


@dataclass(frozen=True)
class Patch:
    """Where a patch lies: scan, first voxel, and the lesion it is for (0 for none)."""

    scan: int
    start: tuple[int, int, int]
    lesion: int = 0


class BalancedPatches:
    """Draws the patches of an epoch.

    ratio: negatives a positive. Raises InputError where no scan has a lesion.
    """

    def __init__(self, scans: Sequence[Scan], roi: Roi, ratio: float = 1.0) -> None:
        self.scans, self.roi, self.ratio = list(scans), roi, ratio
        self.components: list[NDArray[np.int32]] = []
        self.lesions: list[tuple[int, int, tuple[slice, ...]]] = []
        self.negatives: list[Patch] = []
        for index, scan in enumerate(self.scans):
            labels, _ = label_components(scan.lesions > 0)
            self.components.append(labels)
            for number, box in enumerate(ndimage.find_objects(labels), start=1):
                if box is not None:
                    self.lesions.append((index, number, box))
            self.negatives += [
                Patch(index, start)
                for start in window_starts(scan.shape, roi)
                if not scan.lesions[window(start, roi)].any()
            ]
        if not self.lesions:
            raise InputError(
                f"Expected lesions in the masks to learn from, got none in {len(self.scans)} "
                "scans.",
                "Give scans whose lesions are drawn, at least one.",
            )

    def epoch(self, rng: np.random.Generator) -> list[Patch]:
        """One patch for every lesion and matched negatives, in random order."""
        drawn = [self._positive(lesion, rng) for lesion in self.lesions]
        wanted = round(self.ratio * len(drawn))
        if self.negatives and wanted:
            chosen = rng.choice(len(self.negatives), wanted, replace=wanted > len(self.negatives))
            drawn += [self.negatives[int(i)] for i in chosen]
        return [drawn[int(i)] for i in rng.permutation(len(drawn))]

    def _positive(
        self, lesion: tuple[int, int, tuple[slice, ...]], rng: np.random.Generator
    ) -> Patch:
        index, number, box = lesion
        labels = self.components[index]
        for _ in range(_TRIES):
            start = tuple(
                _random_start(side, size, full, rng)
                for side, size, full in zip(box, self.roi, labels.shape, strict=True)
            )
            if (labels[window(start, self.roi)] == number).any():
                return Patch(index, (start[0], start[1], start[2]), number)
        # a thin or hollow lesion is easily missed: centre the patch on one of its voxels
        voxels = np.argwhere(labels == number)
        at = voxels[int(rng.integers(len(voxels)))]
        low = [
            int(np.clip(v - size // 2, 0, max(full - size, 0)))
            for v, size, full in zip(at, self.roi, labels.shape, strict=True)
        ]
        return Patch(index, (low[0], low[1], low[2]), number)


def cut(scan: Scan, patch: Patch, roi: Roi) -> tuple[NDArray[np.float32], NDArray[np.uint8]]:
    """Image (C, *roi) and (lesions, bones) (2, *roi) of a patch; what lies beyond is 0."""
    where = window(patch.start, roi)
    masks = np.zeros((2, *roi), dtype=np.uint8)
    lesions, bones = scan.lesions[where], scan.bones[where]
    inside = tuple(slice(0, n) for n in lesions.shape)
    masks[0][inside], masks[1][inside] = lesions, bones
    image = np.zeros((scan.image.shape[0], *roi), dtype=np.float32)
    for own, channel in zip(image, scan.image, strict=True):
        own[inside] = channel[where]
    return image, masks


def window(start: Sequence[int], roi: Sequence[int]) -> tuple[slice, ...]:
    return tuple(slice(a, a + n) for a, n in zip(start, roi, strict=True))


def window_starts(shape: Sequence[int], roi: Sequence[int]) -> list[tuple[int, int, int]]:
    """First voxels of windows that cover a scan, neighbours overlapping by half."""
    axes = []
    for full, size in zip(shape, roi, strict=True):
        last = max(full - size, 0)
        axes.append(sorted({*range(0, last, max(size // 2, 1)), last}))
    return [(i, j, k) for i in axes[0] for j in axes[1] for k in axes[2]]


def _random_start(box: slice, size: int, full: int, rng: np.random.Generator) -> int:
    """A first voxel on one axis: a crop of the box with its margin, grown about its middle."""
    margin = MARGIN if size > 1 else 0
    low, high = box.start - margin, box.stop + margin
    lack = int(np.ceil(GROW * size)) - (high - low) if size > 1 else 0
    if lack > 0:
        low, high = low - lack // 2, high + lack - lack // 2
    start = int(rng.integers(low, max(high - size, low) + 1))
    return int(np.clip(start, 0, max(full - size, 0)))
