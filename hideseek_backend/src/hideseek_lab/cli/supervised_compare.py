"""`hideseek supervised compare`: labels only against masks, on phantoms or inserted lesions."""

from __future__ import annotations

import argparse
import sys
from dataclasses import replace
from pathlib import Path

from hideseek_backend.cli.progress import ProgressBar
from hideseek_backend.errors import OptionError
from hideseek_backend.report.output import writing
from hideseek_backend.wire.words import DEVICES
from hideseek_lab.scoring.output import write_into

DESCRIPTION = (
    "Train the papers' networks on few and on many lesion masks and set them beside HideSeek, "
    "which needs none, on the same test vertebrae. Stops when its budget is spent and goes on when "
    "it is called again."
)
EXAMPLE = "example: hideseek supervised compare --out runs/supervised --budget 60"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the verb's arguments."""
    parser.description, parser.epilog = DESCRIPTION, EXAMPLE
    parser.add_argument(
        "--out", type=Path, default=Path("runs/supervised"), metavar="DIR",
        help="folder for the page, the tables, the trainings and the cache",
    )  # fmt: skip
    parser.add_argument(
        "--annotated", type=int, nargs="+", default=[5, 20, 80, 300], metavar="N",
        help="numbers of diseased vertebrae with masks (default 5 20 80 300)",
    )  # fmt: skip
    parser.add_argument("--tested", type=int, default=60, metavar="N", help="of each class")
    parser.add_argument(
        "--split", choices=("validation", "test"), default="validation",
        help="phantom seeds that are tested on; test is for figures that are reported once",
    )  # fmt: skip
    parser.add_argument(
        "--real", type=Path, action="append", default=[], metavar="DIR",
        help="real cases without disease (case.json) to insert lesions into, instead of phantoms",
    )  # fmt: skip
    parser.add_argument(
        "--test-patients", nargs="+", default=[], metavar="ID", help="with --real: whom to test on"
    )
    parser.add_argument(
        "--budget",
        type=float,
        metavar="MINUTES",
        help="stop training after so long (default: never)",
    )
    parser.add_argument(
        "--steps", type=int, default=600, metavar="N",
        help="training steps for up to 80 annotated vertebrae; for more of them as many more, so "
        "that each is seen as often (default 600)",
    )  # fmt: skip
    parser.add_argument("--pretraining-steps", type=int, default=1000, metavar="N")
    parser.add_argument(
        "--pretraining-vertebrae", type=int, default=0, metavar="N",
        help="phantoms of each class that pretraining sees without their lesion masks (default: as "
        "many as the most of --annotated)",
    )  # fmt: skip
    parser.add_argument("--classifier-steps", type=int, default=400, metavar="N")
    parser.add_argument("--batch", type=int, default=16)
    parser.add_argument("--size", choices=("paper", "small", "tiny"), default="small")
    parser.add_argument("--networks", nargs="+", default=None, metavar="NAME")
    parser.add_argument("--classifiers", nargs="*", default=None, metavar="NAME")
    parser.add_argument("--pretrained", default="resunet", metavar="NAME",
                        help="the network that also starts from pretraining")  # fmt: skip
    parser.add_argument(
        "--nnunet-epochs", type=int, default=0, metavar="N",
        help="train nnU-Net v2 as well, every fold for so many epochs (default 0: not)",
    )  # fmt: skip
    parser.add_argument(
        "--nnunet-annotated", type=int, nargs="+", default=[], metavar="N",
        help="numbers of vertebrae that nnU-Net is trained on (default: those of --annotated)",
    )  # fmt: skip
    parser.add_argument(
        "--nnunet-iterations", type=int, default=0, metavar="N",
        help="batches an epoch (default nnU-Net's own 250)",
    )  # fmt: skip
    parser.add_argument("--nnunet-folds", type=int, default=5, metavar="N", help="of its ensemble")
    parser.add_argument("--model", default="bundled", metavar="NAME_OR_DIR", help="our model")
    parser.add_argument("--device", choices=DEVICES, default="auto")
    parser.add_argument("--seed", type=int, default=0)


def main(args: argparse.Namespace) -> int:
    """Run the verb; returns the exit status."""
    from hideseek_backend.models.devices import choose_device
    from hideseek_lab.supervised.arenas import inserted_arena, phantom_arena
    from hideseek_lab.supervised.compare import ComparePlan, run_compare
    from hideseek_lab.supervised.compare_page import comparison_files, comparison_lines
    from hideseek_lab.supervised.training import FitPlan
    from hideseek_lab.training.real_cases import read_cases

    if min(args.annotated) < 1 or args.tested < 1 or args.steps < 1:
        raise OptionError("--annotated, --tested and --steps must be 1 or more.", "Correct them.")
    fit = FitPlan(steps=args.steps, batch=args.batch, seed=args.seed)
    plan = ComparePlan(
        annotated=tuple(sorted(set(args.annotated))),
        pretrained=args.pretrained,
        nnunet=tuple(args.nnunet_annotated),
        nnunet_epochs=args.nnunet_epochs,
        nnunet_iterations=args.nnunet_iterations,
        nnunet_folds=args.nnunet_folds,
        size=args.size,
        fit=fit,
        pretraining=replace(fit, steps=args.pretraining_steps),
        classifier=replace(fit, steps=args.classifier_steps),
        model=args.model,
        device=str(choose_device(args.device)),
        budget_minutes=args.budget,
    )
    if args.networks is not None:
        plan = replace(plan, networks=tuple(args.networks))
    if args.classifiers is not None:
        plan = replace(plan, classifiers=tuple(args.classifiers))
    with writing(args.out):
        args.out.mkdir(parents=True, exist_ok=True)
        cache = args.out / "cache"
        with ProgressBar() as bar:
            if args.real:
                cases = read_cases(args.real)
                arena = inserted_arena(cases, args.test_patients, cache, bar)
            else:
                seen = max(*args.annotated, args.pretraining_vertebrae)
                arena = phantom_arena(seen, args.tested, cache, args.split, bar)
            found = run_compare(plan, arena, args.out / "work", bar)
        folder = args.out / arena.name
        write_into(folder, comparison_files(found))
    sys.stdout.write(f"{comparison_lines(found)}\n\nPage: {folder / 'comparison.html'}\n")
    return 0
