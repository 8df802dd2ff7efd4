"""The header of one DICOM file, as far as choosing and stacking slices needs it."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from hideseek_backend.dicom.needs import lenient, need
from hideseek_backend.volumes.planes import Plane

ENHANCED_CT = ("1.2.840.10008.5.1.4.1.1.2.1", "1.2.840.10008.5.1.4.1.1.2.2")
"""Enhanced CT and legacy-converted enhanced CT: all slices in one file."""
SEGMENTATIONS = ("1.2.840.10008.5.1.4.1.1.66.4", "1.2.840.10008.5.1.4.1.1.66.7")
"""Segmentation (binary, fractional) and label map segmentation."""

_TAGS = [
    "SOPClassUID", "SOPInstanceUID", "StudyInstanceUID", "SeriesInstanceUID", "PatientID",
    "PatientName", "IssuerOfPatientID", "FrameOfReferenceUID", "Modality", "ImageType",
    "SeriesDescription", "SeriesNumber", "InstanceNumber", "AcquisitionNumber",
    "ConvolutionKernel", "SliceThickness", "Rows", "Columns", "SamplesPerPixel", "BitsAllocated",
    "PixelSpacing", "ImageOrientationPatient", "ImagePositionPatient", "RescaleType",
    "NumberOfFrames", "SharedFunctionalGroupsSequence", "PerFrameFunctionalGroupsSequence",
    "AccessionNumber", "BodyPartExamined", "ContrastBolusAgent", "ContrastBolusAgentPhase",
    "ContrastBolusAgentSequence", "ReconstructionDiameter", "KVP",
]  # fmt: skip


@dataclass(frozen=True, eq=False)
class Header:
    """One file. `patient` is a digest that tells patients apart and names none.

    planes: one a frame; None where position, orientation or spacing is missing.
    agent, phase: of the contrast medium; agent is None where the attribute is absent.
    short_by: bytes missing from the pixels (uncompressed files only; 0 where complete).
    """

    path: Path
    sop_class: str
    sop_uid: str
    study_uid: str
    series_uid: str
    frame_uid: str
    patient: str
    modality: str
    image_type: tuple[str, ...]
    description: str
    series_number: int | None
    kernel: str
    thickness: float | None
    size: tuple[int, int]
    samples: int
    units: str
    planes: tuple[Plane | None, ...]
    agent: str | None = None
    phase: str = ""
    diameter: float | None = None
    kvp: float | None = None
    short_by: int = 0

    @property
    def localizer(self) -> bool:
        """A scout view."""
        return "LOCALIZER" in self.image_type or "SCOUT" in self.description.upper().split()

    @property
    def enhanced(self) -> bool:
        """All slices in one file."""
        return self.sop_class in ENHANCED_CT

    @property
    def has_pixels(self) -> bool:
        """An image, not a report."""
        return min(self.size) > 0


def read_header(path: Path) -> Header | None:
    """Read a file's header; None where it cannot be read or is not an object of a series."""
    pydicom = need("pydicom")
    try:
        with lenient(), path.open("rb") as stream:
            dataset = pydicom.dcmread(
                stream, stop_before_pixels=True, force=True, specific_tags=_TAGS
            )
            left = path.stat().st_size - stream.tell()
            return _header(path, dataset, left)
    except Exception:  # a damaged file raises whatever its damage led the parser to
        return None


def _header(path: Path, dataset: Any, left: int) -> Header | None:
    series, uid = _text(dataset, "SeriesInstanceUID"), _text(dataset, "SOPInstanceUID")
    if not _text(dataset, "Modality") and not series:
        return None
    # Anonymisers empty uids: the frame of reference then holds slices together.
    series = series or _text(dataset, "FrameOfReferenceUID") or "no uid"
    uid = uid or str(path)
    sop_class = _text(dataset, "SOPClassUID")
    size = (_whole(dataset, "Columns") or 0, _whole(dataset, "Rows") or 0)
    frames = _whole(dataset, "NumberOfFrames") or 1
    first = _shared_and_frame(dataset, 0) if sop_class in ENHANCED_CT else [dataset]
    kernel = _anywhere(dataset, first, "CTReconstructionSequence", "ConvolutionKernel")
    units = _text(dataset, "RescaleType") or str(
        _nested(first, "PixelValueTransformationSequence", "RescaleType") or ""
    )
    return Header(
        path=path,
        sop_class=sop_class,
        sop_uid=uid,
        study_uid=_text(dataset, "StudyInstanceUID"),
        series_uid=series,
        frame_uid=_text(dataset, "FrameOfReferenceUID"),
        patient=_digest(*(_text(dataset, t) for t in ("PatientID", "PatientName"))),
        modality=_text(dataset, "Modality"),
        image_type=tuple(str(word).upper() for word in _several(dataset.get("ImageType"))),
        description=_text(dataset, "SeriesDescription"),
        series_number=_whole(dataset, "SeriesNumber"),
        kernel=" ".join(str(word).strip() for word in _several(kernel)),
        thickness=_one(_anywhere(dataset, first, "PixelMeasuresSequence", "SliceThickness")),
        size=size,
        samples=_whole(dataset, "SamplesPerPixel") or 1,
        units=units.upper(),
        planes=tuple(_plane(dataset, n, size, sop_class) for n in range(frames)),
        agent=_agent(dataset),
        phase=_text(dataset, "ContrastBolusAgentPhase"),
        diameter=_one(
            _anywhere(dataset, first, "CTReconstructionSequence", "ReconstructionDiameter")
        ),
        kvp=_one(_anywhere(dataset, first, "CTXRayDetailsSequence", "KVP")),
        short_by=_missing_bytes(dataset, size, frames, left),
    )


