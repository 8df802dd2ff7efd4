"""Reading lesion and vertebra masks for scoring, 2D or 3D, and checking that they share a frame."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import SimpleITK as sitk
from numpy.typing import NDArray

from hideseek_backend.errors import GeometryError, InputError

SUFFIXES: tuple[str, ...] = (
    ".nii.gz", ".nii", ".nrrd", ".mha", ".mhd", ".png", ".tif", ".tiff",
)  # fmt: skip


@dataclass(frozen=True, eq=False)
class Mask:
    """A label map on its own grid.

    labels: 2D or 3D integers, axes in file order (i, j[, k]); a singleton axis is taken out.
    spacing: mm per axis. affine: (4, 4), index (i, j, k) of `labels` -> RAS mm; for a slice,
    k = 0.
    """

    labels: NDArray[np.int32]
    spacing: tuple[float, ...]
    affine: NDArray[np.float64]
    path: Path


def stem(path: Path) -> str:
    """Name of a mask file without its suffix, ".nii.gz" counting as one."""
    for suffix in SUFFIXES:
        if path.name.lower().endswith(suffix):
            return path.name[: -len(suffix)]
    return path.stem


def is_mask(path: Path) -> bool:
    return path.is_file() and path.name.lower().endswith(SUFFIXES)


def read_mask(path: Path) -> Mask:
    """Read a label map through SimpleITK.

    Raises InputError for a file that is no readable 2D or 3D image of whole numbers.
    """
    try:
        image = sitk.ReadImage(str(path))
    except RuntimeError as error:
        raise InputError(
            f"{path} cannot be read as an image.", "Give a NIfTI, NRRD, MHA, PNG or TIFF file."
        ) from error
    array = np.asarray(sitk.GetArrayFromImage(image))
    if image.GetNumberOfComponentsPerPixel() != 1 or array.ndim not in (2, 3):
        raise InputError(
            f"{path} must hold one 2D or 3D label map, got an array of {array.shape}.",
            "Save a single mask.",
        )
    array = array.transpose()
    labels = np.rint(array).astype(np.int32)
    if not np.array_equal(labels, array):
        raise InputError(
            f"{path} holds values that are no whole numbers.",
            "Give a label map (0, 1 lytic, 2 blastic), not an image or a probability.",
        )
    rank = array.ndim
    affine = np.eye(4)
    direction = np.asarray(image.GetDirection()).reshape(rank, rank)
    affine[:rank, :rank] = direction * np.asarray(image.GetSpacing())
    affine[:rank, 3] = image.GetOrigin()
    affine = np.diag([-1.0, -1.0, 1.0, 1.0]) @ affine  # ITK is LPS, we are RAS
    spacing = tuple(float(value) for value in image.GetSpacing())
    if rank == 3 and 1 in labels.shape:
        axis = labels.shape.index(1)
        order = [a for a in range(3) if a != axis] + [axis]
        labels = np.squeeze(labels, axis=axis)
        affine = affine[:, [*order, 3]]
        spacing = tuple(spacing[a] for a in order[:2])
    return Mask(labels, spacing, affine, path)


def check_same_frame(first: Mask, second: Mask) -> None:
    """Raise GeometryError unless both masks lie on one grid (to a hundredth of a voxel)."""
    same_shape = first.labels.shape == second.labels.shape
    tolerance = 0.01 * min(first.spacing)
    if same_shape and np.allclose(first.affine, second.affine, atol=max(tolerance, 1e-4)):
        return
    raise GeometryError(
        f"{first.path.name} and {second.path.name} do not lie on one grid: shapes "
        f"{first.labels.shape} and {second.labels.shape}, origins "
        f"{_brief(first.affine[:3, 3])} and {_brief(second.affine[:3, 3])} mm.",
        "Resample the prediction onto the reference's grid (nearest neighbour) first.",
    )


def _brief(values: Any) -> list[float]:
    return [round(float(value), 2) for value in values]
