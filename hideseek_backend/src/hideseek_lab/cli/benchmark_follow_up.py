"""The verb `hideseek benchmark follow-up`: phantom pairs of known change."""

from __future__ import annotations

import argparse
import json
import sys
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

from hideseek_backend.cli import values
from hideseek_backend.cli.progress import ProgressBar
from hideseek_backend.errors import InputError
from hideseek_backend.followup.limits import READER, Limits, ScanPair
from hideseek_backend.progress import Progress
from hideseek_backend.report.output import writing
from hideseek_backend.wire.codec import json_text
from hideseek_backend.wire.words import DEVICES
from hideseek_lab.benchmark.follow_up import PairScore
from hideseek_lab.benchmark.follow_up_figures import Figures, figures, fitted_limits

DESCRIPTION = (
    "Scan phantoms twice (growth of −60 to +200 %, new and gone lesions, other pose, kernel, dose, "
    "thickness, contrast and names), compare the dates, print the figures. A stopped run goes on "
    "with the scans that it analysed."
)
SEEDS = {"test": 2_320_000, "validation": 2_220_000, "fit": 2_210_000}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the verb's arguments to its parser."""
    parser.description = DESCRIPTION
    add = parser.add_argument
    add("--pairs", type=values.whole(2, 1000), default=44, metavar="N", help="default 44")
    add("--split", choices=("test", "validation"), default="test", help="which seeds")
    add("--analysed", action="store_true", help="lesions that the model finds, not the truth's")
    add("--model", default="bundled", metavar="NAME_OR_DIR", help="for --analysed")
    add("--device", choices=DEVICES, default="auto")
    add(
        "--fit", type=Path, metavar="FILE",
        help="fit the limits of agreement on seeds of their own and write them into FILE",
    )  # fmt: skip
    add("--limits", type=Path, metavar="FILE", help="limits to use (default: the package's)")
    add("--out", type=Path, default=Path("runs/follow-up"), metavar="DIR")
    add(
        "--save",
        type=Path,
        metavar="DIR",
        help="only write the scans of pair number --pairs as cases",
    )
    add("--json", type=Path, metavar="FILE", help="write the figures as JSON")


def main(args: argparse.Namespace) -> int:
    """Run the verb; returns the exit status."""
    from hideseek_backend.followup import limits as known
    from hideseek_backend.models.store import load_model
    from hideseek_lab.benchmark import follow_up as benchmark

    if args.save is not None:
        benchmark.save_pair(benchmark.nth_pair(SEEDS[args.split], args.pairs - 1), args.save)
        print(f"{args.save}: earlier/, current/ with ct.nii.gz and bodies.nii.gz; truth.csv")
        return 0
    model = load_model(args.model, device=args.device) if args.analysed else None
    limits = known.limits_for(model.hash if model else "", args.limits or known.FILE)
    if limits.warning and args.fit is None:
        sys.stderr.write(f"warning: {limits.warning}\n")
    split = "fit" if args.fit else args.split
    scores, not_read = _scores(args, split, model)
    if args.fit is not None:
        command = "hideseek benchmark follow-up --fit" + (" --analysed" if model else "")
        fitted = fitted_limits(scores, f"{command} --pairs {args.pairs}")
        stored = json.loads(args.fit.read_text(encoding="utf-8")) if args.fit.is_file() else {}
        stored[model.hash[:12] if model else known.READER] = asdict(fitted)
        with writing(args.fit):
            args.fit.write_text(json_text(stored), encoding="utf-8")
        print("\n".join([*limit_lines(fitted), "The pairs of the fit, by these limits:"]))
        limits = replace(limits, found=fitted, outlined=fitted)
    used = limits.found if model else limits.outlined
    found = figures(scores, used, not_read)
    print("\n".join(lines(found, "lesions found by the model" if model else "truth's lesions")))
    if args.json is not None:
        with writing(args.json):
            content = {"split": split, "limits": asdict(used), "figures": asdict(found)}
            args.json.write_text(json_text(content), encoding="utf-8")
    return 0


