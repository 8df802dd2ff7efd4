"""report.json: everything about a run that is not an image."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import asdict, is_dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from hideseek_backend.report.summary import DISCLAIMER, case_warnings, totals
from hideseek_backend.report.tables import fraction

if TYPE_CHECKING:
    from hideseek_backend.case import Candidate, CaseResult, VertebraResult

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
        "grid": {"shape": result.lesions.shape, "affine_ijk_to_ras": result.lesions.affine},
        "vertebrae": [vertebra_record(v) for v in result.vertebrae],
    }
    plain: dict[str, Any] = to_plain(record)
    return plain


def vertebra_record(vertebra: VertebraResult) -> dict[str, Any]:
    """Return one vertebra without its images."""
    body = vertebra.body_volume_mm3
    return {
        "vertebra": vertebra.level,
        "p_malignant": vertebra.p_malignant,
        "p_healthy_image": vertebra.p_healthy_image,
        "analysed": vertebra.analysed,
        "reason": vertebra.reason,
        "phenotype": vertebra.phenotype,
        "body_volume_mm3": body,
        "lytic_volume_mm3": vertebra.lytic_volume_mm3,
        "blastic_volume_mm3": vertebra.blastic_volume_mm3,
        "lytic_fraction": fraction(vertebra.lytic_volume_mm3, body),
        "blastic_fraction": fraction(vertebra.blastic_volume_mm3, body),
        "warnings": vertebra.warnings,
        "seconds": vertebra.seconds,
        "candidates": [candidate_record(c) for c in vertebra.candidates],
    }


def candidate_record(candidate: Candidate) -> dict[str, Any]:
    """Return one candidate as a flat record."""
    return asdict(candidate)


def write_json(path: Path, record: Mapping[str, Any]) -> None:
    """Write a record as readable UTF-8 JSON; numbers that are not finite become null."""
    text = json.dumps(to_plain(record), indent=2, ensure_ascii=False, allow_nan=False)
    path.write_text(text + "\n", encoding="utf-8")


def to_plain(value: Any) -> Any:
    """Turn dataclasses, arrays, tuples, paths and numpy numbers into what JSON holds."""
    if value is None or isinstance(value, (bool, int, str)):
        return value
    if isinstance(value, (float, np.floating)):
        return float(value) if math.isfinite(value) else None
    if isinstance(value, np.generic):
        return value.item()
    if isinstance(value, np.ndarray):
        return to_plain(value.tolist())
    if is_dataclass(value) and not isinstance(value, type):
        return to_plain(asdict(value))
    if isinstance(value, Mapping):
        return {str(key): to_plain(inner) for key, inner in value.items()}
    if isinstance(value, (list, tuple, set, frozenset)):
        return [to_plain(inner) for inner in value]
    return str(value)
