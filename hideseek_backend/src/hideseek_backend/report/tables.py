"""Tables of a case: candidates.csv, vertebrae.csv and the same for a terminal."""

from __future__ import annotations

import csv
import math
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from hideseek_backend.case import Candidate, VertebraResult

CANDIDATE_COLUMNS = (
    "vertebra",
    "candidate",
    "polarity",
    "delta",
    "kept",
    "p_hide",
    "slices",
    "area_px",
    "volume_mm3",
    "mean_hu",
    "centroid_r_mm",
    "centroid_a_mm",
    "centroid_s_mm",
)
VERTEBRA_COLUMNS = (
    "vertebra",
    "p_malignant",
    "p_healthy_image",
    "analysed",
    "reason",
    "body_volume_mm3",
    "lytic_volume_mm3",
    "blastic_volume_mm3",
    "lytic_fraction",
    "blastic_fraction",
)

Row = dict[str, str]


def candidate_rows(vertebrae: Iterable[VertebraResult]) -> list[Row]:
    """Return one row a candidate with the columns CANDIDATE_COLUMNS, in the vertebrae's order.

    delta and p_hide are unitless, area in crop pixels (0.64 mm² each), volume in mm³, mean_hu in
    HU, centroid in RAS mm; slices are the crop's sagittal indices, separated by spaces.
    """
    return [_candidate_row(c) for vertebra in vertebrae for c in vertebra.candidates]


def vertebra_rows(vertebrae: Iterable[VertebraResult]) -> list[Row]:
    """Return one row a vertebra with the columns VERTEBRA_COLUMNS.

    Volumes are in mm³ and count kept lesions only; fractions are of the body's volume. A value
    that was not computed is empty.
    """
    return [_vertebra_row(v) for v in vertebrae]


def write_csv(path: Path, columns: Sequence[str], rows: Iterable[Mapping[str, str]]) -> None:
    """Write rows as CSV (RFC 4180, UTF-8, line feed), in the order of `columns`."""
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, fieldnames=list(columns), lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)


def text_table(columns: Sequence[str], rows: Sequence[Mapping[str, str]]) -> str:
    """Return rows as aligned text for a terminal; numbers to the right, words to the left."""
    cells = [[row[c] for c in columns] for row in rows]
    widths = [max([len(c), *(len(r[i]) for r in cells)]) for i, c in enumerate(columns)]
    right = [bool(cells) and all(_is_number(r[i]) for r in cells) for i in range(len(columns))]
    lines = [[*columns], ["─" * w for w in widths], *cells]
    return "\n".join(
        "  ".join(
            cell.rjust(width) if to_right else cell.ljust(width)
            for cell, width, to_right in zip(line, widths, right, strict=True)
        ).rstrip()
        for line in lines
    )


def number(value: float | None, decimals: int) -> str:
    """Format a number with fixed decimals; empty where it is None or not finite."""
    if value is None or not math.isfinite(value):
        return ""
    text = f"{value:.{decimals}f}"
    return text.lstrip("-") if float(text) == 0 else text


def probability(value: float | None) -> str:
    """Format a probability with six significant digits, as tiny ones matter here."""
    return "" if value is None or not math.isfinite(value) else f"{value:.6g}"


def fraction(part_mm3: float, body_mm3: float) -> float | None:
    """Return part / body, or None where the body has no volume."""
    return part_mm3 / body_mm3 if body_mm3 > 0 else None


def _candidate_row(candidate: Candidate) -> Row:
    r, a, s = candidate.centroid_ras
    return {
        "vertebra": candidate.vertebra,
        "candidate": str(candidate.candidate),
        "polarity": candidate.polarity,
        "delta": number(candidate.delta, 4),
        "kept": _yes_no(candidate.kept),
        "p_hide": probability(candidate.p_hide),
        "slices": " ".join(str(k) for k in candidate.slices),
        "area_px": str(candidate.area_px),
        "volume_mm3": number(candidate.volume_mm3, 1),
        "mean_hu": number(candidate.mean_hu, 1),
        "centroid_r_mm": number(r, 2),
        "centroid_a_mm": number(a, 2),
        "centroid_s_mm": number(s, 2),
    }


def _vertebra_row(vertebra: VertebraResult) -> Row:
    body = vertebra.body_volume_mm3
    return {
        "vertebra": vertebra.level,
        "p_malignant": probability(vertebra.p_malignant),
        "p_healthy_image": probability(vertebra.p_healthy_image),
        "analysed": _yes_no(vertebra.analysed),
        "reason": vertebra.reason,
        "body_volume_mm3": number(body, 1),
        "lytic_volume_mm3": number(vertebra.lytic_volume_mm3, 1) if vertebra.analysed else "",
        "blastic_volume_mm3": number(vertebra.blastic_volume_mm3, 1) if vertebra.analysed else "",
        "lytic_fraction": _fraction_cell(vertebra, vertebra.lytic_volume_mm3),
        "blastic_fraction": _fraction_cell(vertebra, vertebra.blastic_volume_mm3),
    }


def _fraction_cell(vertebra: VertebraResult, part_mm3: float) -> str:
    if not vertebra.analysed:
        return ""
    return number(fraction(part_mm3, vertebra.body_volume_mm3), 5)


def _yes_no(value: bool) -> str:
    return "true" if value else "false"


def _is_number(text: str) -> bool:
    if not text:
        return True
    try:
        float(text)
    except ValueError:
        return False
    return True
