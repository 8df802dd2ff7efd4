"""From the planes of slices to one grid in the patient; gantry tilt is straightened.

Everything follows from position and orientation as the slices state them: nothing is flipped by
hand, so a negated cosine, a sagittal or an oblique series needs no case of its own.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from hideseek_backend.errors import GeometryError
from hideseek_backend.volumes.volume import FloatArray, Volume

LPS_TO_RAS = np.array([-1.0, -1.0, 1.0])
AIR_HU = -1024
# Positions are written with few digits, so equal steps differ a little.
_STEP_TOLERANCE = 0.05  # of the slice step
_SHEAR_TOLERANCE_DEGREES = 0.5
_MAX_TILT_DEGREES = 35.0  # gantries tilt by 30


@dataclass(frozen=True, eq=False)
class Plane:
    """One slice in the patient, DICOM's LPS mm.

    position: (3,) centre of the first pixel. orientation: (6,) cosines along a row, then along a
    column. spacing: mm between columns, between rows. size: columns, rows.
    """

    position: FloatArray
    orientation: FloatArray
    spacing: tuple[float, float]
    size: tuple[int, int]

    @property
    def normal(self) -> FloatArray:
        """(3,) unit vector, row × column."""
        return np.asarray(np.cross(self.orientation[:3], self.orientation[3:]), dtype=np.float64)

    @property
    def view(self) -> str:
        """axial, coronal or sagittal; "oblique" is added beyond 20 degrees."""
        normal = np.abs(self.normal)
        name = ("sagittal", "coronal", "axial")[int(np.argmax(normal))]
        return name if normal.max() > np.cos(np.radians(20)) else f"oblique {name}"

    @property
    def affine(self) -> FloatArray:
        """(4, 4) from (column, row, 0, 1) to RAS mm; the third axis is the normal, 1 mm."""
        matrix = np.eye(4)
        matrix[:3, 0] = self.orientation[:3] * self.spacing[0]
        matrix[:3, 1] = self.orientation[3:] * self.spacing[1]
        matrix[:3, 2] = self.normal
        matrix[:3, 3] = self.position
        matrix[:3] *= LPS_TO_RAS[:, None]
        return matrix


@dataclass(frozen=True, eq=False)
class Stack:
    """Slices in order along their normal.

    order: which plane comes first, second, … affine: (column, row, slice, 1) -> RAS mm, sheared
    where the gantry was tilted by `tilt_degrees` (0 where it was not).
    """

    order: tuple[int, ...]
    affine: FloatArray
    tilt_degrees: float


def stack(planes: Sequence[Plane | None], where: str) -> Stack:
    """Order slices and check that they make one regular grid.

    where: names the series in messages. Raises GeometryError for planes without a place, of
    several sizes or orientations, doubled, missing, unevenly spaced or off the line.
    """
    found = [plane for plane in planes if plane is not None]
    if len(found) < len(planes) or not found:
        raise GeometryError(
            f"Expected position, orientation and pixel spacing in {where}, but "
            f"{len(planes) - len(found)} of {len(planes)} slices lack them or hold no numbers.",
            "Export the original slices, not secondary captures.",
        )
    first = found[0]
    for plane in found:
        if plane.size != first.size or not np.allclose(plane.spacing, first.spacing, rtol=1e-3):
            raise GeometryError(
                f"Expected slices of one size and spacing in {where}, got {first.size} at "
                f"{first.spacing} mm and {plane.size} at {plane.spacing} mm.",
                "Export each reconstruction as a series of its own.",
            )
    if np.abs(np.array([plane.orientation for plane in found]) - first.orientation).max() > 1e-3:
        raise GeometryError(
            f"Expected slices of one orientation in {where}, got several.",
            "Export each orientation (axial, sagittal, a scout) as a series of its own.",
        )
    if len(found) < 2:
        raise GeometryError(
            f"Expected a series of slices in {where}, got 1.", "Give the folder with all slices."
        )
    positions = np.array([plane.position for plane in found])
    depth = positions @ first.normal
    order = np.argsort(depth, kind="stable")
    _check_steps(depth[order], where)
    ordered = positions[order]
    step = (ordered[-1] - ordered[0]) / (len(ordered) - 1)
    drift = np.abs(ordered - (ordered[0] + np.outer(np.arange(len(ordered)), step))).max()
    if drift > max(0.5, 0.5 * min(first.spacing)):
        raise GeometryError(
            f"Expected slices stacked on one line in {where}, but one lies {drift:.1f} mm off.",
            "The table or the field of view moved between slices: reconstruct the series again.",
        )
    affine = np.array(first.affine)
    affine[:3, 2] = step * LPS_TO_RAS
    affine[:3, 3] = ordered[0] * LPS_TO_RAS
    return Stack(tuple(int(n) for n in order), affine, _tilt(step, first.normal, where))


def _check_steps(depth: FloatArray, where: str) -> None:
    steps = np.diff(depth)
    usual = float(np.median(steps))
    if steps.min() < 1e-3:
        doubled = int(np.count_nonzero(steps < 1e-3))
        raise GeometryError(
            f"Expected one slice at each position in {where}, got {doubled} positions twice.",
            "Several phases or reconstructions share the series: export one of them.",
        )
    wrong = np.flatnonzero(np.abs(steps - usual) > max(_STEP_TOLERANCE * usual, 0.02))
    if wrong.size:
        places = ", ".join(f"{steps[n]:.2f} mm after slice {n + 1}" for n in wrong[:5])
        missing = int(np.rint(steps[wrong] / usual - 1).clip(0).sum())
        raise GeometryError(
            f"Expected slices {usual:.2f} mm apart in {where}, got {places}"
            f"{f' ({missing} slices missing)' if missing else ''}.",
            "Export the whole series again; a gap would bend every measurement.",
        )


def _tilt(step: FloatArray, normal: FloatArray, where: str) -> float:
    cosine = float(step @ normal / np.linalg.norm(step))
    angle = float(np.degrees(np.arccos(np.clip(cosine, -1.0, 1.0))))
    if angle > _MAX_TILT_DEGREES:
        raise GeometryError(
            f"Expected slices stacked along their normal in {where}, got {angle:.0f} degrees off, "
            "more than a gantry tilts.",
            "The positions are wrong: export the series again.",
        )
    return angle if angle > _SHEAR_TOLERANCE_DEGREES else 0.0


def straightened(volume: Volume) -> Volume:
    """Resample a sheared stack of slices to a grid of right angles, air where nothing was scanned.

    volume: (columns, rows, slices) HU. Every slice is shifted within its own plane, linearly
    interpolated; nothing is blended from slice to slice. Rows and columns grow to hold all slices.
    """
    affine = volume.affine
    axes = affine[:3, :2] / np.linalg.norm(affine[:3, :2], axis=0)
    normal = np.cross(axes[:, 0], axes[:, 1])
    normal *= np.sign(normal @ affine[:3, 2])
    spacing = np.linalg.norm(affine[:3, :2], axis=0)
    drift = (affine[:3, 2] @ axes) / spacing  # pixels along row and column from slice to slice
    ends = np.array([[0.0, 0.0], drift * (volume.shape[2] - 1)])
    low = np.floor(ends.min(axis=0)).astype(int)
    high = np.ceil(ends.max(axis=0)).astype(int)
    shape = (*(np.array(volume.shape[:2]) + high - low), volume.shape[2])
    matrix = np.eye(3)
    matrix[:2, 2] = -drift
    data = np.empty(shape, dtype=np.float32)
    ndimage.affine_transform(
        volume.data.astype(np.float32), matrix, (*low.astype(float), 0.0), shape, output=data,
        order=1, mode="constant", cval=AIR_HU,
    )  # fmt: skip
    straight = np.eye(4)
    straight[:3, :2] = affine[:3, :2]
    straight[:3, 2] = normal * (affine[:3, 2] @ normal)
    straight[:3, 3] = volume.ras((*low, 0))
    if volume.data.dtype.kind == "i":
        return Volume(np.rint(data).astype(np.int16), straight)
    return Volume(data, straight)


def sampled_on(labels: Volume, plane: Plane) -> NDArray[Any]:
    """Labels at the centre of each pixel of a plane: (rows, columns), nearest voxel, 0 outside."""
    to_labels = np.linalg.inv(labels.affine) @ plane.affine
    columns, rows = plane.size
    row, column = np.meshgrid(np.arange(rows), np.arange(columns), indexing="ij")
    index = [
        np.rint(to_labels[n, 0] * column + to_labels[n, 1] * row + to_labels[n, 3]).astype(int)
        for n in range(3)
    ]
    inside = np.ones((rows, columns), dtype=bool)
    for n, size in enumerate(labels.shape):
        inside &= (index[n] >= 0) & (index[n] < size)
    out = np.zeros((rows, columns), dtype=labels.data.dtype)
    out[inside] = labels.data[tuple(i[inside] for i in index)]
    return out
