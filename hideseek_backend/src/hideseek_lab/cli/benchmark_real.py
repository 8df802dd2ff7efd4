"""The verb `hideseek benchmark real`: real vertebrae, untouched and with inserted lesions."""

from __future__ import annotations

import argparse
import sys
from dataclasses import asdict
from pathlib import Path

from hideseek_backend.cli.progress import ProgressBar
from hideseek_backend.errors import InputError
from hideseek_backend.wire.codec import json_text
from hideseek_lab.scoring.output import write_into

DESCRIPTION = (
    "Screen real vertebrae that show no known metastasis: as they are, with benign findings "
    "inserted, and with metastases inserted by two generators. Each patient is read by a model "
    "that was never trained on it; the models say themselves whom they held out."
)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the verb's arguments to its parser."""
    parser.description = DESCRIPTION
    parser.add_argument(
        "--data", type=Path, action="append", required=True, metavar="PATH",
        help="folder of cases (ct.nii.gz, bodies.nii.gz, case.json each), or the JSON file of one",
    )  # fmt: skip
    parser.add_argument(
        "--model", action="append", metavar="NAME_OR_DIR",
        help="model, or one of several trained on folds of the patients (default: bundled)",
    )  # fmt: skip
    parser.add_argument("--device", choices=("auto", "cpu", "cuda"), default="auto")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write rows and figures as JSON")


def main(args: argparse.Namespace) -> int:
    """Run the verb; returns the exit status."""
    if not any(path.exists() for path in args.data):
        where = ", ".join(str(path) for path in args.data)
        sys.stdout.write(f"Skipped: there are no real cases at {where}.\n")
        return 0
    from hideseek_backend.attribution.options import Options
    from hideseek_backend.models.store import load_model
    from hideseek_lab.benchmark.real_figures import by_patient, figures
    from hideseek_lab.benchmark.real_set import Screened, screened
    from hideseek_lab.training.real_cases import read_cases

    cases = read_cases(args.data)
    left = {case.patient for case in cases}
    groups: dict[str, list[Screened]] = {"never trained on": [], "trained on": []}
    hashes = []
    with ProgressBar() as bar:
        models = [load_model(name, args.device) for name in args.model or ["bundled"]]
        for number, model in enumerate(models):
            hashes.append(model.hash)
            real = model.spec.training.get("real", {})
            parts = real if isinstance(real, dict) else {}
            trained, held = (
                {entry["patient"] for entry in parts.get(key, ())}
                for key in ("trained_on", "held_out")
            )
            mine = set(left) if number == len(models) - 1 else left & held
            if len(models) > 1 and not held & left:
                raise InputError(
                    f"Model {model.spec.name} held out none of the patients left to read.",
                    "Give models of folds, each trained with --hold-out of its own patients.",
                )
            left -= mine
            own = [case for case in cases if case.patient in mine]
            options = Options.for_protocol("fast", model.spec.defaults)
            for row in screened(model, own, options, bar):
                groups["trained on" if row.patient in trained else "never trained on"].append(row)
    lines, stored = [], {}
    for title, rows in groups.items():
        if not rows:
            continue
        table = figures(rows)
        patients = by_patient(rows)
        lines += [f"Real patients {title} ({len(patients)}); 95 % intervals over patients"]
        lines += [figure.line() for figure in table]
        worst = min(patients, key=lambda name: patients[name][0] / patients[name][1])
        below, count = patients[worst]
        lines += [f"worst patient: {worst}, {below} of {count} below p = 0.5"]
        lines += ["by patient: " + ", ".join(f"{k} {a}/{b}" for k, (a, b) in patients.items()), ""]
        stored[title] = {
            "figures": [asdict(figure) for figure in table],
            "rows": [asdict(row) for row in rows],
        }
    sys.stdout.write("\n".join(lines) + "\n")
    if args.json is not None:
        write_into(args.json.parent, {args.json.name: json_text({"models": hashes, **stored})})
    return 0
