"""Write a reviewed case to files: lesions as .seg.nrrd and NIfTI, tables as CSV.

Every file is written under a temporary name and then put in place, so that a full disk or a crash
leaves no half-written result; the scene's own storage nodes are not touched.
"""

from __future__ import annotations

import gzip
import os
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
import slicer

from HideSeekLib.anatomy.geometry import need
from HideSeekLib.case import nifti
from HideSeekLib.case.case import Case
from HideSeekLib.case.reviewed import segment_voxels
from HideSeekLib.case.stored_case import stored_case
from HideSeekLib.errors import SceneError
from HideSeekLib.i18n import _
from HideSeekLib.wire.codes import LESION_VALUES, POLARITIES
from HideSeekLib.wire.lines import encode_line
from HideSeekLib.wire.records import Candidate, Vertebra
from HideSeekLib.wire.tables import csv_text
from HideSeekLib.wire.words import CASE_FILE

FORMATS = ("seg.nrrd", "nii.gz")


def export_lesions(
    case: Case, folder: str | os.PathLike[str], formats: Iterable[str] = FORMATS
) -> list[Path]:
    """Write the lesions that are kept now, as the segments show them (with edits by hand).

    "seg.nrrd": named, coloured, coded segments that Slicer opens; "nii.gz": uint8 on the CT's grid,
    1 lytic, 2 blastic. Returns the files. Raises SceneError when a file cannot be written, NodeGone
    when the lesions were deleted, ValueError for an unknown format.
    """
    node = need(case.lesions, _("The lesion segmentation"))
    target = _folder(folder)
    written = []
    for name in formats:
        if name == "seg.nrrd":
            written.append(_put(target / "lesions.seg.nrrd", lambda path: _write_seg(node, path)))
        elif name == "nii.gz":
            data = gzip.compress(nifti.to_bytes(lesion_map(case), case.record.grid.affine), 6)
            written.append(_put(target / "lesions.nii.gz", _bytes_writer(data)))
        else:
            raise ValueError(f"expected a format in {FORMATS}, got {name!r}")
    return written


def lesion_map(case: Case) -> np.ndarray:
    """Lesions on the CT's grid, (I, J, K) uint8: 1 lytic, 2 blastic; where both, blastic."""
    out = np.zeros(case.record.grid.shape, np.uint8)
    for level in case.record.replies:
        for polarity in POLARITIES:
            out[tuple(segment_voxels(case, level, polarity).T)] = LESION_VALUES[polarity]
    return out


def export_tables(case: Case, folder: str | os.PathLike[str]) -> list[Path]:
    """Write candidates.csv and vertebrae.csv with the review's state; returns the files."""
    target = _folder(folder)
    return [
        _put(target / f"{name}.csv", _bytes_writer(csv_text(record, rows).encode("utf-8")))
        for name, record, rows in (
            ("candidates", Candidate, case.rows()),
            ("vertebrae", Vertebra, case.vertebra_rows()),
        )
    ]


def export_case(case: Case, folder: str | os.PathLike[str]) -> list[Path]:
    """Write the whole case with its review, for `hideseek dicom export`; returns the file."""
    # No name and no time in the gzip header: they would differ from export to export.
    packed = gzip.compress(encode_line(stored_case(case)), 6, mtime=0)
    return [_put(_folder(folder) / CASE_FILE, _bytes_writer(packed))]


def _folder(folder: str | os.PathLike[str]) -> Path:
    path = Path(folder)
    try:
        path.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise SceneError(
            _("The folder {path} cannot be made: {error}. Choose another.").format(
                path=path, error=error.strerror
            )
        ) from error
    return path


def _put(path: Path, write: Any) -> Path:
    """Write through a temporary file beside the target, then replace the target."""
    draft = path.with_name(f".{os.getpid()}.{path.name}")
    try:
        write(draft)
        os.replace(draft, path)
    except OSError as error:
        raise SceneError(
            _(
                "{path} cannot be written: {error}. Choose another folder or free some space."
            ).format(path=path, error=error.strerror or error)
        ) from error
    finally:
        draft.unlink(missing_ok=True)
    return path


def _write_seg(node: Any, path: Path) -> None:
    # Slicer merges the labelmaps of what it writes; the segmentation on screen keeps its own.
    segmentation = slicer.vtkSegmentation()
    segmentation.DeepCopy(node.GetSegmentation())
    copy = slicer.vtkMRMLSegmentationNode()
    copy.SetName(node.GetName())
    copy.SetAndObserveSegmentation(segmentation)
    storage = slicer.vtkMRMLSegmentationStorageNode()
    storage.SetFileName(str(path))
    if not os.access(path.parent, os.W_OK) or not storage.WriteData(copy) or not path.exists():
        raise OSError(0, _("Slicer could not write the segmentation"))


def _bytes_writer(data: bytes) -> Any:
    return lambda path: path.write_bytes(data)
