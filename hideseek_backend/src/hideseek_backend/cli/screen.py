"""`hideseek screen`: every vertebra's probability of malignancy, by the encoder alone."""

from __future__ import annotations

import argparse
from typing import Any

from hideseek_backend.cli import inputs
from hideseek_backend.cli.segment import print_warnings

SHOWN = ("vertebra", "p_malignant", "outside", "reason", "body_volume_mm3")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments of `screen`."""
    inputs.add_case(parser)
    inputs.add_model(parser)
    inputs.add_method(parser)


def main(args: argparse.Namespace) -> int:
    """Screen the case, write vertebrae.csv and report.json, and print the table.

    Raises HideSeekError for input, model, device or output that cannot be used.
    """

    def work() -> Any:
        from hideseek_backend.case import screen_ct
        from hideseek_backend.report.case_files import write_screening

        return screen_ct, write_screening

    result = inputs.run_case(args, work)
    from hideseek_backend.report.tables import text_table
    from hideseek_backend.wire.tables import cells

    print(text_table(SHOWN, [cells(v) for v in result.vertebrae]))
    print_warnings(result)
    print(f"\nResults: {args.out}")
    print("Research use only: not a diagnosis.")
    return 0
