"""Read CT images and label maps from NIfTI, NRRD, MetaImage and DICOM files."""

from __future__ import annotations

import importlib.util
import re
import zlib
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
import SimpleITK as sitk
from numpy.typing import NDArray

from hideseek_backend.errors import GeometryError, InputError
from hideseek_backend.volumes import dicom
from hideseek_backend.volumes.names import SegmentName
from hideseek_backend.volumes.volume import FloatArray, Volume
from hideseek_backend.wire.acquisition import UNTOLD, Acquisition

NIFTI_SUFFIXES = (".nii", ".nii.gz")
ITK_SUFFIXES = (".nrrd", ".nhdr", ".mha", ".mhd")
FORMATS = "NIfTI (.nii, .nii.gz), NRRD (.nrrd), MetaImage (.mha, .mhd) or a folder of DICOM slices"
LPS_TO_RAS = np.diag([-1.0, -1.0, 1.0, 1.0])


@dataclass(frozen=True, eq=False)
class LabelMap:
    """A label map as stored: integer voxels (I, J, K), and names of values where it has them."""

    volume: Volume
    names: dict[int, SegmentName] = field(default_factory=dict)
    warnings: tuple[str, ...] = ()
    source: str = "label map"


@dataclass(frozen=True, eq=False)
class _Raw:
    data: NDArray[Any]  # (I, J, K) or (I, J, K, C)
    affine: FloatArray
    metadata: dict[str, str]
    warnings: tuple[str, ...] = ()


@dataclass(frozen=True, eq=False)
class ScanFile:
    """A CT as read: its voxels, what to know about them, how the scan was made."""

    volume: Volume
    warnings: tuple[str, ...] = ()
    scan: Acquisition = UNTOLD


def read_ct(path: str | Path) -> tuple[Volume, tuple[str, ...]]:
    """Read an image of real numbers; returns it and warnings. Arguments and errors: `read_scan`."""
    read = read_scan(path)
    return read.volume, read.warnings


def read_scan(path: str | Path, series: str | None = None) -> ScanFile:
    """Read an image of real numbers, and how it was made. HU are not checked here.

    path: a NIfTI, NRRD or MetaImage file, or a DICOM study: a folder, zip or DICOMDIR (without the
    extra `dicom` a folder that holds one CT series and nothing else). series: of a study, see
    `dicom.read_study`.
    Raises InputError for missing, unreadable, 2D, 4D, colour or complex images, GeometryError for
    unusable frames, and what `dicom.read_study` raises.
    """
    path = _existing(path)
    if series is not None or _may_be_study(path):
        return _read_study(path, series)
    raw = _read_file(path)
    data = _one_channel(raw.data, path)
    if data.dtype.kind not in "iuf":
        raise InputError(
            f"Expected a CT of numbers in {path.name}, got voxels of type {data.dtype}.",
            "Give the CT itself, not a mask or a picture.",
        )
    if data.dtype == np.float64:
        data = data.astype(np.float32)
    return ScanFile(Volume(data, raw.affine), raw.warnings)


def read_label_map(path: str | Path) -> LabelMap:
    """Read a label map: one integer per voxel, or Slicer's segments, overlapping ones included.

    A folder is read as TotalSegmentator writes it without --ml: one mask file for each structure,
    named after it.
    Raises InputError for unreadable files and voxels that are not whole numbers.
    """
    path = _existing(path)
    if path.is_dir():
        return _read_mask_folder(path)
    if dicom.is_dicom_file(path):
        from hideseek_backend.dicom.segmentation import is_segmentation, read_segmentation

        if is_segmentation(path):
            volume, names = read_segmentation(path)
            return LabelMap(volume, names, (), path.name)
    raw = _read_file(path)
    segments = _segment_table(raw.metadata)
    if segments:
        return _from_segments(raw, segments, path)
    data = whole_numbers(_one_channel(raw.data, path), path.name)
    return LabelMap(Volume(data, raw.affine), _nifti_names(raw), raw.warnings, path.name)


