"""Read one DICOM CT series from a folder, refusing what would be placed or scaled wrongly."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import SimpleITK as sitk
from numpy.typing import NDArray

from hideseek_backend.errors import GeometryError, InputError
from hideseek_backend.volumes.planes import Plane, stack
from hideseek_backend.volumes.volume import FloatArray, Volume


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
    """Order the slices along their normal; a tilted gantry is refused here, not straightened."""
    planes = [
        None
        if item.position is None or item.orientation is None or min(item.spacing) <= 0
        else Plane(item.position, item.orientation, item.spacing, item.size)
        for item in slices
    ]
    found = stack(planes, str(folder))
    if found.tilt_degrees:
        raise GeometryError(
            f"Expected slices stacked at right angles in {folder}, got a shear of "
            f"{found.tilt_degrees:.1f} degrees (gantry tilt).",
            "Install the extra `dicom`, which straightens it; 3D Slicer's DICOM reader can too "
            "('acquisition geometry regularization').",
        )
    return [slices[index] for index in found.order], found.affine
