"""`hideseek score`: a CT and regions that somebody drew in, the Δ of each out."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from hideseek_backend.cli import inputs
from hideseek_backend.cli.segment import print_warnings

SHOWN = (
    "vertebra",
    "candidate",
    "source",
    "polarity",
    "delta",
    "p_hide",
    "p_without",
    "volume_mm3",
    "mean_hu",
)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments of `score`."""
    inputs.add_case(parser)
    parser.add_argument(
        "--candidates",
        type=Path,
        required=True,
        metavar="MASK",
        help="mask of the regions: drawn by a reader, or by any other tool",
    )
    parser.add_argument(
        "--whole-labels",
        action="store_true",
        help="each label of the mask is one region; without it each connected part is",
    )
    inputs.add_model(parser)
    inputs.add_method(parser)


def main(args: argparse.Namespace) -> int:
    """Score the regions, write tables and report, and print the table.

    Raises HideSeekError for input, model, device or output that cannot be used.
    """

    def work() -> Any:
        from hideseek_backend.case import score_ct
        from hideseek_backend.report.case_files import write_scores

        return score_ct, write_scores

    result = inputs.run_case(args, work, args.candidates, whole_labels=args.whole_labels)
    from hideseek_backend.report.tables import text_table
    from hideseek_backend.wire.tables import cells

    print(text_table(SHOWN, [cells(c) for v in result.vertebrae for c in v.candidates]))
    print_warnings(result)
    print(f"\nResults: {args.out}  (open {args.out / 'report.html'})")
    print("Research use only: Δ is a score, not a probability of cancer.")
    return 0