def _may_be_study(path: Path) -> bool:
    return path.is_dir() or path.suffix.lower() == ".zip" or path.name.upper() == "DICOMDIR"


def _read_study(path: Path, series: str | None) -> ScanFile:
    if series is None and importlib.util.find_spec("pydicom") is None and path.is_dir():
        return ScanFile(*dicom.read_series(path))
    from hideseek_backend.dicom import read_study

    study = read_study(path, series)
    return ScanFile(study.volume, study.warnings, study.series.scan)


def whole_numbers(data: NDArray[Any], source: str) -> NDArray[Any]:
    """Return labels as integers; raises InputError where they are not whole and non-negative."""
    if data.dtype == bool:
        return data.astype(np.uint8)
    if data.dtype.kind not in "iuf":
        raise InputError(
            f"Expected integer labels in {source}, got voxels of type {data.dtype}.",
            "Give a label map: one whole number per voxel, 0 for background.",
        )
    if data.dtype.kind == "f":
        if not np.isfinite(data).all() or (np.rint(data) != data).any():
            raise InputError(
                f"Expected whole numbers as labels in {source}, got fractions such as "
                f"{_first_fraction(data)}.",
                "The mask was interpolated or is a probability map: "
                "resample with nearest neighbour, or give the mask as it was made.",
            )
        data = data.astype(np.int32)
    if data.size and int(data.min()) < 0:
        raise InputError(
            f"Expected labels of 0 and more in {source}, got {int(data.min())}.",
            "Is this the CT and not its mask? Give CT first, vertebrae second.",
        )
    return data


def _first_fraction(data: NDArray[Any]) -> float:
    odd = ~np.isfinite(data) | (np.rint(data) != data)
    return round(float(data[odd][0]), 4)


def _existing(path: str | Path) -> Path:
    path = Path(path)
    if not path.exists():
        raise InputError(f"Expected a file or folder at {path}, got nothing.", "Check the path.")
    if path.is_file() and path.stat().st_size == 0:
        raise InputError(f"Expected an image in {path.name}, got an empty file.", "Copy it again.")
    return path


def _read_file(path: Path) -> _Raw:
    name = path.name.lower()
    if name.endswith(NIFTI_SUFFIXES):
        return _read_nifti(path)
    if name.endswith(ITK_SUFFIXES):
        return _read_itk(path)
    if dicom.is_dicom_file(path):
        raise InputError(
            f"Expected a folder of DICOM slices, got the single file {path.name}.",
            "Give the folder that holds the whole series.",
        )
    raise InputError(f"Expected {FORMATS}, got {path.name}.", "Convert it to one of these.")


def _one_channel(data: NDArray[Any], path: Path) -> NDArray[Any]:
    """Drop single trailing axes; refuse colour, time series and single slices."""
    if data.dtype.fields is not None:
        raise InputError(
            f"Expected one number per voxel in {path.name}, got colour ({data.dtype}).",
            "Give the CT itself, not a rendered or fused picture.",
        )
    while data.ndim > 3 and data.shape[-1] == 1:
        data = data[..., 0]
    if data.ndim != 3:
        raise InputError(
            f"Expected one 3D image in {path.name}, got {data.ndim}D {data.shape}: "
            "a time series, several channels, or colour.",
            "Split it and give a single volume.",
        )
    if min(data.shape) < 2:
        raise InputError(
            f"Expected a 3D image in {path.name}, got a single slice {data.shape}.",
            "Give the whole volume.",
        )
    return data


def _unreadable(path: Path, error: BaseException) -> InputError:
    reason = str(error).strip().splitlines()
    return InputError(
        f"Expected a readable image in {path.name}, but it is corrupt or cut short "
        f"({reason[-1][:200] if reason else type(error).__name__}).",
        "Copy or export the file again; if a disk or a download was full, check its size.",
    )


