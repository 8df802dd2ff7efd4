"""Read one DICOM CT series from a folder, refusing what would be placed or scaled wrongly."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import SimpleITK as sitk
from numpy.typing import NDArray

from hideseek_backend.errors import GeometryError, InputError
from hideseek_backend.volumes.volume import FloatArray, Volume

_LPS_TO_RAS = np.array([-1.0, -1.0, 1.0])
# Positions are written with few digits, so equal steps differ a little.
_STEP_TOLERANCE = 0.05  # of the slice step
_SHEAR_TOLERANCE_DEGREES = 0.5


@dataclass(frozen=True, eq=False)
class _Slice:
    path: str
    modality: str
    image_type: str
    description: str
    size: tuple[int, int]
    samples: int
    spacing: tuple[float, float]  # mm along columns (x), rows (y)
    orientation: FloatArray | None  # (6,) LPS
    position: FloatArray | None  # (3,) LPS mm
    units: str


def is_dicom_file(path: Path) -> bool:
    """Say whether a file has DICOM's preamble."""
    try:
        with path.open("rb") as stream:
            return stream.read(132)[128:] == b"DICM"
    except OSError:
        return False


def read_series(folder: Path) -> tuple[Volume, tuple[str, ...]]:
    """Read the only DICOM CT series in `folder`; returns HU (columns, rows, slices) and warnings.

    Raises InputError when there is no series, several, another modality, or an unreadable slice;
    GeometryError when slices are missing, doubled, unevenly spaced, sheared by gantry tilt, or of
    different orientation or size.
    """
    slices = _slices_of_only_series(folder)
    _check_kind(slices, folder)
    slices, affine = _stack(slices, folder)
    reader = sitk.ImageSeriesReader()
    reader.SetFileNames([item.path for item in slices])
    try:
        array = sitk.GetArrayFromImage(reader.Execute())
    except RuntimeError as error:
        reason = str(error).strip().splitlines()[-1][:200]
        raise InputError(
            f"Expected readable DICOM slices in {folder}, but one is corrupt or cut short "
            f"({reason}).",
            "Export or copy the series again.",
        ) from error
    data: NDArray[np.float32 | np.int16 | np.int32]
    data = np.ascontiguousarray(array.transpose(2, 1, 0))
    if data.dtype == np.float64:
        data = data.astype(np.float32)
    return Volume(data, affine), _left_out(folder, slices)


def _slices_of_only_series(folder: Path) -> list[_Slice]:
    names = sitk.ImageSeriesReader.GetGDCMSeriesIDs(str(folder))
    series = {
        name: [
            _read_header(path)
            for path in sitk.ImageSeriesReader.GetGDCMSeriesFileNames(str(folder), name)
        ]
        for name in names
    }
    if not series:
        raise InputError(
            f"Expected a DICOM CT series in {folder}, got a folder without DICOM images.",
            "Give the folder that holds the slices themselves, or a NIfTI or NRRD file.",
        )
    if len(series) > 1:
        lines = "; ".join(
            f"{items[0].modality or 'unknown modality'} '{items[0].description or 'no name'}' "
            f"with {len(items)} files, such as {Path(items[0].path).name}"
            for items in series.values()
        )
        raise InputError(
            f"Expected one DICOM series in {folder}, got {len(series)}: {lines}.",
            "Put the series you want in a folder of its own.",
        )
    return next(iter(series.values()))


def _left_out(folder: Path, slices: list[_Slice]) -> tuple[str, ...]:
    """Warn of DICOM files that are no readable slice: damaged ones at an end leave no gap."""
    used = {Path(item.path).name for item in slices}
    others = sorted(
        entry.name
        for entry in folder.iterdir()
        if entry.name not in used
        and entry.name.upper() != "DICOMDIR"
        and entry.is_file()
        and is_dicom_file(entry)
    )
    if not others:
        return ()
    shown = ", ".join(others[:5]) + (", …" if len(others) > 5 else "")
    return (
        f"{len(others)} DICOM files in {folder.name} are no readable slices of the series and were "
        f"left out: {shown}. Reports may be; damaged slices must be exported again.",
    )


def _read_header(path: str) -> _Slice:
    reader = sitk.ImageFileReader()
    reader.SetFileName(path)
    try:
        reader.ReadImageInformation()
    except RuntimeError as error:
        raise InputError(
            f"Expected a readable DICOM slice in {Path(path).name}, but it is corrupt.",
            "Export or copy the series again.",
        ) from error

    def text(key: str) -> str:
        return reader.GetMetaData(key).strip() if reader.HasMetaDataKey(key) else ""

    def numbers(key: str, count: int) -> FloatArray | None:
        try:
            values = np.array([float(part) for part in text(key).split("\\")])
        except ValueError:
            return None
        return values if values.size == count else None

    rows_columns = numbers("0028|0030", 2)
    spacing = (
        (float(rows_columns[1]), float(rows_columns[0])) if rows_columns is not None else (0.0, 0.0)
    )
    size = reader.GetSize()
    return _Slice(
        path=path,
        modality=text("0008|0060"),
        image_type=text("0008|0008"),
        description=text("0008|103e"),
        size=(int(size[0]), int(size[1])),
        samples=reader.GetNumberOfComponents(),
        spacing=spacing,
        orientation=numbers("0020|0037", 6),
        position=numbers("0020|0032", 3),
        units=text("0028|1054"),
    )


