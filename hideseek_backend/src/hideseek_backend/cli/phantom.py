"""`hideseek phantom`: a CT of a spine with known truth."""

from __future__ import annotations

import argparse
from pathlib import Path

from hideseek_backend.cli import values
from hideseek_backend.report.output import OutputFolder, writing


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments of `phantom`."""
    parser.add_argument("--out", type=Path, required=True, metavar="DIR", help="folder to make")
    parser.add_argument(
        "--seed",
        type=values.whole(0, 2**63 - 1),
        default=0,
        metavar="N",
        help="0-999999 train, 1000000-1999999 validation, from 2000000 test (default: 0)",
    )
    parser.add_argument(
        "--overwrite", action="store_true", help="write into a folder that holds other files"
    )


def main(args: argparse.Namespace) -> int:
    """Make the phantom and write its volumes and tables.

    Raises OutputError when the folder cannot be written to.
    """
    with OutputFolder(args.out, overwrite=args.overwrite) as folder:
        from hideseek_backend.phantom import make_phantom, write_phantom

        phantom = make_phantom(args.seed)
        with writing(folder.target):
            write_phantom(phantom, folder.staging)
    malignant = [truth for truth in phantom.vertebra_truth if truth.malignant]
    print(
        f"{args.out}: {len(phantom.vertebra_truth)} vertebrae, {len(malignant)} with metastases "
        f"({len(phantom.lesions)} lesions), seed {args.seed}"
    )
    return 0
