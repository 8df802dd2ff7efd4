"""`hideseek sins`: a worksheet of spinal instability for a reader to fill and sign."""

from __future__ import annotations

import argparse
from pathlib import Path

from hideseek_backend.cli import values
from hideseek_backend.report.output import OutputFolder, writing


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments of `sins`."""
    add = parser.add_argument
    add("result", metavar="RESULT", type=Path, help="results of `hideseek segment --slices all`")
    add("--out", type=Path, required=True, metavar="DIR", help="folder to make")
    add("--levels", type=values.levels, metavar="T12,L1", help="default: those with a lesion")
    add("--decisions", type=Path, metavar="FILE", help="a reader's: candidates.csv or JSON")
    add("--overwrite", action="store_true", help="write into a folder that holds other files")


def main(args: argparse.Namespace) -> int:
    """Write worksheet.html and print what is suggested.

    Raises HideSeekError for a result that cannot be used or a level without a body.
    """
    from hideseek_backend.dicom.lesions import read_decisions
    from hideseek_backend.sins.measure import body_frames
    from hideseek_backend.sins.worksheet import suggest
    from hideseek_lab.dates.results import read_timepoint
    from hideseek_lab.dates.worksheet_page import worksheet_page

    with OutputFolder(args.out, overwrite=args.overwrite) as folder:
        decided = read_decisions(args.decisions) if args.decisions else {}
        date = read_timepoint(args.result, decided)
        frames = body_frames(date.bodies)
        found = {f.candidate.vertebra for f in date.findings if f.counts}
        levels = args.levels or [level for level in frames if level in found]
        sheets = [suggest(date, frames, level) for level in levels]
        with writing(folder.target):
            page = worksheet_page(sheets, date, frames)
            (folder.staging / "worksheet.html").write_text(page, encoding="utf-8")
    for sheet in sheets:
        for one in sheet.suggestions:
            print(f"{sheet.level:4} {one.item:15} {one.choice or '–':13} {one.because}")
    print(f"\n{args.out / 'worksheet.html'}: a reader chooses, signs, and only then sees a sum.")
    return 0
