"""The verb `hideseek evaluate`: predicted against reference masks."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from hideseek_backend.cli import values
from hideseek_backend.cli.progress import ProgressBar
from hideseek_backend.report.output import OutputFolder
from hideseek_lab.cli import evaluate_clinical
from hideseek_lab.scoring.cases import find_cases
from hideseek_lab.scoring.evaluate import Evaluation, ScoringOptions, evaluate_cases
from hideseek_lab.scoring.evaluation_report import (
    evaluation_files,
    summary_lines,
)
from hideseek_lab.scoring.output import write_into

DESCRIPTION = (
    "Score predicted lesion masks against reference masks (1 lytic, 2 blastic; 2D slices or 3D "
    "volumes). Writes CSV, JSON and an HTML page."
)
EXAMPLE = "example: hideseek evaluate out/ references/ --bodies bodies/ --out evaluation/"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the verb's arguments to its parser."""
    parser.description = DESCRIPTION
    parser.epilog = EXAMPLE
    whole = values.whole(0, 1_000_000)
    parser.add_argument(
        "prediction", metavar="PRED", type=Path,
        help="mask file, or folder of CASE.nii.gz files or CASE/lesions.nii.gz",
    )  # fmt: skip
    parser.add_argument(
        "truth", metavar="TRUTH", type=Path,
        help="mask file, or folder of CASE.nii.gz files or CASE/truth.nii.gz",
    )  # fmt: skip
    parser.add_argument(
        "--bodies", type=Path, metavar="FILE_OR_DIR",
        help="label maps of vertebral bodies: scores are then per vertebra and inside bodies only",
    )  # fmt: skip
    parser.add_argument("--out", type=Path, required=True, metavar="DIR", help="folder to write")
    parser.add_argument(
        "--polarity", choices=("separate", "merged"), default="separate",
        help="match lytic with lytic and blastic with blastic, or forget the polarity",
    )  # fmt: skip
    parser.add_argument(
        "--connectivity", choices=("full", "faces"), default="full",
        help="which voxels make one lesion: 8/26 neighbours (full) or 4/6 (faces)",
    )  # fmt: skip
    parser.add_argument(
        "--min-prediction", type=whole, default=0, metavar="N",
        help="drop predicted components under N voxels (the paper: 5)",
    )  # fmt: skip
    parser.add_argument(
        "--min-reference", type=whole, default=0, metavar="N",
        help="ignore reference lesions under N voxels",
    )  # fmt: skip
    parser.add_argument(
        "--nsd-tolerance", type=values.number(0, above=True), metavar="MM",
        help="tolerance of the normalised surface Dice; default the smallest voxel spacing",
    )  # fmt: skip
    parser.add_argument(
        "--inter-rater", action="store_true",
        help="PRED is a second rater B, TRUTH the reference rater A: agreement tables",
    )  # fmt: skip
    parser.add_argument(
        "--overwrite", action="store_true", help="write into a folder that holds other files"
    )
    _add_clinical(parser)


def _add_clinical(parser: argparse.ArgumentParser) -> None:
    """Arguments of the clinical analysis."""
    group = parser.add_argument_group(
        "clinical analysis", "lesions in bones, lesion sizes, burden, radiomics; volumes only"
    )
    group.add_argument(
        "--clinical", action="store_true",
        help="count lesions in three dimensions and say where they lie, with figures over patients",
    )  # fmt: skip
    group.add_argument(
        "--bones", type=Path, metavar="FILE_OR_DIR", help="label maps of bones, on the masks' grid"
    )
    group.add_argument(
        "--bone-labels", metavar="SCHEME",
        help='totalsegmentator, verse, or a JSON file {value: ["name", "group"]}',
    )  # fmt: skip
    group.add_argument(
        "--diffuse", type=values.number(0, 1, above=True), default=0.8, metavar="SHARE",
        help="of a bone in one slice from which a lesion is diffuse (default 0.8)",
    )  # fmt: skip
    group.add_argument(
        "--ct", type=Path, metavar="FILE_OR_DIR", help="CTs of the cases, for radiomics"
    )
    group.add_argument("--name", default="prediction", help="name of PRED in tables")
    group.add_argument(
        "--against", action="append", default=[], metavar="NAME=PRED",
        help="another system's masks to compare with PRED on the same truth; may be repeated",
    )  # fmt: skip


def main(args: argparse.Namespace) -> int:
    """Run the verb; returns the exit status."""
    options = ScoringOptions(
        polarity=args.polarity,
        connectivity=args.connectivity,
        min_reference=args.min_reference,
        min_prediction=args.min_prediction,
        nsd_tolerance_mm=args.nsd_tolerance,
    )
    with OutputFolder(args.out, overwrite=args.overwrite) as folder:
        cases = find_cases(args.prediction, args.truth, args.bodies)
        with ProgressBar() as bar:
            evaluation = evaluate_cases(cases, options, bar)
            write_into(folder.staging, evaluation_files(evaluation, args.inter_rater))
            if args.clinical:
                evaluate_clinical.run(args, cases, options, folder.staging, bar)
    _print(evaluation, args.out)
    return 0


def _print(evaluation: Evaluation, folder: Path) -> None:
    lines = summary_lines(evaluation)
    lines.append(f"Page: {folder / 'evaluation.html'}")
    sys.stdout.write("\n".join(lines) + "\n")
