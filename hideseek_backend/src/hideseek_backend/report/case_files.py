"""All files of a result, written into one folder."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from hideseek_backend.report.html import case_page
from hideseek_backend.report.json_report import case_record, write_json
from hideseek_backend.report.segnrrd import lesion_segments, write_segmentation
from hideseek_backend.report.tables import (
    CANDIDATE_COLUMNS,
    VERTEBRA_COLUMNS,
    candidate_rows,
    vertebra_rows,
    write_csv,
)
from hideseek_backend.volumes.writing import write_nifti

if TYPE_CHECKING:
    from hideseek_backend.case import CaseResult


def write_case(result: CaseResult, folder: Path) -> None:
    """Write the masks, tables, report.json and report.html of a case into an existing folder.

    The same result gives the same bytes, but for the times in report.json.
    Raises OSError or OutputError when a file cannot be written.
    """
    write_nifti(result.lesions, folder / "lesions.nii.gz", dtype=np.uint8)
    write_segmentation(folder / "lesions.seg.nrrd", *lesion_segments(result))
    write_csv(folder / "candidates.csv", CANDIDATE_COLUMNS, candidate_rows(result.vertebrae))
    write_csv(folder / "vertebrae.csv", VERTEBRA_COLUMNS, vertebra_rows(result.vertebrae))
    write_json(folder / "report.json", case_record(result))
    (folder / "report.html").write_text(case_page(result), encoding="utf-8")


def write_screening(result: CaseResult, folder: Path) -> None:
    """Write vertebrae.csv and report.json of a screened case into an existing folder."""
    write_csv(folder / "vertebrae.csv", VERTEBRA_COLUMNS, vertebra_rows(result.vertebrae))
    write_json(folder / "report.json", case_record(result))