def _check_kind(slices: list[_Slice], folder: Path) -> None:
    first = slices[0]
    if any(item.modality != "CT" for item in slices):
        other = next(item.modality for item in slices if item.modality != "CT") or "none"
        raise InputError(
            f"Expected modality CT in {folder}, got {other}.",
            "HideSeek reads CT only: choose the CT series.",
        )
    if any(item.samples != 1 for item in slices):
        raise InputError(
            f"Expected one number per pixel in {folder}, got {first.samples} (colour).",
            "Choose the original CT series, not a rendering or a capture.",
        )
    if any("LOCALIZER" in item.image_type for item in slices):
        raise InputError(
            f"Expected axial CT slices in {folder}, got a localizer (scout view).",
            "Choose the series with the slices.",
        )
    if first.units not in ("", "HU", "US"):  # US: unspecified
        raise InputError(
            f"Expected Hounsfield units in {folder}, got rescale type {first.units}.",
            "Choose the series in HU, not a material or energy map.",
        )
    if len(slices) < 2:
        raise InputError(
            f"Expected a series of slices in {folder}, got {len(slices)}.",
            "Give the folder with all slices (one file each).",
        )


def _stack(slices: list[_Slice], folder: Path) -> tuple[list[_Slice], FloatArray]:
    """Order the slices along their normal and check that they make one regular grid."""
    first = slices[0]
    positions, orientations = [], []
    for item in slices:
        if item.position is None or item.orientation is None or min(item.spacing) <= 0:
            raise GeometryError(
                f"Expected position, orientation and pixel spacing in {Path(item.path).name}, "
                "got none.",
                "Export the original slices, not secondary captures.",
            )
        if item.size != first.size or not np.allclose(item.spacing, first.spacing, rtol=1e-3):
            raise GeometryError(
                f"Expected slices of one size and spacing in {folder}, got {first.size} at "
                f"{first.spacing} mm and {item.size} at {item.spacing} mm.",
                "Put each reconstruction in a folder of its own.",
            )
        positions.append(item.position)
        orientations.append(item.orientation)
    if np.abs(np.array(orientations) - orientations[0]).max() > 1e-3:
        raise GeometryError(
            f"Expected slices of one orientation in {folder}, got several.",
            "Put each orientation (axial, sagittal, a scout) in a folder of its own.",
        )
    row, column = orientations[0][:3], orientations[0][3:]
    normal = np.cross(row, column)
    depth = np.array(positions) @ normal
    order = np.argsort(depth, kind="stable")
    _check_steps(depth[order], folder)
    ordered = np.array(positions)[order]
    step = (ordered[-1] - ordered[0]) / (len(ordered) - 1)
    _check_shear(step, np.asarray(normal, dtype=np.float64), folder)
    drift = np.abs(ordered - (ordered[0] + np.outer(np.arange(len(ordered)), step))).max()
    if drift > max(0.5, 0.5 * min(first.spacing)):
        raise GeometryError(
            f"Expected slices stacked on one line in {folder}, but one lies {drift:.1f} mm off.",
            "The table or the field of view moved between slices: reconstruct the series again.",
        )
    affine = np.eye(4)
    affine[:3, 0] = row * first.spacing[0]
    affine[:3, 1] = column * first.spacing[1]
    affine[:3, 2] = step
    affine[:3, 3] = ordered[0]
    affine[:3] *= _LPS_TO_RAS[:, None]
    return [slices[index] for index in order], affine


def _check_steps(depth: FloatArray, folder: Path) -> None:
    steps = np.diff(depth)
    usual = float(np.median(steps))
    if steps.min() < 1e-3:
        doubled = int(np.count_nonzero(steps < 1e-3))
        raise GeometryError(
            f"Expected one slice at each position in {folder}, got {doubled} positions twice.",
            "Several phases or reconstructions share the folder: keep one.",
        )
    wrong = np.flatnonzero(np.abs(steps - usual) > max(_STEP_TOLERANCE * usual, 0.02))
    if wrong.size:
        where = ", ".join(f"{steps[n]:.2f} mm after slice {n + 1}" for n in wrong[:5])
        missing = int(np.rint(steps[wrong] / usual - 1).clip(0).sum())
        raise GeometryError(
            f"Expected slices {usual:.2f} mm apart in {folder}, got {where}"
            f"{f' ({missing} slices missing)' if missing else ''}.",
            "Export the whole series again; a gap would bend every measurement.",
        )


def _check_shear(step: FloatArray, normal: FloatArray, folder: Path) -> None:
    cosine = float(step @ normal / np.linalg.norm(step))
    angle = float(np.degrees(np.arccos(np.clip(cosine, -1.0, 1.0))))
    if angle > _SHEAR_TOLERANCE_DEGREES:
        raise GeometryError(
            f"Expected slices stacked at right angles in {folder}, got a shear of {angle:.1f} "
            "degrees (gantry tilt).",
            "Resample it to a straight grid first; 3D Slicer's DICOM reader offers "
            "'acquisition geometry regularization'.",
        )
