"""The verb `hideseek benchmark real`: real vertebrae, untouched and with inserted lesions."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Collection, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hideseek_backend.cli.progress import ProgressBar
from hideseek_backend.errors import InputError, OptionError
from hideseek_backend.wire.codec import json_text
from hideseek_backend.wire.words import DEVICES
from hideseek_lab.scoring.output import write_into

if TYPE_CHECKING:
    from hideseek_lab.benchmark.real_set import Screened
    from hideseek_lab.training.real_cases import RealCase

DESCRIPTION = (
    "Screen real vertebrae that show no known metastasis: as they are, with benign findings "
    "inserted, and with metastases inserted by two generators. Each patient is read by a model "
    "that was never trained on it; the models say themselves whom they held out. --folds trains "
    "one for each of five folds of the patients."
)
EXAMPLE = (
    "example: hideseek benchmark real --data real --folds runs/folds --start-from older --reference"
)
SEEN, UNSEEN = "trained on", "never trained on"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the verb's arguments to its parser."""
    parser.description = DESCRIPTION
    parser.epilog = EXAMPLE
    parser.add_argument(
        "--data", type=Path, action="append", required=True, metavar="PATH",
        help="folder of cases (ct.nii.gz, bodies.nii.gz, case.json each), or the JSON file of one",
    )  # fmt: skip
    parser.add_argument(
        "--model", action="append", metavar="NAME_OR_DIR",
        help="model, or one of several trained on folds of the patients (default: bundled)",
    )  # fmt: skip
    parser.add_argument(
        "--folds", type=Path, metavar="RUN",
        help="read every patient with a model of its own fold, trained into this folder where it "
        "is not there yet",
    )  # fmt: skip
    parser.add_argument(
        "--start-from", metavar="NAME_OR_DIR",
        help="with --folds: the model that they start from, which has seen none of the patients",
    )  # fmt: skip
    parser.add_argument(
        "--kept", type=Path, metavar="DIR",
        help="keep the slices that are screened here (HU, rounded), and read them where they are; "
        "--folds keeps them in its own folder",
    )  # fmt: skip
    parser.add_argument(
        "--edits", action="store_true",
        help="also edit the central slices of the patients never trained on: SSIM and Dice",
    )  # fmt: skip
    parser.add_argument(
        "--reference", action="store_true",
        help="also compare p with p against the vertebra's own scan, neighbours and level",
    )  # fmt: skip
    parser.add_argument("--device", choices=DEVICES, default="auto")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write rows and figures as JSON")
    parser.add_argument(
        "--sheet", type=Path, metavar="FILE", help="with --edits: a PNG of twenty edits"
    )


def main(args: argparse.Namespace) -> int:
    """Run the verb; returns the exit status."""
    if not any(path.exists() for path in args.data):
        where = ", ".join(str(path) for path in args.data)
        sys.stdout.write(f"Skipped: there are no real cases at {where}.\n")
        return 0
    if (args.folds is None) != (args.start_from is None) or (args.folds and args.model):
        raise OptionError(
            "--folds and --start-from belong together, without --model.",
            "Give a folder for the folds and a model that has seen none of the patients.",
        )
    if args.edits and args.folds:
        raise OptionError(
            "--edits needs a whole model; those of folds read p only.", "Leave one of them out."
        )
    from hideseek_backend.models.store import load_model
    from hideseek_lab.benchmark.real_calibration import cross_calibrated
    from hideseek_lab.training.real_cases import read_cases

    cases = read_cases(args.data)
    names: list[Any] = args.model or ["bundled"]
    if args.folds is not None:
        from hideseek_lab.training.folds import FoldPlan, train_folds

        base = load_model(args.start_from, "cpu")
        names = list(train_folds(base, cases, args.folds, FoldPlan(), _say))
    models = [load_model(name, args.device) for name in names]
    with ProgressBar() as bar:
        kept = args.kept or (args.folds / "set" if args.folds is not None else None)
        rows, groups = _read(models, cases, kept, bar)
    lines: list[str] = []
    stored: dict[str, Any] = {"models": [model.hash for model in models]}
    unseen = rows[UNSEEN]
    if args.folds is not None:
        # A model of a fold has no p of its own: its logits are calibrated on the other folds'.
        unseen = cross_calibrated(unseen, groups)
        _add(lines, stored, "never trained on, p calibrated on the other folds", unseen)
    else:
        _add(lines, stored, UNSEEN, unseen)
        _add(lines, stored, SEEN, rows[SEEN])
        patients = sorted({row.patient for row in unseen})
        if rows[SEEN] and len(patients) > 1:
            # The model's own p was calibrated on these very patients.
            again = cross_calibrated(unseen, [{name} for name in patients])
            _add(lines, stored, "never trained on, p calibrated on the others of them", again)
    if args.edits:
        own = [case for case in cases if case.patient in {row.patient for row in unseen}]
        lines += _edits(models, own, stored, args.sheet)
    if args.reference and unseen:
        from hideseek_lab.benchmark.real_reference import compared

        table = compared(unseen)
        lines += ["The scan as its own reference; gains over p as it is, 95 % over patients"]
        lines += [line for reading in table for line in reading.lines()]
        stored["reference"] = [asdict(reading) for reading in table]
    sys.stdout.write("\n".join(lines) + "\n")
    if args.json is not None:
        write_into(args.json.parent, {args.json.name: json_text(stored)})
    return 0


