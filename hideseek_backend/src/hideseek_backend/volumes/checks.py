"""Checks of a CT and its masks, all made before any long work.

Each check returns warnings for what can be lived with and raises for what cannot.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hideseek_backend.errors import GeometryError, InputError
from hideseek_backend.volumes.padding import find_padding
from hideseek_backend.volumes.volume import Volume

WARN_SPACING_MM = 3.0
MAX_SPACING_MM = 6.0
MIN_SPACING_MM = 0.05
# 3.0 is often stored as 3.0000002.
_SPACING_SLACK = 1e-3
_MAX_SHEAR_DEGREES = 1.0
_MIN_EXTENT_MM = 20.0

# Scanners store -1024…3071, extended scales up to 30 710 (metal), padding down to -8192.
_LOWEST_HU, _HIGHEST_HU = -8192.0, 31000.0
# A spine CT always holds fat or air below this, and muscle, fat and marrow within the window.
_FAT_HU = -30.0
_MIN_FAT_FRACTION = 5e-4
_TISSUE_HU = (-200.0, 300.0)
_MIN_TISSUE_FRACTION = 0.02
_MIN_BONE_HU = 120.0
# Real masks stand out from their surroundings by 180 to 330 HU, misplaced ones by under 100.
_MIN_BONE_CONTRAST_HU = 30.0
_USUAL_BONE_CONTRAST_HU = 80.0
_AROUND_MM = 8.0
_BONE_SAMPLE = 20_000
_CONVERT = "Give the CT in Hounsfield units (air -1000, water 0), converted from the DICOM files."


def check_grid(volume: Volume, source: str = "the CT") -> tuple[str, ...]:
    """Check spacing, size and right angles of a grid; returns warnings.

    Raises GeometryError for voxels over 6 mm or under 0.05 mm, a shear over 1 degree, or an image
    under 20 mm along an axis.
    """
    warnings = check_spacing(volume, source)
    extent = volume.spacing * volume.shape
    if extent.min() < _MIN_EXTENT_MM:
        shown = " x ".join(f"{value:.0f}" for value in extent)
        raise GeometryError(
            f"Expected at least {_MIN_EXTENT_MM:g} mm along each axis of {source}, got {shown} mm.",
            "Give the whole volume, not a few slices.",
        )
    return warnings


def check_spacing(volume: Volume, source: str = "the CT") -> tuple[str, ...]:
    """Check spacing and right angles, of a part of a CT too; returns warnings.

    Raises GeometryError for voxels over 6 mm or under 0.05 mm, or a shear over 1 degree.
    """
    spacing = volume.spacing
    text = " x ".join(f"{value:.2f}" for value in spacing)
    if spacing.max() > MAX_SPACING_MM * (1 + _SPACING_SLACK):
        raise GeometryError(
            f"Expected voxels of at most {MAX_SPACING_MM:g} mm in {source}, got {text} mm.",
            "Lesions cannot be told in slices this thick: use a thinner reconstruction.",
        )
    if spacing.min() < MIN_SPACING_MM:
        raise GeometryError(
            f"Expected voxels of at least {MIN_SPACING_MM:g} mm in {source}, got {text} mm.",
            "The spacing may be stored in metres or centimetres: correct it to mm.",
        )
    cosines = volume.affine[:3, :3] / spacing
    gram = np.abs(cosines.T @ cosines - np.eye(3))
    angle = float(np.degrees(np.arcsin(min(gram.max(), 1.0))))
    if angle > _MAX_SHEAR_DEGREES:
        raise GeometryError(
            f"Expected axes at right angles in {source}, got a shear of {angle:.1f} degrees.",
            "It comes from gantry tilt or an affine registration: resample to a straight grid.",
        )
    if spacing.max() > WARN_SPACING_MM * (1 + _SPACING_SLACK):
        return (
            f"Voxels of {source} are {text} mm: over {WARN_SPACING_MM:g} mm small lesions are "
            "missed and volumes are rough.",
        )
    return ()


def check_hu(volume: Volume, source: str = "the CT") -> tuple[str, ...]:
    """Check that voxels are plausible Hounsfield units; returns warnings.

    Raises InputError for NaN, constant, windowed, normalised, MR-like, overflowed or wrongly scaled
    values, each told apart in the message.
    """
    data = volume.data
    if data.dtype.kind not in "iuf":
        raise InputError(
            f"Expected numbers in {source}, got voxels of type {data.dtype}.", _CONVERT
        )
    if data.size == 0:
        raise InputError(f"Expected voxels in {source}, got none ({data.shape}).", _CONVERT)
    if data.dtype.kind == "f" and not np.isfinite(data).all():
        bad = int(np.count_nonzero(~np.isfinite(data)))
        raise InputError(
            f"Expected finite numbers in {source}, got {bad} voxels of NaN or infinity.",
            "Set voxels outside the field of view to -1024, then try again.",
        )
    low, high = float(data.min()), float(data.max())
    if low == high:
        raise InputError(
            f"Expected an image in {source}, got {low:g} everywhere.",
            "The export failed or the wrong file was chosen: give the CT.",
        )
    _check_range(low, high, source)
    measured = _measured(data)
    _check_tissue(measured, source)
    return ()


def _check_range(low: float, high: float, source: str) -> None:
    if high > _HIGHEST_HU or low < _LOWEST_HU:
        raise InputError(
            f"Expected Hounsfield units in {source}, got values from {low:g} to {high:g}: an "
            "integer overflow (negative HU stored as unsigned) or a wrong scale.",
            _CONVERT,
        )
    if high - low <= 25.0:
        raise InputError(
            f"Expected Hounsfield units in {source}, got values from {low:g} to {high:g}: "
            "the image was normalised.",
            _CONVERT,
        )
    if low >= 0.0 and high <= 255.0:
        raise InputError(
            f"Expected Hounsfield units in {source}, got grey levels from {low:g} to {high:g}: "
            "a windowed 8-bit picture.",
            _CONVERT,
        )
    if low >= 0.0:
        raise InputError(
            f"Expected Hounsfield units in {source}, got no negative value ({low:g} to {high:g}), "
            "though fat is about -100 and air -1000: an MR image, or a CT whose offset of -1024 "
            "was not applied.",
            "HideSeek reads CT only. " + _CONVERT,
        )


def _measured(data: NDArray[Any]) -> NDArray[Any]:
    """A sample of voxels, padding left out."""
    # Every fourth voxel along each axis says as much about the histogram as all of them.
    step = tuple(slice(None, None, 4 if size >= 64 else 1) for size in data.shape)
    sample = np.ascontiguousarray(data[step])
    padding = find_padding(sample)
    return sample[~padding] if padding is not None else sample.ravel()


def _check_tissue(values: NDArray[Any], source: str) -> None:
    fat = float(np.mean(values < _FAT_HU))
    tissue = float(np.mean((values > _TISSUE_HU[0]) & (values < _TISSUE_HU[1])))
    if fat < _MIN_FAT_FRACTION:
        raise InputError(
            f"Expected fat or air (below {_FAT_HU:g} HU) in {source}, got only {fat:.2%} of "
            "voxels: an MR image, or a CT that is scaled wrongly.",
            "HideSeek reads CT only. " + _CONVERT,
        )
    if tissue < _MIN_TISSUE_FRACTION:
        middle = float(np.median(values))
        raise InputError(
            f"Expected soft tissue ({_TISSUE_HU[0]:g} to {_TISSUE_HU[1]:g} HU) in {source}, got "
            f"{tissue:.1%} of voxels there and a median of {middle:g}: slope or offset are wrong.",
            _CONVERT,
        )


def check_bone(
    ct: Volume, labels: NDArray[Any], source: str = "the vertebra mask"
) -> tuple[str, ...]:
    """Check that the mask (I, J, K) lies on bone; returns warnings.

    Raises InputError when the vertebrae hold no bright voxels (HU scaled wrongly), GeometryError
    when they are no brighter than what is around them (mask and CT disagree in frame).
    """
    return check_bone_parts([(ct, labels)], source)


def check_bone_parts(
    parts: Sequence[tuple[Volume, NDArray[Any]]], source: str = "the vertebra mask"
) -> tuple[str, ...]:
    """Check several parts of one CT together, as `check_bone` checks the whole.

    One vertebra that is largely destroyed is no brighter than muscle: it is judged with the others.
    """
    values = [_inside_and_around(ct, labels) for ct, labels in parts]
    inside, around = (np.concatenate(some) for some in zip(*values, strict=True))
    if not inside.size or not around.size:
        return ()
    # Medians: around a mask of bodies alone lie cortex, arches and a bright aorta.
    contrast = float(np.median(inside) - np.median(around))
    if contrast < _MIN_BONE_CONTRAST_HU:
        raise GeometryError(
            f"Expected {source} to lie on bone, but it is only {contrast:.0f} HU brighter than "
            f"what is around it (median {float(np.median(inside)):.0f} HU): the mask and the CT "
            "disagree in frame, or belong to two patients.",
            "Make the mask from this very CT, and check flips between LPS and RAS.",
        )
    bright = float(np.percentile(inside, 95))
    if bright < _MIN_BONE_HU:
        raise InputError(
            f"Expected bone under {source}, but 95 % of its voxels are below {bright:.0f} HU: the "
            "CT is scaled wrongly, or the mask lies elsewhere.",
            _CONVERT,
        )
    if contrast < _USUAL_BONE_CONTRAST_HU:
        return (
            f"{source} is only {contrast:.0f} HU brighter than what is around it: look whether it "
            "lies on the vertebrae.",
        )
    return ()


def _inside_and_around(
    ct: Volume, labels: NDArray[Any]
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """HU of a sample of mask voxels, and of unlabelled voxels 8 mm from them."""
    index = np.argwhere(labels > 0)
    rng = np.random.default_rng(0)
    index = index[rng.permutation(len(index))[:_BONE_SAMPLE]]
    steps = rng.normal(size=index.shape)
    steps *= _AROUND_MM / np.linalg.norm(steps, axis=1, keepdims=True)
    # Directions are random, so the grid's own axes serve as well as the patient's.
    beside = index + np.rint(steps / ct.spacing).astype(int)
    beside = beside[((beside >= 0) & (beside < ct.shape)).all(axis=1)]
    beside = beside[labels[tuple(beside.T)] == 0]

    def values(points: NDArray[np.int_]) -> NDArray[np.float32]:
        hu = np.asarray(ct.data[tuple(points.T)], dtype=np.float32)
        return np.clip(hu, -200.0, 1000.0)  # lungs and metal shall not outweigh the rest

    return values(index), values(beside)
