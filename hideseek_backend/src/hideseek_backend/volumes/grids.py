"""Bring a mask onto the CT's grid, and refuse it where the two cannot belong together."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from hideseek_backend.errors import GeometryError
from hideseek_backend.volumes.volume import Volume, inverse

# Share of labelled voxels that may lie outside the CT before the frames are said to disagree.
_MAX_OUTSIDE = 0.10
_SAME_FRACTION = 0.02  # of a voxel


def onto_grid(
    labels: Volume, ct: Volume, source: str = "the mask"
) -> tuple[NDArray[Any], tuple[str, ...]]:
    """Return integer labels on the CT's grid (I, J, K) by nearest neighbour, and warnings.

    A mask on the CT's own grid, or on a part of it, is copied without a warning.
    Raises GeometryError when the labelled voxels lie outside the CT, or over a tenth of them do.
    """
    to_labels = inverse(labels.affine) @ ct.affine
    if labels.shape == ct.shape and _corner_shift(to_labels, ct.shape) < _SAME_FRACTION:
        return labels.data, ()
    outside = _outside_fraction(labels, ct)
    if outside > _MAX_OUTSIDE:
        what = "do not overlap" if outside > 0.999 else "disagree in frame"
        raise GeometryError(
            f"Expected {source} to lie within the CT, but {outside:.0%} of its labelled voxels are "
            f"outside: they {what}. CT {_box(ct)}; mask {_box(labels)}.",
            "Make the mask from this very CT, and check flips between LPS and RAS.",
        )
    out = np.zeros(ct.shape, dtype=labels.data.dtype)
    ndimage.affine_transform(
        labels.data,
        to_labels[:3, :3],
        to_labels[:3, 3],
        output=out,
        order=0,
        mode="grid-constant",
        cval=0,
        prefilter=False,
    )
    if not out.any():
        raise GeometryError(
            f"Expected labels of {source} on the CT's grid, got none after resampling.",
            "Make the mask from this very CT.",
        )
    warnings: tuple[str, ...] = ()
    if not _aligned(to_labels):
        warnings = (
            f"{source} has another grid ({_grid(labels)}) than the CT ({_grid(ct)}): "
            "resampled by nearest neighbour.",
        )
    if outside > 0.001:
        warnings += (f"{outside:.1%} of the labelled voxels of {source} lie outside the CT.",)
    return out, warnings


def _corner_shift(to_labels: NDArray[np.float64], shape: tuple[int, int, int]) -> float:
    """Largest move of a corner, in voxels, between two grids of one shape."""
    ends = np.array([(0.0, size - 1.0) for size in shape])
    corners = np.array(np.meshgrid(*ends, indexing="ij")).reshape(3, -1).T
    moved = corners @ to_labels[:3, :3].T + to_labels[:3, 3]
    return float(np.abs(moved - corners).max())


def _aligned(to_labels: NDArray[np.float64]) -> bool:
    """Whether voxels of the two grids coincide: one grid is a part, or a flip, of the other."""
    rounded = np.rint(to_labels)
    same = np.abs(to_labels - rounded).max() < _SAME_FRACTION
    return bool(same and abs(abs(np.linalg.det(rounded[:3, :3])) - 1.0) < 1e-6)


def _outside_fraction(labels: Volume, ct: Volume) -> float:
    index = np.argwhere(labels.data > 0)
    if not len(index):
        return 0.0
    if len(index) > 200_000:  # a sample is enough
        index = index[:: len(index) // 200_000 + 1]
    place = ct.ijk(labels.ras(index))
    inside = ((place >= -0.5) & (place <= np.array(ct.shape) - 0.5)).all(axis=1)
    return float(1.0 - inside.mean())


def _box(volume: Volume) -> str:
    ends = np.array([(-0.5, size - 0.5) for size in volume.shape])
    corners = volume.ras(np.array(np.meshgrid(*ends, indexing="ij")).reshape(3, -1).T)
    low, high = corners.min(axis=0), corners.max(axis=0)
    parts = (f"{name} {a:.0f}…{b:.0f}" for name, a, b in zip("RAS", low, high, strict=True))
    return "spans " + ", ".join(parts) + " mm"


def _grid(volume: Volume) -> str:
    shape = "x".join(str(size) for size in volume.shape)
    return f"{shape} at " + "x".join(f"{value:.2f}" for value in volume.spacing) + " mm"
