"""`hideseek dicom list`: the series of a study, and which of them can be analysed."""

from __future__ import annotations

import argparse
from pathlib import Path


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments of `dicom list`."""
    parser.add_argument("study", metavar="STUDY", type=Path, help="folder, zip, DICOMDIR or file")


def main(args: argparse.Namespace) -> int:
    """Print a line a series; descriptions are shown, patients are not.

    Raises InputError where there is no DICOM.
    """
    from hideseek_backend.dicom import list_series
    from hideseek_backend.report.tables import text_table

    columns = ("number", "modality", "description", "kernel", "mm", "slices", "view", "note")
    rows = [
        {
            "number": str(one.number),
            "modality": one.modality,
            "description": one.description,
            "kernel": one.kernel,
            "mm": "" if one.thickness_mm is None else f"{one.thickness_mm:g}",
            "slices": str(one.count),
            "view": one.view,
            "note": one.wrong or ("bone" if one.bone else ""),
        }
        for one in list_series(args.study)
    ]
    print(text_table(columns, rows))
    return 0
