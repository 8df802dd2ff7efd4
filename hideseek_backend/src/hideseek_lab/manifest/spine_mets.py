"""Import TCIA's Spine-Mets-CT-SEG: a DICOM tree and a table of blastic, lytic and mixed levels.

Pieper et al., doi 10.7937/kh36-ds04, CC BY 4.0. The table was read by two readers from T1 to L5.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from hideseek_backend.errors import InputError
from hideseek_backend.wire.levels import LEVELS, order, parse_level
from hideseek_lab.manifest.dicom_tree import ct_of, find_series
from hideseek_lab.manifest.rows import Row
from hideseek_lab.manifest.table import Table, read_table
from hideseek_lab.manifest.wording import clauses, levels_in

SOURCE = "tcia-spine-mets-ct-seg"
READ_LEVELS = LEVELS[order("T1") : order("L5") + 1]
"""What the readers looked at."""
HEADS: Mapping[str, str] = {
    "patient": r"^(case|patient|subject)( ?id)?$",
    "blastic": r"blastic|sclerotic",
    "lytic": r"lytic",
    "mixed": r"mixed",
    "findings": r"vertebra.*lesion|lesion.*vertebra|finding",
    "comments": r"comment|remark|fracture",
}
"""What the heads of the columns look like, where they are not given."""
_FRACTURE = re.compile(r"fract|\bfx\b|compress|burst|collaps|crush", re.IGNORECASE)
_BENIGN = re.compile(r"h[a]?emangioma|noncancerous|benign|bone island", re.IGNORECASE)
_ARCH = re.compile(r"pedicle|pars\b|lamina|spinous|transverse|facet|post(erior)? el", re.IGNORECASE)
_BODY = re.compile(r"\bbody\b|bodies|endplate|anterior|entire|extend", re.IGNORECASE)


@dataclass(frozen=True)
class Reading:
    """What the table says of one patient.

    labels: level -> label, only of levels that are named. notes: level -> why, where a remark
    decided.
    """

    labels: Mapping[str, str]
    notes: Mapping[str, str] = field(default_factory=dict)


def read_clinical(path: Path, heads: Mapping[str, str] | None = None) -> dict[str, Reading]:
    """Read the table: patient -> Reading.

    heads: column names by role (HEADS) where they are not to be recognised.

    A level in the column of a type has that label; in two of them, mixed. A fracture that a remark
    names is `fracture`. A level whose remark places the lesion in the arch alone is `exclude`: the
    method sees bodies. Named with doubt, it is `unknown`; as benign, `healthy`.

    Raises InputError where a column cannot be found, or a patient comes twice.
    """
    table = read_table(path)
    columns = {role: _column(table, role, (heads or {}).get(role)) for role in HEADS}
    readings: dict[str, Reading] = {}
    for number, cells in table.rows:
        text = {role: cells.get(column or "", "") for role, column in columns.items()}
        if not text["patient"]:
            continue
        if text["patient"] in readings:
            raise InputError(
                f"{table.name}, row {number}: patient {text['patient']} a second time.",
                "Give one row a patient.",
            )
        readings[text["patient"]] = _reading(text)
    return readings


def _column(table: Table, role: str, given: str | None) -> str | None:
    lower = {column.lower(): column for column in table.columns}
    if given is not None:
        if given.lower() not in lower:
            raise InputError(
                f"Expected the column '{given}' in {table.name}, got {', '.join(table.columns)}.",
                f"Name the column of {role} as the table does.",
            )
        return lower[given.lower()]
    hits = [c for low, c in lower.items() if re.search(HEADS[role], low)]
    if not hits and role in ("patient", "blastic", "lytic"):
        raise InputError(
            f"Expected a column of {role} in {table.name}, got {', '.join(table.columns)}.",
            f"Say which one it is: --column {role}=NAME.",
        )
    return hits[0] if hits else None


def _reading(text: Mapping[str, str]) -> Reading:
    types = {role: set(levels_in(text[role])) for role in ("blastic", "lytic", "mixed")}
    labels: dict[str, str] = {}
    notes: dict[str, str] = {}
    for role, own in types.items():
        for level in own:
            labels[level] = "mixed" if level in labels else role
    for clause in clauses(text["findings"]):
        for level in levels_in(clause):
            if level not in labels and _BENIGN.search(clause):
                labels[level], notes[level] = "healthy", clause
            elif level not in labels:
                labels[level], notes[level] = "malignant", f"no column names its type: {clause}"
    in_body: dict[str, bool] = {}
    for clause in clauses(text["comments"]):
        arch, body = bool(_ARCH.search(clause)), bool(_BODY.search(clause))
        # Where one level is diseased, a remark without a level is about it.
        for level in levels_in(clause) or tuple(labels if len(labels) == 1 else ()):
            if _FRACTURE.search(clause):
                labels[level], notes[level] = "fracture", clause
            elif level not in labels:
                labels[level], notes[level] = "unknown", clause
            elif labels[level] not in ("fracture", "unknown", "healthy") and (arch or body):
                in_body[level] = in_body.get(level, False) or body
                notes[level] = clause
    for level, inside in in_body.items():
        if not inside and labels[level] != "fracture":
            labels[level] = "exclude"
    return Reading(labels, notes)


def import_spine_mets(
    root: Path, clinical: Path, heads: Mapping[str, str] | None = None
) -> tuple[list[Row], list[str]]:
    """Return the manifest's rows, one a vertebra, and what a reader of them should know.

    Raises InputError where no segmentation with its CT lies below `root`.
    """
    readings = read_clinical(clinical, heads)
    found = find_series(root)
    rows: list[Row] = []
    remarks: list[str] = []
    seen: set[str] = set()
    for one in (f for f in found if f.modality == "SEG"):
        ct = ct_of(one, found)
        reading = readings.get(one.patient)
        if ct is None or reading is None:
            what = "no CT that it belongs to" if ct is None else "no row in the table"
            remarks.append(f"{one.patient}: left out, {what}")
            continue
        if one.patient in seen:
            remarks.append(f"{one.patient}: a second segmentation left out ({one.path.name})")
            continue
        seen.add(one.patient)
        levels = {level for text in one.segments if (level := parse_level(text))}
        for level in sorted(levels, key=order):
            label = reading.labels.get(level, "healthy" if level in READ_LEVELS else "unknown")
            rows.append(
                Row(one.patient, one.patient, str(ct.path), str(one.path), level=level, label=label,
                    date=one.date, source=SOURCE)
            )  # fmt: skip
            if level in reading.notes:
                remarks.append(f"{one.patient} {level}: {label} ({reading.notes[level]})")
        absent = [lv for lv in reading.labels if lv not in levels]
        if absent:
            remarks.append(f"{one.patient}: {', '.join(absent)} not in the segmentation")
    remarks += [f"{p}: in the table, no scan found" for p in readings if p not in seen]
    if not rows:
        raise InputError(
            f"Expected CTs with DICOM segmentations below {root}, got none that belong together.",
            "Give the folder that holds the patients' folders, and the table of these patients.",
        )
    return rows, remarks
