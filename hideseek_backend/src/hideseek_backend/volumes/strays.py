"""Voxels of a vertebra that lie far from it, as automatic segmentations scatter them."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage
from skimage import measure

MIN_VERTEBRA_MM3 = 500.0
"""Smaller leftovers are not a vertebra: a cut-off process, or stray voxels."""

# No vertebra is wider, deeper or taller than this with all its processes, and real ones fill a
# tenth of their box and more.
_WIDEST_MM = 140.0
_LEAST_FILLED = 0.06
# Of a value that is spread more than that, parts smaller than this share of its largest are strays.
_STRAY_PART = 0.02


def without_strays(
    labels: NDArray[np.uint8], spacing: NDArray[np.float64]
) -> tuple[NDArray[np.uint8], dict[int, int]]:
    """Take small parts off values that are spread over more than a vertebra can be.

    labels: (I, J, K). spacing: (3,) mm. A spread value without any part of a vertebra's size goes
    wholly. Returns the labels (the same array where nothing was taken off) and how many voxels each
    value lost.
    """
    counts = np.bincount(labels.ravel(), minlength=256)
    spread = []
    for value, box in enumerate(ndimage.find_objects(labels), start=1):
        if box is not None:
            sides = np.array([s.stop - s.start for s in box])
            wide = float((sides * spacing).max()) > _WIDEST_MM
            if wide or counts[value] < _LEAST_FILLED * float(sides.prod()):
                spread.append(value)
    if not spread:
        return labels, {}
    parts = measure.label(np.where(np.isin(labels, spread), labels, 0), connectivity=3)
    sizes = np.bincount(parts.ravel())
    value_of = np.zeros(len(sizes), dtype=np.uint8)
    value_of[parts.ravel()] = labels.ravel()
    sizes[0] = value_of[0] = 0
    largest = np.zeros(256, dtype=np.int64)
    np.maximum.at(largest, value_of, sizes)
    nothing_but = largest * float(spacing.prod()) < MIN_VERTEBRA_MM3
    stray = (sizes < _STRAY_PART * largest[value_of]) | nothing_but[value_of]
    stray[0] = False
    lost = np.bincount(value_of[stray], weights=sizes[stray], minlength=256).astype(int)
    if not lost.any():
        return labels, {}
    kept = np.where(stray[parts], 0, labels).astype(np.uint8)
    return kept, {value: int(lost[value]) for value in spread if lost[value]}
