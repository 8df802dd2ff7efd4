"""cohort.csv, lesions.csv and lesions.parquet: what the results of all cases come to."""

from __future__ import annotations

import csv
import importlib.util
import json
import sys
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from hideseek_backend.files import whole_file
from hideseek_lab.cohort.jobs import RECORD, Job

PATIENT_COLUMNS = (
    "patient", "cases", "vertebrae", "flagged", "analysed", "lytic_lesions", "blastic_lesions",
    "lytic_volume_mm3", "blastic_volume_mm3", "highest_p", "flagged_levels", "warnings",
)  # fmt: skip


@dataclass(frozen=True)
class Result:
    """One case, as far as tables and page need it. report: what is kept of its report.json."""

    patient: str
    case: str
    report: dict[str, Any] = field(repr=False)
    seconds: float = 0.0

    @property
    def vertebrae(self) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = self.report["vertebrae"]
        return found

    @property
    def flagged(self) -> list[dict[str, Any]]:
        """Vertebrae whose p reaches the run's threshold."""
        least = self.report["options"]["p_threshold"]
        return [v for v in self.vertebrae if (v["p_malignant"] or 0.0) >= least]

    @property
    def volume_mm3(self) -> float:
        totals = self.report["totals"]
        return float(totals["lytic_volume_mm3"] + totals["blastic_volume_mm3"])


def read_results(results: Path, jobs: Iterable[Job]) -> list[Result]:
    """Read the results that are there; folders without a record are unfinished."""
    found = []
    for job in jobs:
        folder = results / job.case
        try:
            record = json.loads((folder / RECORD).read_text(encoding="utf-8"))
            report = json.loads((folder / "report.json").read_text(encoding="utf-8"))
        except (OSError, ValueError):
            continue
        seconds = float(record["seconds"])
        found.append(Result(job.patient, job.case, _of_interest(report), seconds))
    return found


def _of_interest(report: dict[str, Any]) -> dict[str, Any]:
    """A report without what no table shows: those of twenty thousand cases are held at once."""
    return {
        "options": {name: report["options"][name] for name in ("p_threshold", "slices")},
        "totals": report["totals"],
        "warnings": report["warnings"],
        "vertebrae": [
            {
                **{name: v[name] for name in ("vertebra", "p_malignant", "phenotype")},
                # Names of columns are one string for all, not one a lesion.
                "candidates": [
                    {sys.intern(name): value for name, value in c.items()}
                    for c in v["candidates"]
                    if c["kept"]
                ],
            }
            for v in report["vertebrae"]
        ],
    }


def patient_rows(results: Sequence[Result]) -> list[dict[str, Any]]:
    """One row a patient, columns PATIENT_COLUMNS; volumes of kept lesions in mm³."""
    by_patient: dict[str, list[Result]] = {}
    for result in results:
        by_patient.setdefault(result.patient, []).append(result)
    return [_patient_row(name, own) for name, own in by_patient.items()]


def lesion_rows(results: Sequence[Result]) -> list[dict[str, Any]]:
    """One row a kept candidate: patient, case, and what candidates.csv says of it."""
    return [
        {"patient": r.patient, "case": r.case, **_flat(c)}
        for r in results
        for v in r.vertebrae
        for c in v["candidates"]
    ]


def write_tables(run: Path, results: Sequence[Result]) -> None:
    """Write the tables of a run, each whole or not at all."""
    lesions = lesion_rows(results)
    columns = tuple(lesions[0]) if lesions else ("patient", "case", "vertebra", "candidate")
    _write_csv(run / "cohort.csv", PATIENT_COLUMNS, patient_rows(results))
    _write_csv(run / "lesions.csv", columns, lesions)
    if importlib.util.find_spec("pyarrow") is not None:
        import pyarrow
        import pyarrow.parquet

        table = pyarrow.table({c: [row.get(c) for row in lesions] for c in columns})
        with whole_file(run / "lesions.parquet") as part:
            pyarrow.parquet.write_table(table, part)


def _patient_row(patient: str, own: Sequence[Result]) -> dict[str, Any]:
    totals = [r.report["totals"] for r in own]
    ps = [v["p_malignant"] for r in own for v in r.vertebrae if v["p_malignant"] is not None]
    return {
        "patient": patient,
        "cases": len(own),
        "vertebrae": sum(t["vertebrae"] for t in totals),
        "flagged": sum(t["flagged"] for t in totals),
        "analysed": sum(t["analysed"] for t in totals),
        "lytic_lesions": sum(t["kept_lytic"] for t in totals),
        "blastic_lesions": sum(t["kept_blastic"] for t in totals),
        "lytic_volume_mm3": round(sum(t["lytic_volume_mm3"] for t in totals), 1),
        "blastic_volume_mm3": round(sum(t["blastic_volume_mm3"] for t in totals), 1),
        "highest_p": f"{max(ps):.6g}" if ps else "",
        "flagged_levels": " ".join(v["vertebra"] for r in own for v in r.flagged),
        "warnings": sum(len(r.report["warnings"]) for r in own),
    }


def _flat(candidate: dict[str, Any]) -> dict[str, Any]:
    flat: dict[str, Any] = {}
    for key, value in candidate.items():
        if key == "centroid_ras":
            flat |= {f"centroid_{axis}_mm": v for axis, v in zip("ras", value, strict=True)}
        else:
            flat[key] = " ".join(map(str, value)) if isinstance(value, list) else value
    return flat


def _write_csv(path: Path, columns: Sequence[str], rows: Iterable[dict[str, Any]]) -> None:
    def write(to: Path) -> None:
        with to.open("w", encoding="utf-8", newline="") as file:
            table = csv.DictWriter(file, list(columns), lineterminator="\n")
            table.writeheader()
            table.writerows(rows)

    with whole_file(path) as part:
        write(part)