def _scores(args: argparse.Namespace, split: str, model: Any) -> tuple[list[PairScore], int]:
    """Score every pair; with the number of pairs of which a scan was refused."""
    from hideseek_backend.phantom import PHANTOM_VERSION
    from hideseek_lab.benchmark import follow_up as benchmark
    from hideseek_lab.benchmark import follow_up_dates
    from hideseek_lab.benchmark.follow_up_pairs import PAIRS_VERSION

    digest = model.hash[:12] if model else READER
    folder = args.out / f"{digest}-phantom{PHANTOM_VERSION}-pairs{PAIRS_VERSION}" / "scans"
    scores: list[PairScore] = []
    not_read: list[str] = []
    with writing(args.out), ProgressBar() as bar:
        for n in range(args.pairs):
            bar(Progress("phantom pairs", None, n, args.pairs))
            seed = SEEDS[split] + n
            cases = [folder / f"{seed}-{date}.json.gz" for date in ("earlier", "current")]
            missing = model is not None and not all(case.is_file() for case in cases)
            pair = benchmark.nth_pair(SEEDS[split], n, images=missing)
            scans = (pair.earlier, pair.current)
            try:
                if model is None:
                    one, two = (follow_up_dates.outlined(scan, pair.foci) for scan in scans)
                else:
                    for scan, case in zip(scans, cases, strict=True):
                        if not case.is_file():
                            follow_up_dates.analyse(scan, model, case)
                    one, two = map(follow_up_dates.analysed, scans, cases)
                scores.append(benchmark.score_pair(pair, (one, two)))
            except InputError as error:
                not_read.append(f"pair of seed {seed} left out: {error}")
    sys.stderr.write("".join(f"warning: {line}\n" for line in not_read))
    if not scores:
        raise InputError("No pair was read.", "See the warnings above for what was refused.")
    return scores, len(not_read)


def limit_lines(limits: Limits) -> list[str]:
    """What fitted limits say of an unchanged lesion of 1 mL."""
    thin, thick = ScanPair(1.0, 1.0, False, False), ScanPair(limits.thickness_mm, 1.0, False, False)
    told = [
        f"{limits.lesions} lesions: in 1 mm slices an unchanged one of 1 mL stays within "
        f"{limits.percent(1000, thin):.0f} %, of 0.1 mL within {limits.percent(100, thin):.0f} % "
        f"(95 %); in {limits.thickness_mm:g} mm slices within {limits.percent(1000, thick):.0f} % "
        f"and {limits.percent(100, thick):.0f} %",
    ]
    for name, extra, scans in (
        ("a bone kernel at one date", limits.kernel, ScanPair(1.0, 1.0, True, False)),
        ("contrast medium at one date", limits.contrast, ScanPair(1.0, 1.0, False, True)),
    ):
        if extra is None:
            told.append(f"with {name}: not measured, such scans are refused")
        else:
            told.append(f"with {name}: 1 mL within {limits.percent(1000, scans):.0f} %")
    return told


def lines(found: Figures, what: str) -> list[str]:
    """The figures as sentences."""
    rows = (
        ("vertebrae paired right", found.levels_right, 1.0, 3, "vertebrae"),
        ("lesions matched, F1", found.f1, 1.0, 3, "lesions"),
        ("new and gone told right", found.fates_right, 1.0, 3, "lesions"),
        ("volume change off by, %", found.volume_error, 100.0, 1, "lesions >= 0.5 mL, median"),
        ("false grown or shrunk, %", found.false_changes, 100.0, 1, "lesions of unchanged pairs"),
        ("changes by half told right, %", found.found_changes, 100.0, 1, "lesions"),
        ("errors within the limits, %", found.covered, 100.0, 1, "lesions"),
    )
    return [
        f"{found.pairs} phantom pairs, {what}; 95 % intervals over pairs",
        *(
            f"{name:<30} {scale * f.value:.{digits}f} "
            f"({scale * f.low:.{digits}f} to {scale * f.high:.{digits}f}) of {f.n} {unit}"
            for name, f, scale, digits, unit in rows
        ),
        f"{'told indeterminate':<30} {found.indeterminate} lesions",
        f"{'told not comparable':<30} {found.refused} lesions",
        f"{'not read (scan refused)':<30} {found.not_read} pairs more",
        f"{'at one place, in no lesion':<30} {found.elsewhere} findings",
        f"{'surfaces of bodies apart':<30} {found.gap_mm:.2f} mm",
    ]
