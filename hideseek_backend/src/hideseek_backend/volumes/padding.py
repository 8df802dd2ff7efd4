"""Find what scanners and resamplers write where nothing was measured."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

BoolArray = NDArray[np.bool_]

SOFT_TISSUE_HU = 40.0
"""What an unmeasured voxel is filled with: neither a hole nor bone, so it suggests no lesion."""

# A run of equal voxels on a face shorter than this is chance (noise repeats a value now and then).
_MIN_FACE_PATCHES = 16
_MIN_REGION_VOXELS = 200
# Constant regions in this range are real air, saturated, unless they reach a vertebra.
_AIR_HU = (-1100.0, -900.0)


def find_padding(hu: NDArray[Any], near: BoolArray | None = None) -> BoolArray | None:
    """Return the mask (I, J, K) of padding, or None where there is none.

    Padding is a thick region of one exact value, 0 or at most -900, that touches a face of the
    array. Values near -1000 may be saturated air outside the patient: such a region counts only
    where it reaches `near` (I, J, K), usually the vertebra, which air never does.
    hu: (I, J, K) HU.
    """
    padding: BoolArray | None = None
    for value in _face_constants(hu):
        if _is_air(value) and near is None:
            continue
        region = _thick_border_region(hu == value)
        if region is None:
            continue
        if _is_air(value):
            region = _reaching(region, near)
            if region is None:
                continue
        padding = region if padding is None else padding | region
    return padding


def _is_air(value: float) -> bool:
    return _AIR_HU[0] <= value <= _AIR_HU[1]


def _face_constants(hu: NDArray[Any]) -> list[float]:
    """Values that fill 2x2 patches of a face often, and that padding may have."""
    counts: dict[float, int] = {}
    for axis in range(3):
        for index in (0, -1):
            face = np.take(hu, index, axis=axis)
            same = face[:-1, :-1] == face[1:, 1:]
            same &= (face[:-1, :-1] == face[:-1, 1:]) & (face[:-1, :-1] == face[1:, :-1])
            values, number = np.unique(face[:-1, :-1][same], return_counts=True)
            for value, count in zip(values.tolist(), number.tolist(), strict=True):
                counts[value] = counts.get(value, 0) + count
    return [
        value
        for value, count in counts.items()
        if count >= _MIN_FACE_PATCHES and (value == 0 or value <= _AIR_HU[1])
    ]


def _thick_border_region(equal: BoolArray) -> BoolArray | None:
    """Parts of `equal` that hold 3x3x3 blocks and touch a face; None where there are none.

    The array is taken to go on beyond its faces as it ends there, so that a one-voxel sheet of
    padding at a face is found too.
    """
    core = ndimage.minimum_filter(equal.view(np.uint8), size=3, mode="nearest").astype(bool)
    labels, count = ndimage.label(core)
    if not count:
        return None
    sizes = np.bincount(labels.ravel(), minlength=count + 1)
    keep = np.zeros(count + 1, dtype=bool)
    for axis in range(3):
        for index in (0, -1):
            keep[np.unique(np.take(labels, index, axis=axis))] = True
    keep &= sizes >= min(_MIN_REGION_VOXELS, max(equal.size // 100, 1))
    keep[0] = False
    if not keep.any():
        return None
    grown = ndimage.maximum_filter(keep[labels].view(np.uint8), size=3, mode="nearest")
    return np.asarray(grown.astype(bool) & equal)


def _reaching(region: BoolArray, near: BoolArray | None) -> BoolArray | None:
    """Components of `region` within two voxels of `near`; None where there are none."""
    if near is None or not near.any():
        return None
    labels, _ = ndimage.label(region)
    close = ndimage.maximum_filter(near.view(np.uint8), size=5).astype(bool)
    found = np.unique(labels[close])
    found = found[found > 0]
    return np.isin(labels, found) if found.size else None
