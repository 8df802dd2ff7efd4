"""The verb `hideseek benchmark speed`: the reference protocol against the fast one."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from hideseek_backend.cli import values
from hideseek_backend.cli.progress import ProgressBar
from hideseek_backend.progress import Progress
from hideseek_backend.report.output import writing
from hideseek_backend.wire.codec import json_text
from hideseek_backend.wire.words import DEVICES
from hideseek_lab.benchmark.speed import REFERENCE_SIZE, SpeedPlan, run
from hideseek_lab.benchmark.speed_report import speed_markdown
from hideseek_lab.scoring.output import write_into

DESCRIPTION = (
    "Time the reference protocol as published (DDIM 250/100, one slice at a time) against the fast "
    "one, with the same weights on the same slices, and say how far they agree. The reference "
    "takes half a minute a vertebra; a stopped run goes on from its cache. Six minutes on one core."
)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the verb's arguments to its parser."""
    parser.description = DESCRIPTION
    add = parser.add_argument
    plan = SpeedPlan()
    add("--json", type=Path, metavar="FILE", help="write all figures as JSON")
    add(
        "--out", type=Path, default=Path("runs/speed"), metavar="DIR",
        help="folder for the table and the cache (default runs/speed)",
    )  # fmt: skip
    add(
        "--model", nargs="+", default=list(plan.models), metavar="NAME_OR_DIR",
        help=f"networks to measure; {REFERENCE_SIZE} is the published architecture with random "
        "weights (default: bundled and it)",
    )  # fmt: skip
    add("--device", choices=DEVICES, default="auto")
    whole = values.whole(1, 10_000)
    add("--vertebrae", type=whole, default=plan.vertebrae, metavar="N", help="fast and converged")
    add(
        "--reference-vertebrae", type=whole, default=plan.reference_vertebrae, metavar="N",
        help=f"of them with the reference protocol (default {plan.reference_vertebrae})",
    )  # fmt: skip
    add(
        "--large-vertebrae", type=whole, default=plan.large_vertebrae, metavar="N",
        help="--vertebrae of networks over 20 M parameters, of whose reference a tenth is run",
    )  # fmt: skip
    part = parser.add_mutually_exclusive_group().add_argument
    part("--no-spine", action="store_true", help="leave out the whole spine")
    part("--only-spine", action="store_true", help="the whole spine alone: a minute")


def main(args: argparse.Namespace) -> int:
    """Run the verb; returns the exit status."""
    plan = SpeedPlan(
        models=tuple(args.model),
        device=args.device,
        vertebrae=args.vertebrae,
        reference_vertebrae=args.reference_vertebrae,
        large_vertebrae=args.large_vertebrae,
        slices=not args.only_spine,
        spine=not args.no_spine,
    )
    with writing(args.out):
        args.out.mkdir(parents=True, exist_ok=True)
        with ProgressBar() as bar:
            figures = run(
                plan,
                args.out / "cache",
                lambda what, done, total: bar(Progress(what, None, done, total)),
            )
        text = speed_markdown(figures)
        write_into(args.out, {"speed.md": text})
        if args.json is not None:
            write_into(args.json.parent, {args.json.name: json_text(figures)})
    sys.stdout.write(text)
    return 0
