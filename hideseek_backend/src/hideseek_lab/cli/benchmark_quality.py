"""The verb `hideseek benchmark quality`: our settings, the paper's and its baselines."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from hideseek_backend.cli.progress import ProgressBar
from hideseek_backend.report.output import writing
from hideseek_backend.wire.codec import json_text
from hideseek_backend.wire.words import DEVICES
from hideseek_lab.benchmark.inserted import parse_real
from hideseek_lab.benchmark.quality import GROUPS, QualityPlan, run_quality
from hideseek_lab.benchmark.quality_report import (
    quality_files,
    quality_json,
    quality_markdown,
)
from hideseek_lab.scoring.output import write_into

DESCRIPTION = (
    "Measure our settings, the paper's and the paper's baselines on fixed phantom vertebrae. "
    "A stopped run goes on from its cache."
)
EXAMPLE = "example: hideseek benchmark quality --out bench/quality --json quality.json"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the verb's arguments to its parser."""
    parser.description = DESCRIPTION
    parser.epilog = EXAMPLE
    parser.add_argument(
        "--out", type=Path, default=Path("runs/quality"), metavar="DIR",
        help="folder for the page, the tables and the cache (default runs/quality)",
    )  # fmt: skip
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the table as JSON as well")
    parser.add_argument("--model", default="bundled", metavar="NAME_OR_DIR", help="our model")
    parser.add_argument("--device", choices=DEVICES, default="auto")
    parser.add_argument(
        "--malignant", type=_count, default=200, metavar="N", help="malignant test vertebrae"
    )
    parser.add_argument(
        "--healthy", type=_count, default=200, metavar="N", help="healthy test vertebrae"
    )
    parser.add_argument(
        "--validation", type=_count, default=90, metavar="N",
        help="malignant validation vertebrae on which baselines choose their settings",
    )  # fmt: skip
    parser.add_argument(
        "--reference-steps", type=_steps, default=(250, 100), metavar="INVERT,RENDER",
        help="solver steps of the paper's settings; fewer are reported as such (default 250,100)",
    )  # fmt: skip
    parser.add_argument(
        "--methods", nargs="+", choices=GROUPS, default=list(GROUPS), metavar="NAME",
        help=f"which to run: {', '.join(GROUPS)}",
    )  # fmt: skip
    parser.add_argument(
        "--healthy-model", metavar="DIR",
        help="model trained on healthy vertebrae only, for anomaly detection",
    )  # fmt: skip
    parser.add_argument(
        "--real", action="append", default=[], metavar="CT,VERTEBRAE,L1+L2[,BODIES]",
        help="real vertebrae without disease to insert lesions into; may be repeated",
    )  # fmt: skip
    parser.add_argument(
        "--ablations", action="store_true",
        help="sweep the method's settings on the validation split instead",
    )  # fmt: skip


def main(args: argparse.Namespace) -> int:
    """Run the verb; returns the exit status."""
    plan = QualityPlan(
        model=args.model,
        device=args.device,
        malignant=args.malignant,
        healthy=args.healthy,
        validation=args.validation,
        reference_steps=args.reference_steps,
        groups=tuple(args.methods),
        healthy_model=args.healthy_model,
        real=tuple(parse_real(text) for text in args.real),
    )
    with writing(args.out):
        args.out.mkdir(parents=True, exist_ok=True)
        cache = args.out / "cache"
        if args.ablations:
            return _ablations(plan, args, cache)
        with ProgressBar() as bar:
            result = run_quality(plan, cache, bar)
        write_into(args.out, quality_files(result))
        if args.json is not None:
            write_into(args.json.parent, {args.json.name: json_text(quality_json(result.rows))})
    sys.stdout.write(quality_markdown(result) + f"\nPage: {args.out / 'quality.html'}\n")
    return 0


def _ablations(plan: QualityPlan, args: argparse.Namespace, cache: Path) -> int:
    from hideseek_lab.benchmark.ablation_report import ablation_files, ablation_text
    from hideseek_lab.benchmark.ablations import run_ablations

    with ProgressBar() as bar:
        result = run_ablations(
            plan.model, cache, device=plan.device, malignant=plan.validation,
            progress=bar,
        )  # fmt: skip
    write_into(args.out, ablation_files(result))
    sys.stdout.write(ablation_text(result) + f"\nPage: {args.out / 'ablations.html'}\n")
    return 0


def _count(text: str) -> int:
    value = int(text)
    if value < 1:
        raise argparse.ArgumentTypeError(f"expected 1 or more, got {text}")
    return value


def _steps(text: str) -> tuple[int, int]:
    parts = text.split(",")
    if len(parts) != 2 or not all(part.strip().isdigit() and int(part) > 0 for part in parts):
        raise argparse.ArgumentTypeError(f"expected INVERT,RENDER such as 250,100, got {text}")
    return int(parts[0]), int(parts[1])