def _read(
    models: Sequence[Any], cases: Sequence[RealCase], kept: Path | None, bar: ProgressBar
) -> tuple[dict[str, list[Screened]], list[Collection[str]]]:
    """Screen every case with the model that held it out, the rest with the last model.

    Returns rows by whether the model had seen the patient, and each model's patients.
    """
    from hideseek_backend.attribution.options import Options
    from hideseek_lab.benchmark.real_set import screened, screened_from

    left = {case.patient for case in cases}
    rows: dict[str, list[Screened]] = {UNSEEN: [], SEEN: []}
    groups: list[Collection[str]] = []
    for number, model in enumerate(models):
        real = model.spec.training.get("real", {})
        parts = real if isinstance(real, dict) else {}
        trained, held = (
            {entry["patient"] for entry in parts.get(key, ())} for key in ("trained_on", "held_out")
        )
        mine = set(left) if number == len(models) - 1 else left & held
        if len(models) > 1 and not held & left:
            raise InputError(
                f"Model {model.spec.name} held out none of the patients left to read.",
                "Give models of folds, each trained with --hold-out of its own patients.",
            )
        left -= mine
        groups.append(mine)
        own = [case for case in cases if case.patient in mine]
        options = Options.for_protocol("fast", model.spec.defaults)
        told = (
            screened(model, own, options, bar)
            if kept is None
            else screened_from(kept, model, own, options, bar)
        )
        for row in told:
            rows[SEEN if row.patient in trained else UNSEEN].append(row)
    return rows, groups


def _add(lines: list[str], stored: dict[str, Any], title: str, rows: Sequence[Screened]) -> None:
    """Add the table of rows to what is printed and stored, where there are any."""
    from hideseek_lab.benchmark.real_figures import by_patient, figures

    if not rows:
        return
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


def _edits(
    models: Sequence[Any], cases: Sequence[RealCase], stored: dict[str, Any], sheet: Path | None
) -> list[str]:
    """The table of healthy edits on `cases`, and its sheet of pictures."""
    from hideseek_backend.attribution.options import Options
    from hideseek_lab.benchmark.real_edit import edit_figures, edit_sheet

    model = models[-1]
    options = Options.for_protocol("fast", model.spec.defaults)
    with ProgressBar() as bar:
        edits = edit_figures(model, cases, options, bar)
    stored["edits"] = [asdict(figure) for figure in edits.table]
    if sheet is not None:
        write_into(sheet.parent, {sheet.name: edit_sheet(model, edits, options)})
    return ["Healthy edits of patients never trained on", *(f.line() for f in edits.table), ""]


def _say(line: str) -> None:
    sys.stderr.write(line + "\n")
    sys.stderr.flush()
