"""The verb `hideseek benchmark cohort`: what a second worker brings and what the engine costs."""

from __future__ import annotations

import argparse
import sys
import time
from dataclasses import asdict
from pathlib import Path

from hideseek_backend.cli import values
from hideseek_backend.report.output import writing
from hideseek_backend.wire.codec import json_text
from hideseek_lab.scoring.output import write_into

DESCRIPTION = (
    "Segment phantom spines with one worker and with two, with the engine and by bare processes, "
    "one thread each. Nothing else may run meanwhile: a busy machine measures its other work."
)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the verb's arguments to its parser."""
    parser.description = DESCRIPTION
    add = parser.add_argument
    add("--out", type=Path, default=Path("runs/cohort-speed"), metavar="DIR", help="cases and runs")
    add("--cases", type=values.whole(2, 1000), default=12, metavar="N", help="phantoms")
    add("--slices", choices=("central", "all"), default="central", help="all takes minutes a case")
    add("--only-make", action="store_true", help="make the phantoms and stop")
    add("--json", type=Path, metavar="FILE", help="write the figures as JSON")


def main(args: argparse.Namespace) -> int:
    """Run the verb; returns the exit status."""
    from hideseek_backend.attribution.options import Options
    from hideseek_backend.models.store import load_model
    from hideseek_lab.cohort.measure import make_cases, measure

    with writing(args.out):
        args.out.mkdir(parents=True, exist_ok=True)
        cases = make_cases(args.out / "cases", args.cases)
        if args.only_make:
            return 0
        defaults = load_model("bundled", device="cpu").spec.defaults
        options = asdict(Options.for_protocol("fast", defaults, slices=args.slices))
        runs = args.out / time.strftime("%Y%m%d-%H%M%S")
        figures = measure(cases, runs, options, ("--slices", args.slices))
        if args.json is not None:
            write_into(args.json.parent, {args.json.name: json_text(figures.to_dict())})
    sys.stdout.write(f"{figures}\n")
    return 0