def _read_nifti(path: Path) -> _Raw:
    try:
        image: Any = nib.load(path)
        data = np.asanyarray(image.dataobj)
        header = image.header
        affine = np.asarray(image.affine, dtype=float)
    except (nib.filebasedimages.ImageFileError, nib.spatialimages.HeaderDataError) as error:
        raise _unreadable(path, error) from error
    except (OSError, EOFError, ValueError, TypeError, zlib.error) as error:
        raise _unreadable(path, error) from error
    if not hasattr(header, "get_qform"):
        raise InputError(f"Expected NIfTI in {path.name}, got {type(image).__name__}.", "Convert.")
    warnings: list[str] = []
    qform, sform = header.get_qform(coded=True)[0], header.get_sform(coded=True)[0]
    if qform is None and sform is None:
        raise GeometryError(
            f"Expected an orientation in {path.name}, but its header has neither sform nor qform.",
            "Left and right, top and bottom cannot be told: convert it again from the DICOM files.",
        )
    if qform is not None and sform is not None:
        corner = np.array([*(n - 1 for n in data.shape[:3]), 1.0])[: 4 if data.ndim >= 3 else 0]
        if corner.size and np.abs((qform - sform) @ corner).max() > 1.0:
            warnings.append(
                f"{path.name}: qform and sform disagree by more than 1 mm; sform is used."
            )
    metadata = {"nifti_extension": _extension_text(header)}
    return _Raw(data, affine, metadata, tuple(warnings))


def _extension_text(header: Any) -> str:
    texts = [
        bytes(e.get_content()).decode("utf-8", "replace")
        for e in header.extensions
        if isinstance(e.get_content(), bytes)
    ]
    return "\n".join(texts)


def _nifti_names(raw: _Raw) -> dict[int, SegmentName]:
    """Names from the label table that TotalSegmentator stores as a Caret header extension."""
    text = raw.metadata.get("nifti_extension", "")
    found = re.findall(r'<Label\s[^>]*?Key="(\d+)"[^>]*>\s*<!\[CDATA\[(.*?)\]\]>', text, re.S)
    return {int(key): SegmentName(name=name.strip()) for key, name in found if int(key) > 0}


def _read_itk(path: Path) -> _Raw:
    reader = sitk.ImageFileReader()
    reader.SetFileName(str(path))
    try:
        reader.LoadPrivateTagsOn()
        image = reader.Execute()
    except RuntimeError as error:
        raise _unreadable(path, error) from error
    metadata = {key: image.GetMetaData(key) for key in image.GetMetaDataKeys()}
    dimension = image.GetDimension()
    if dimension == 4 and image.GetSize()[3] == 1:
        image = sitk.Extract(image, [*image.GetSize()[:3], 0], [0, 0, 0, 0])
        dimension = 3
    if dimension != 3:
        raise InputError(
            f"Expected one 3D image in {path.name}, got {dimension}D {image.GetSize()}.",
            "Split a time series and give a single volume.",
        )
    is_nrrd = path.name.lower().endswith((".nrrd", ".nhdr"))
    if is_nrrd and not metadata.get("NRRD_space", ""):
        raise GeometryError(
            f"Expected an orientation in {path.name}, but its NRRD header has no `space` field.",
            "Left and right, top and bottom cannot be told: save it again with its orientation.",
        )
    array = sitk.GetArrayFromImage(image)
    order = (2, 1, 0, 3) if array.ndim == 4 else (2, 1, 0)
    return _Raw(np.ascontiguousarray(array.transpose(order)), _itk_affine(image), metadata)


def _itk_affine(image: sitk.Image) -> FloatArray:
    affine = np.eye(4)
    direction = np.array(image.GetDirection()).reshape(3, 3)
    affine[:3, :3] = direction * np.array(image.GetSpacing())
    affine[:3, 3] = image.GetOrigin()
    return np.asarray(LPS_TO_RAS @ affine)


@dataclass(frozen=True)
class _Segment:
    name: SegmentName
    layer: int
    value: int