def _agent(dataset: Any) -> str | None:
    """The contrast medium: of classic slices as text, of an enhanced CT as coded."""
    coded = dataset.get("ContrastBolusAgentSequence")
    if coded:
        return " ".join(str(item.get("CodeMeaning") or "given") for item in coded)
    return _text(dataset, "ContrastBolusAgent") if "ContrastBolusAgent" in dataset else None


def _anywhere(dataset: Any, groups: list[Any], sequence: str, name: str) -> Any:
    """An attribute of a classic slice, or of an enhanced CT's functional groups."""
    own = dataset.get(name)
    return own if own not in (None, "") else _nested(groups, sequence, name)


def _missing_bytes(dataset: Any, size: tuple[int, int], frames: int, left: int) -> int:
    meta = getattr(dataset, "file_meta", None)
    syntax = getattr(meta, "TransferSyntaxUID", None)
    if syntax is None or syntax.is_compressed or min(size) <= 0:
        return 0
    bits = _whole(dataset, "BitsAllocated") or 16
    samples = _whole(dataset, "SamplesPerPixel") or 1
    return max(0, (size[0] * size[1] * samples * frames * bits + 7) // 8 - left)


def _plane(dataset: Any, frame: int, size: tuple[int, int], sop_class: str) -> Plane | None:
    if sop_class in ENHANCED_CT:
        groups = _shared_and_frame(dataset, frame)
        position = _nested(groups, "PlanePositionSequence", "ImagePositionPatient")
        orientation = _nested(groups, "PlaneOrientationSequence", "ImageOrientationPatient")
        spacing = _nested(groups, "PixelMeasuresSequence", "PixelSpacing")
    else:
        position = dataset.get("ImagePositionPatient")
        orientation = dataset.get("ImageOrientationPatient")
        spacing = dataset.get("PixelSpacing")
    place, axes = _numbers(position, 3), _numbers(orientation, 6)
    step = _numbers(spacing, 2)
    if place is None or axes is None or step is None or step.min() <= 0 or min(size) <= 0:
        return None
    lengths = np.linalg.norm(axes.reshape(2, 3), axis=1)
    if np.abs(lengths - 1).max() > 0.01 or abs(axes[:3] @ axes[3:]) > 0.01:
        return None
    return Plane(place, axes, (float(step[1]), float(step[0])), size)


def _shared_and_frame(dataset: Any, frame: int) -> list[Any]:
    """The functional groups that hold for a frame: its own, then those shared by all."""
    own = dataset.get("PerFrameFunctionalGroupsSequence") or []
    shared = dataset.get("SharedFunctionalGroupsSequence") or []
    return [*own[frame : frame + 1], *shared[:1]]


def _nested(groups: list[Any], sequence: str, name: str) -> Any:
    for group in groups:
        items = group.get(sequence)
        if items:
            return items[0].get(name)
    return None


def _several(value: Any) -> list[Any]:
    if value is None or value == "":
        return []
    return [value] if isinstance(value, str) or not hasattr(value, "__iter__") else list(value)


def _text(dataset: Any, name: str) -> str:
    value = dataset.get(name)
    return "" if value is None else str(value).strip("\0 ")


def _whole(dataset: Any, name: str) -> int | None:
    try:
        return int(str(dataset.get(name)).strip())
    except ValueError:
        return None


def _numbers(value: Any, count: int) -> Any:
    """`count` finite numbers as an array, or None for anything else."""
    try:
        numbers = np.array([float(part) for part in _several(value)])
    except (TypeError, ValueError):
        return None
    return numbers if numbers.size == count and np.isfinite(numbers).all() else None


def _one(value: Any) -> float | None:
    numbers = _numbers(value, 1)
    return None if numbers is None else float(numbers[0])


def _digest(*parts: str) -> str:
    return hashlib.sha256("\0".join(parts).encode("utf-8", "replace")).hexdigest()
