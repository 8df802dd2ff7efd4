"""The verb `hideseek benchmark follow-up`: phantom pairs of known change."""

from __future__ import annotations

import argparse
import json
import sys
from dataclasses import asdict
from pathlib import Path

from hideseek_backend.cli import values
from hideseek_backend.cli.progress import ProgressBar
from hideseek_backend.progress import Progress
from hideseek_backend.report.output import writing
from hideseek_backend.wire.codec import json_text
from hideseek_backend.wire.words import DEVICES
from hideseek_lab.benchmark.follow_up import Figures

DESCRIPTION = (
    "Scan phantoms twice (growth of −60 to +200 %, new and gone lesions, other pose, kernel, dose, "
    "thickness and names), compare the dates and print the figures. A stopped run goes on."
)
SEEDS = {"test": 2_320_000, "validation": 2_220_000, "fit": 2_210_000}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the verb's arguments to its parser."""
    parser.description = DESCRIPTION
    add = parser.add_argument
    add("--pairs", type=values.whole(2, 1000), default=44, metavar="N", help="default 44")
    add("--split", choices=("test", "validation"), default="test", help="which seeds")
    add("--analysed", action="store_true", help="lesions that the model finds, not the truth's")
    add("--model", default="bundled", metavar="NAME_OR_DIR", help="for --analysed")
    add("--device", choices=DEVICES, default="auto")
    add(
        "--fit", type=Path, metavar="FILE",
        help="fit the limits of agreement on seeds of their own and write them into FILE",
    )  # fmt: skip
    add("--limits", type=Path, metavar="FILE", help="limits to use (default: the package's)")
    add("--out", type=Path, default=Path("runs/follow-up"), metavar="DIR")
    add(
        "--save",
        type=Path,
        metavar="DIR",
        help="only write the scans of pair number --pairs as cases",
    )
    add("--json", type=Path, metavar="FILE", help="write the figures as JSON")


def main(args: argparse.Namespace) -> int:
    """Run the verb; returns the exit status."""
    from hideseek_backend.followup import limits as known
    from hideseek_backend.models.store import load_model
    from hideseek_backend.phantom import PHANTOM_VERSION
    from hideseek_lab.benchmark import follow_up as benchmark

    if args.save is not None:
        benchmark.save_pair(benchmark.nth_pair(SEEDS[args.split], args.pairs - 1), args.save)
        print(f"{args.save}: earlier/, current/ with ct.nii.gz and bodies.nii.gz; truth.csv")
        return 0
    model = load_model(args.model, device=args.device) if args.analysed else None
    digest = model.hash if model is not None else ""
    limits, warning = known.limits_for(digest, args.limits or known.FILE)
    if warning and args.fit is None:
        sys.stderr.write(f"warning: {warning}\n")
    split = "fit" if args.fit else args.split
    kind = f"{digest[:12] or known.READER}-phantom{PHANTOM_VERSION}"
    tag = "fit" if args.fit else f"{split}-{limits.base:g}-{limits.by_size:g}"
    folder = args.out / kind / tag
    scores = []
    with writing(args.out), ProgressBar() as bar:
        for n in range(args.pairs):
            bar(Progress("phantom pairs", None, n, args.pairs))
            first = SEEDS[split]

            def make(n: int = n, first: int = first) -> benchmark.PairScore:
                pair = benchmark.nth_pair(first, n, images=model is not None)
                return benchmark.score_pair(pair, limits, model)

            scores.append(benchmark.stored_score(folder / f"{first + n}.json", make))
    if args.fit is not None:
        command = "hideseek benchmark follow-up --fit" + (" --analysed" if model else "")
        fitted = benchmark.fitted_limits(scores, f"{command} --pairs {args.pairs}")
        stored = json.loads(args.fit.read_text(encoding="utf-8")) if args.fit.is_file() else {}
        stored[digest[:12] or known.READER] = asdict(fitted)
        with writing(args.fit):
            args.fit.write_text(json_text(stored), encoding="utf-8")
        print(f"{fitted.lesions} lesions: sd of log ratio {fitted.sd(1000):.3f} at 1 mL; an "
              f"unchanged one stays within {fitted.percent(1000):.0f} % (95 %)")  # fmt: skip
        print("\n".join(lines(benchmark.figures(scores), "those of the fit")))
        return 0
    found = benchmark.figures(scores)
    print("\n".join(lines(found, "lesions found by the model" if model else "truth's lesions")))
    if args.json is not None:
        with writing(args.json):
            args.json.write_text(json_text(asdict(found)), encoding="utf-8")
    return 0


def lines(found: Figures, what: str) -> list[str]:
    """The figures as sentences."""
    return [
        f"{found.pairs} phantom pairs, {what}",
        f"vertebrae paired right      {found.levels_right:.3f}   (surfaces {found.gap_mm:.2f} mm "
        "apart)",
        f"lesions matched, F1         {found.f1:.3f}   (of {found.links})",
        f"new and gone told right     {found.fates_right:.3f}",
        f"volume change off by        {100 * found.volume_error:.1f} % (median of "
        f"{found.volume_lesions} lesions >= 0.5 mL)",
        f"false grown or shrunk       {100 * found.false_changes:.1f} % (of "
        f"{found.unchanged_lesions} lesions of unchanged pairs)",
        f"changes by half told right  {100 * found.found_changes:.1f} % (of "
        f"{found.changed_lesions})",
    ]