def _segment_table(metadata: dict[str, str]) -> list[_Segment]:
    """Segments that Slicer lists in a .seg.nrrd header, in the file's order."""
    numbers = sorted(
        int(match.group(1)) for key in metadata if (match := re.match(r"Segment(\d+)_ID$", key))
    )
    table = []
    for number in numbers:
        prefix = f"Segment{number}_"
        table.append(
            _Segment(
                SegmentName(
                    name=metadata.get(prefix + "Name", "").strip(),
                    identifier=metadata.get(prefix + "ID", "").strip(),
                    tags=metadata.get(prefix + "Tags", ""),
                ),
                _whole(metadata, prefix + "Layer", 0),
                _whole(metadata, prefix + "LabelValue", 1),
            )
        )
    return table


def _whole(metadata: dict[str, str], key: str, default: int) -> int:
    text = metadata.get(key, "").strip()
    if not re.fullmatch(r"\d{0,9}", text):
        raise InputError(
            f"Expected a whole number for {key} in the segmentation's header, got {text[:40]!r}.",
            "The file is damaged: save the segmentation again.",
        )
    return int(text) if text else default


def _from_segments(raw: _Raw, segments: list[_Segment], path: Path) -> LabelMap:
    """Number the segments 1, 2, … in one map; where two overlap, the earlier vertebra keeps it."""
    data = raw.data if raw.data.ndim == 4 else raw.data[..., None]
    labels = np.zeros(data.shape[:3], dtype=np.uint16)
    names: dict[int, SegmentName] = {}
    shared = 0
    # Segments that name a level come first: a "spine" segment over all of it takes nothing away.
    order = sorted(range(len(segments)), key=lambda n: segments[n].name.level is None)
    for number in order:
        segment = segments[number]
        if segment.layer >= data.shape[3]:
            raise InputError(
                f"Expected {segment.layer + 1} layers in {path.name}, got {data.shape[3]}.",
                "The file is damaged: save the segmentation again.",
            )
        mask = data[..., segment.layer] == segment.value
        free = mask & (labels == 0)
        if segment.name.level is not None:
            shared += int(np.count_nonzero(mask)) - int(np.count_nonzero(free))
        labels[free] = number + 1
        if free.any():
            names[number + 1] = segment.name
    warnings = list(raw.warnings)
    if shared:
        warnings.append(
            f"{path.name}: {shared} voxels lie in two vertebrae; each went to the first listed."
        )
    return LabelMap(Volume(labels, raw.affine), names, tuple(warnings), path.name)


def _read_mask_folder(folder: Path) -> LabelMap:
    """Merge single-structure masks named after vertebrae, e.g. vertebrae_T12.nii.gz."""
    files = sorted(
        entry for entry in folder.iterdir() if entry.name.lower().endswith(NIFTI_SUFFIXES)
    )
    named = [(SegmentName(name=re.sub(r"\.nii(\.gz)?$", "", entry.name)), entry) for entry in files]
    named = [(name, entry) for name, entry in named if name.level is not None]
    if not named:
        raise InputError(
            f"Expected masks named after vertebrae (such as vertebrae_T12.nii.gz) in {folder}, "
            "got none.",
            "Give one label map with all vertebrae, or TotalSegmentator's output folder.",
        )
    merged: Volume | None = None
    names: dict[int, SegmentName] = {}
    for number, (name, entry) in enumerate(named, start=1):
        volume = read_label_map(entry).volume
        if merged is None:
            merged = Volume(np.zeros(volume.shape, dtype=np.uint8), volume.affine)
        if volume.shape != merged.shape or not np.allclose(volume.affine, merged.affine, atol=1e-3):
            raise GeometryError(
                f"Expected the masks in {folder} on one grid, but {entry.name} has another.",
                "Make them all from the same CT.",
            )
        mask = (volume.data > 0) & (merged.data == 0)
        merged.data[mask] = number
        if mask.any():
            names[number] = name
    if merged is None:
        raise InputError(f"Expected masks in {folder}, got none.", "Check the folder.")
    return LabelMap(merged, names, (), folder.name)
