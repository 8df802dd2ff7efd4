"""`hideseek data insert`: metastases put into a real CT without known disease, with their truth."""

from __future__ import annotations

import argparse
from pathlib import Path

from hideseek_backend.cli import values
from hideseek_backend.errors import InputError
from hideseek_backend.report.output import OutputFolder, writing

EXAMPLE = "example: hideseek data insert real/hcc006/case.json --at L1=lytic T10=mixed --out made"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the verb's arguments."""
    parser.epilog = EXAMPLE
    parser.add_argument(
        "case", type=Path, metavar="CASE", help="case.json of a CT, or a folder that holds it"
    )
    parser.add_argument(
        "--at", nargs="+", required=True, metavar="LEVEL=KIND",
        help="which levels get metastases: lytic, blastic or mixed",
    )  # fmt: skip
    parser.add_argument("--out", type=Path, required=True, metavar="DIR", help="folder to make")
    parser.add_argument("--seed", type=values.whole(0, 2**31 - 1), default=0, metavar="N")
    parser.add_argument(
        "--overwrite", action="store_true", help="write into a folder that holds other files"
    )


def main(args: argparse.Namespace) -> int:
    """Write ct.nii.gz, bodies.nii.gz (VerSe's values) and truth.nii.gz (1 lytic, 2 blastic).

    Raises InputError for a level that the case has not, or a kind that there is not.
    """
    from hideseek_lab.insertion.statistics import PHENOTYPES
    from hideseek_lab.training.real import insert_into_case
    from hideseek_lab.training.real_cases import read_cases

    case = read_cases([args.case])[0]
    wanted: dict[str, str] = {}
    for text in args.at:
        level, _, kind = text.partition("=")
        if level not in case.levels or kind not in PHENOTYPES:
            raise InputError(
                f"--at {text}: expected LEVEL=KIND.",
                f"Levels: {', '.join(case.levels)}; kinds: {', '.join(PHENOTYPES)}.",
            )
        wanted[level] = kind
    with OutputFolder(args.out, overwrite=args.overwrite) as folder:
        from hideseek_backend.volumes.writing import write_nifti

        made = insert_into_case(case, wanted, args.seed)
        with writing(folder.target):
            for name, volume in made.items():
                write_nifti(volume, folder.staging / f"{name}.nii.gz")
    print(f"{args.out}: {case.name}, " + ", ".join(f"{k} {v}" for k, v in wanted.items()))
    return 0
