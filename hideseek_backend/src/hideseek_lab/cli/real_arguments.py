"""The arguments that name a training's real CTs, and the cases that they mean."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from hideseek_backend.errors import InputError

if TYPE_CHECKING:
    from hideseek_lab.training.real_cases import RealCase


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare --real and --hold-out."""
    parser.add_argument(
        "--real", action="append", type=Path, default=[], metavar="PATH",
        help="real CTs free of disease: a JSON file with ct, vertebrae, bodies, labels and levels, "
        "or a folder of cases (may be given more than once); half of their samples get metastases",
    )  # fmt: skip
    parser.add_argument(
        "--hold-out", action="append", default=[], metavar="PATIENT",
        help="a patient of --real that is never trained on, but validates and calibrates p "
        "(may be given more than once)",
    )  # fmt: skip


def read(args: argparse.Namespace) -> tuple[list[RealCase], list[RealCase]]:
    """Return the cases that are trained on, and those of patients that are held out.

    Raises InputError for a patient without any case.
    """
    from hideseek_lab.training.real_cases import read_cases

    return parted(read_cases(args.real), args.hold_out)


def parted(
    cases: Sequence[RealCase], patients: Sequence[str]
) -> tuple[list[RealCase], list[RealCase]]:
    """Part the cases of these patients from the others, which come first.

    Raises InputError for a patient without any case.
    """
    known = sorted({case.patient for case in cases})
    unknown = sorted(set(patients) - set(known))
    if unknown:
        raise InputError(
            f"--hold-out {', '.join(unknown)}: no case given by --real is of this patient.",
            f"The patients are {', '.join(known) or 'none'}.",
        )
    seen = [case for case in cases if case.patient not in patients]
    return seen, [case for case in cases if case.patient in patients]
