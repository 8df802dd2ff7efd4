"""`hideseek segment`: a CT and its vertebra masks in, lesions, tables and a report out."""

from __future__ import annotations

import argparse
import sys
from typing import TYPE_CHECKING, Any

from hideseek_backend.cli import inputs

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

    def work() -> Any:
        from hideseek_backend.case import segment_ct
        from hideseek_backend.report.case_files import write_case

        return segment_ct, write_case

    result = inputs.run_case(args, work)
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
