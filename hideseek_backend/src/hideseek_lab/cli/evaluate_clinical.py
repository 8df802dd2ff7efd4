"""`hideseek evaluate --clinical`: the clinical analysis beside the plain scores."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from hideseek_backend.cli.progress import ProgressBar
from hideseek_backend.errors import OptionError
from hideseek_lab.scoring.cases import BODY_NAMES, CaseFiles, find_cases
from hideseek_lab.scoring.evaluate import ScoringOptions
from hideseek_lab.scoring.output import write_into
from hideseek_lab.supervised.clinical.analysis import (
    ClinicalOptions,
    analyse,
    differences,
    files_by_case,
)
from hideseek_lab.supervised.clinical.bones import read_scheme
from hideseek_lab.supervised.clinical.report import clinical_files, clinical_lines


def run(
    args: argparse.Namespace,
    cases: list[CaseFiles],
    scoring: ScoringOptions,
    folder: Path,
    bar: ProgressBar,
) -> None:
    """Analyse, write into `folder`, and print; `args` are those of `evaluate`."""
    names = [files.name for files in cases]
    if args.bones is not None and args.bone_labels is None:
        raise OptionError("--bones needs --bone-labels.", "Name the scheme of its values.")
    options = ClinicalOptions(
        diffuse_share=args.diffuse,
        bones=files_by_case(args.bones, names, ("bones", *BODY_NAMES)) if args.bones else {},
        names=read_scheme(args.bone_labels) if args.bone_labels else {},
        ct=files_by_case(args.ct, names, ("ct",)) if args.ct else {},
    )
    systems = [analyse(args.name, cases, scoring, options, bar)]
    for text in args.against:
        name, _, path = text.partition("=")
        if not path:
            raise OptionError(f"Expected NAME=PRED, got {text!r}.", "Example: unet=out/unet")
        others = find_cases(Path(path), args.truth, args.bodies)
        systems.append(analyse(name, others, scoring, options, bar))
    compared = differences(systems)
    write_into(folder, clinical_files(systems, compared, options))
    for system in systems:
        title = f"{system.name}:" if len(systems) > 1 else ""
        sys.stdout.write("\n".join(filter(None, [title, *clinical_lines(system)])) + "\n")
