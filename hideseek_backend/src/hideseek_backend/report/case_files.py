"""All files of a result, written into one folder."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from hideseek_backend.report.case_store import NAME, write_stored
from hideseek_backend.report.html import case_page
from hideseek_backend.report.json_report import case_record, write_json
from hideseek_backend.report.segnrrd import lesion_segments, write_segmentation
from hideseek_backend.volumes.writing import write_nifti
from hideseek_backend.wire.records import Candidate, Vertebra
from hideseek_backend.wire.tables import csv_text

if TYPE_CHECKING:
    from hideseek_backend.case import CaseResult

BODIES = "bodies.nii.gz"
"""Bodies of all levels, VerSe's values, on the CT's grid: a later date is laid beside them."""


def write_case(result: CaseResult, folder: Path) -> None:
    """Write the masks, tables, JSON files and report.html of a case into an existing folder.

    The same result gives the same bytes, but for the times in report.json.
    Raises OSError or OutputError when a file cannot be written.
    """
    write_nifti(result.lesions, folder / "lesions.nii.gz", dtype=np.uint8)
    if result.bodies is not None:
        write_nifti(result.bodies, folder / BODIES, dtype=np.uint8)
    write_segmentation(folder / "lesions.seg.nrrd", *lesion_segments(result))
    write_scores(result, folder)


def write_scores(result: CaseResult, folder: Path) -> None:
    """Write the tables, report.json and report.html of scored regions into an existing folder."""
    _write_candidates(result, folder)
    write_screening(result, folder)
    write_stored(folder / NAME, result)
    (folder / "report.html").write_text(case_page(result), encoding="utf-8")


def write_screening(result: CaseResult, folder: Path) -> None:
    """Write vertebrae.csv and report.json of a screened case into an existing folder."""
    _write_text(folder / "vertebrae.csv", csv_text(Vertebra, result.vertebrae))
    write_json(folder / "report.json", case_record(result))


def _write_candidates(result: CaseResult, folder: Path) -> None:
    candidates = [c for vertebra in result.vertebrae for c in vertebra.candidates]
    _write_text(folder / "candidates.csv", csv_text(Candidate, candidates))


def _write_text(path: Path, text: str) -> None:
    path.write_text(text, encoding="utf-8", newline="")
