"""`hideseek segment`: a CT and its vertebra masks in, lesions, tables and a report out."""

from __future__ import annotations

import argparse
import sys
from typing import TYPE_CHECKING

from hideseek_backend.cli import inputs
from hideseek_backend.cli.progress import ProgressBar
from hideseek_backend.report.output import OutputFolder

if TYPE_CHECKING:
    from hideseek_backend.case import CaseResult

SHOWN_CANDIDATES = (
    "vertebra",
    "candidate",
    "polarity",
    "delta",
    "p_without",
    "kept",
    "area_px",
    "volume_mm3",
    "mean_hu",
)
SHOWN_VERTEBRAE = (
    "vertebra",
    "p_malignant",
    "outside",
    "analysed",
    "reason",
    "lytic_volume_mm3",
    "blastic_volume_mm3",
)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments of `segment`."""
    inputs.add_case(parser)
    inputs.add_model(parser)
    inputs.add_method(parser)


def main(args: argparse.Namespace) -> int:
    """Analyse the case, write the results folder and print both tables.

    Raises HideSeekError for input, model, device or output that cannot be used.
    """
    # The folder is checked and reserved before minutes of work are spent.
    with (
        OutputFolder(args.out, overwrite=args.overwrite) as folder,
        ProgressBar(quiet=args.quiet) as progress,
    ):
        from hideseek_backend.case import segment_ct
        from hideseek_backend.models.store import load_model
        from hideseek_backend.report.case_files import write_case
        from hideseek_backend.report.output import writing

        model = load_model(args.model, device=args.device)
        options = inputs.options_from(args, model.spec.defaults)
        result = segment_ct(
            inputs.ct_of(args),
            args.vertebrae,
            bodies=args.bodies,
            labels=args.labels,
            levels=args.levels,
            model=model,
            device=args.device,
            options=options,
            progress=progress,
        )
        with writing(folder.target):
            write_case(result, folder.staging)
    print_case(result, args)
    return 0


def print_case(result: CaseResult, args: argparse.Namespace) -> None:
    """Print both tables, the warnings and where the files are."""
    from hideseek_backend.report.tables import text_table
    from hideseek_backend.wire.tables import cells

    print(text_table(SHOWN_VERTEBRAE, [cells(v) for v in result.vertebrae]))
    rows = [cells(c) for v in result.vertebrae for c in v.candidates]
    print()
    print(text_table(SHOWN_CANDIDATES, rows) if rows else "No candidates.")
    print_warnings(result)
    print(f"\nResults: {args.out}  (open {args.out / 'report.html'})")
    print("Research use only: every candidate needs a radiologist's review.")


def print_warnings(result: CaseResult) -> None:
    """Print what a reader of the result must know, once each, to standard error."""
    from hideseek_backend.report.summary import case_warnings

    for warning in case_warnings(result):
        sys.stderr.write(f"warning: {warning}\n")
