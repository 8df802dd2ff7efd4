"""Find CT series and segmentations in a tree of DICOM files, by their headers alone."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hideseek_backend.dicom.needs import lenient, need
from hideseek_backend.volumes.dicom import is_dicom_file


@dataclass(frozen=True)
class Found:
    """One folder's series. path: the folder of a CT, the file of a segmentation.

    refers_to: uid of the series that a segmentation was made on, "" where it does not say.
    segments: labels of its segments.
    """

    path: Path
    modality: str
    patient: str
    date: str
    series: str
    frame: str
    refers_to: str = ""
    segments: tuple[str, ...] = ()


def find_series(root: Path) -> list[Found]:
    """Return the series below a folder, one for each folder of slices and each SEG file."""
    found = []
    for folder in sorted({root, *(p for p in root.rglob("*") if p.is_dir())}):
        files = sorted(p for p in folder.iterdir() if p.is_file() and is_dicom_file(p))
        seen: set[str] = set()
        for path in files:
            # A folder of slices is one series: its first file tells. SEG files are few.
            if seen and "SEG" not in seen and len(files) > 3:
                break
            header = _header(path)
            modality = str(header.get("Modality", ""))
            uid = str(header.get("SeriesInstanceUID", ""))
            if modality == "SEG" or uid not in seen:
                found.append(_described(header, path if modality == "SEG" else folder))
            seen |= {uid, modality}
    return found


def _header(path: Path) -> Any:
    pydicom = need("pydicom")
    with lenient():
        return pydicom.dcmread(path, stop_before_pixels=True, force=True)


def _described(header: Any, path: Path) -> Found:
    references = header.get("ReferencedSeriesSequence") or []
    return Found(
        path=path,
        modality=str(header.get("Modality", "")),
        patient=str(header.get("PatientID", "")),
        date=str(header.get("StudyDate", "")),
        series=str(header.get("SeriesInstanceUID", "")),
        frame=str(header.get("FrameOfReferenceUID", "")),
        refers_to=str(references[0].get("SeriesInstanceUID", "")) if references else "",
        segments=tuple(
            str(segment.get("SegmentLabel", "")) for segment in header.get("SegmentSequence") or []
        ),
    )


def ct_of(segmentation: Found, found: list[Found]) -> Found | None:
    """The CT that a segmentation was made on: the one it names, of its frame, or the only one."""
    cts = [f for f in found if f.modality == "CT" and f.patient == segmentation.patient]
    for matching in (
        [f for f in cts if segmentation.refers_to and f.series == segmentation.refers_to],
        [f for f in cts if f.frame and f.frame == segmentation.frame],
        cts,
    ):
        if len(matching) == 1:
            return matching[0]
    return None
