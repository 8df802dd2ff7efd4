"""`hideseek models check`: the authors' notebook case, run again with the authors' settings."""

from __future__ import annotations

import argparse
from pathlib import Path

from hideseek_backend.cli.progress import ProgressBar
from hideseek_backend.progress import Progress
from hideseek_backend.wire.words import DEVICES


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the model, its device and the sample."""
    parser.add_argument("model", metavar="MODEL", nargs="?", default="dae-verts", help="dae-verts")
    parser.add_argument("--device", default="auto", choices=DEVICES)
    parser.add_argument(
        "--sample",
        type=Path,
        nargs=2,
        metavar=("CT", "MASK"),
        help="sample_ct.nii and sample_seg.nii of the authors; fetched where not given",
    )
    parser.add_argument("--quiet", action="store_true", help="no progress")


def main(args: argparse.Namespace) -> int:
    """Print each printed figure beside the computed one; exit code 1 where one disagrees.

    Raises ModelError when the model or the sample is not at hand, saying what to fetch.
    """
    from hideseek_backend.report.tables import text_table
    from hideseek_lab.benchmark.notebook import check

    with ProgressBar(quiet=args.quiet) as bar:

        def fetched(name: str, done: int, total: int | None) -> None:
            bar(Progress(name, None, done, total or 0))

        figures = check(
            args.model,
            sample=args.sample,
            device=args.device,
            progress=bar,
            download_progress=fetched,
        )
    rows = [
        {
            "figure": figure.name,
            "printed": f"{figure.printed:g}",
            "computed": f"{figure.computed:.6g}",
            "within": f"{figure.tolerance:g}",
            "agrees": "yes" if figure.agrees else "NO",
        }
        for figure in figures
    ]
    print(text_table(("figure", "printed", "computed", "within", "agrees"), rows))
    apart = sum(not figure.agrees for figure in figures)
    print(f"\n{len(figures) - apart} of {len(figures)} figures agree.")
    return 1 if apart else 0
