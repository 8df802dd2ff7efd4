"""The verb `hideseek readers`: agreement, detection and time of a reader study."""

from __future__ import annotations

import argparse
import csv
from dataclasses import asdict
from pathlib import Path

DESCRIPTION = (
    "Print Cohen's kappa, ICC(2,1) of volumes, detection F1 and time of a worklist's readings, "
    "with and without the tool, with 95 % bootstrap intervals over cases."
)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the verb's arguments to its parser."""
    parser.description = DESCRIPTION
    add = parser.add_argument
    add("folder", metavar="DIR", type=Path, nargs="?", help="the worklist's folder")
    add("--truth", type=Path, metavar="CSV", help="columns case, level, label")
    add("--json", type=Path, metavar="FILE", help="write the figures as JSON")
    add("--manifest", type=Path, metavar="CSV", help="write every finding as a row for training")
    add("--patients", type=Path, metavar="CSV", help="columns case, patient: for the manifest")
    add(
        "--simulate", type=float, metavar="KAPPA",
        help="simulated readers of this kappa instead: shows that it is recovered",
    )  # fmt: skip
    add("--seed", type=int, default=1, metavar="N", help="of the bootstrap (default 1)")


def main(args: argparse.Namespace) -> int:
    """Run the verb; returns the exit status."""
    from hideseek_backend.errors import InputError
    from hideseek_backend.report.output import writing
    from hideseek_backend.report.tables import text_table
    from hideseek_backend.wire.codec import json_text
    from hideseek_lab.manifest import write_manifest
    from hideseek_lab.readers.manifest import manifest_rows
    from hideseek_lab.readers.simulate import simulated_readers
    from hideseek_lab.readers.study import read_readings, study_figures

    truth = _truth(args.truth) if args.truth else None
    if args.simulate is not None:
        truth = {
            (f"case{c:02d}", f"{part}{n}"): "lytic" if (5 * c + 3 * n) % 10 < 3 else "healthy"
            for c in range(40) for part, n in [("T", k) for k in range(5, 13)]
        }  # fmt: skip
        kappas = {"with": args.simulate, "without": args.simulate}
        readings = simulated_readers(truth, kappas, seed=args.seed)
        print(f"Simulated readers, kappa {args.simulate:g}; no reader read anything.")
    elif args.folder is None:
        raise InputError("Expected the folder of a worklist.", "hideseek readers DIR")
    else:
        readings = read_readings(args.folder)
    figures = study_figures(readings, truth, args.seed)
    readers = sorted({r.reader for r in readings})
    print(
        f"{len(readers)} readers, {len({r.case for r in readings})} cases, {len(readings)} readings"
    )
    rows = [
        {"figure": f.name, "tool": f.arm or "–", "value": f"{f.value:.3f}",
         "95 %": f"{f.low:.3f} to {f.high:.3f}", "n": str(f.n)}
        for f in figures
    ]  # fmt: skip
    print(text_table(("figure", "tool", "value", "95 %", "n"), rows))
    if args.json is not None:
        with writing(args.json):
            args.json.write_text(json_text([asdict(f) for f in figures]), encoding="utf-8")
    if args.manifest is not None and args.folder is not None:
        found = manifest_rows(args.folder, readings, _patients(args.patients))
        write_manifest(args.manifest, found)
        print(f"{args.manifest}: {len(found)} rows for `hideseek train --manifest`")
    return 0


def _truth(path: Path) -> dict[tuple[str, str], str]:
    return {(r["case"], r["level"]): r["label"] for r in _rows(path, ("case", "level", "label"))}


def _patients(path: Path | None) -> dict[str, str]:
    if path is None:
        return {}
    return {r["case"]: r["patient"] for r in _rows(path, ("case", "patient"))}


def _rows(path: Path, columns: tuple[str, ...]) -> list[dict[str, str]]:
    from hideseek_backend.errors import InputError

    try:
        with path.open(encoding="utf-8", newline="") as stream:
            rows = list(csv.DictReader(stream))
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise InputError(
            f"Expected a table in {path.name}, got {error}.", "Save it as CSV."
        ) from error
    if not rows or not set(columns) <= set(rows[0]):
        raise InputError(
            f"Expected the columns {', '.join(columns)} in {path.name}.", "Correct its first line."
        )
    return rows
