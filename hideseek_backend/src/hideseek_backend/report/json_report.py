"""report.json: everything about a run that is not an image."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hideseek_backend.report.summary import DISCLAIMER, case_warnings, totals
from hideseek_backend.wire.codec import json_text, to_plain
from hideseek_backend.wire.records import Vertebra

if TYPE_CHECKING:
    from hideseek_backend.case import CaseResult

FORMAT = "hideseek-case-1"


def case_record(result: CaseResult) -> dict[str, Any]:
    """Return a case as JSON-ready values.

    Volumes in mm³, centroids in RAS mm, areas in crop pixels of 0.64 mm², times in seconds.
    """
    record = {
        "format": FORMAT,
        "disclaimer": DISCLAIMER,
        "provenance": result.provenance,
        "options": asdict(result.options),
        "warnings": case_warnings(result),
        "totals": asdict(totals(result.vertebrae, result.options.p_threshold)),
        "grid": {
            "shape": result.lesions.shape,
            "affine_ijk_to_ras": result.lesions.affine.tolist(),
        },
        "vertebrae": [vertebra_record(v) for v in result.vertebrae],
    }
    plain: dict[str, Any] = to_plain(record)
    return plain


def vertebra_record(vertebra: Vertebra) -> dict[str, Any]:
    """Return one vertebra without its images."""
    shares = {c.name: to_plain(getattr(vertebra, c.name)) for c in vertebra.DERIVED}
    return {**to_plain(vertebra), **shares}


def write_json(path: Path, record: Mapping[str, Any]) -> None:
    """Write a record as readable UTF-8 JSON; numbers that are not finite become null."""
    path.write_text(json_text(record), encoding="utf-8")
