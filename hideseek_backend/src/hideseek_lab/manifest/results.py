"""Turn reviewed results into labels: what a reader accepted is disease, what was rejected is not.

A results folder holds candidates.csv with the reader's decisions, as the panel exports it.
"""

from __future__ import annotations

import csv
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from hideseek_backend.errors import InputError
from hideseek_backend.wire.levels import order
from hideseek_lab.manifest.rows import Case, Row

_ACCEPTED, _REJECTED = ("accept", "accepted"), ("reject", "rejected")


def import_results(
    folders: Sequence[Path], known: Mapping[str, Case], reader: str = ""
) -> tuple[list[Row], list[str]]:
    """Return one row for each vertebra that a reader decided on.

    known: cases by name, whose files the results were made of; a results folder has its case's
    name. A vertebra with accepted candidates has their type; one whose candidates were all
    rejected is healthy; one with open candidates is left out.

    Raises InputError for a folder without decisions or of an unknown case.
    """
    rows: list[Row] = []
    remarks: list[str] = []
    for folder in folders:
        case = known.get(folder.name)
        if case is None:
            raise InputError(
                f"Expected a case called {folder.name} in the manifest of the scans, got none.",
                "Name the results folder after its case, as `hideseek cohort` does.",
            )
        decided = _decisions(folder / "candidates.csv")
        open_levels = []
        for level in sorted(decided, key=order):
            label = label_of(decided[level])
            if label is None:
                open_levels.append(level)
                continue
            rows.append(replace(row_of(case), level=level, label=label, reader=reader,
                                source="reviewed"))  # fmt: skip
        if open_levels:
            remarks.append(f"{case.name}: {', '.join(open_levels)} left out, not decided")
    return rows, remarks


def label_of(decisions: Sequence[tuple[str, str]]) -> str | None:
    """The label that (polarity, decision) of a vertebra's candidates come to; None: undecided."""
    accepted = {polarity for polarity, decision in decisions if decision in _ACCEPTED}
    if accepted:
        return "mixed" if len(accepted) > 1 else accepted.pop()
    if decisions and all(decision in _REJECTED for _, decision in decisions):
        return "healthy"
    return None


def row_of(case: Case) -> Row:
    """A row with a case's files."""
    return Row(
        case.patient, case.name, str(case.ct), str(case.vertebrae or ""), str(case.bodies or ""),
        case.scheme, split=case.split,
    )  # fmt: skip


def _decisions(path: Path) -> dict[str, list[tuple[str, str]]]:
    try:
        with path.open(encoding="utf-8", newline="") as file:
            rows = list(csv.DictReader(file))
    except (OSError, csv.Error) as error:
        raise InputError(f"Expected {path}, got {error}.", "Give a results folder.") from error
    if rows and "decision" not in rows[0]:
        raise InputError(
            f"Expected a column `decision` in {path}, got none: nobody has reviewed this result.",
            "Review it in 3D Slicer and export its tables.",
        )
    found: dict[str, list[tuple[str, str]]] = {}
    for row in rows:
        found.setdefault(row["vertebra"], []).append((row["polarity"], row["decision"].lower()))
    return found
