"""`hideseek follow-up`: what became of each lesion between two results."""

from __future__ import annotations

import argparse
import dataclasses
import sys
from pathlib import Path

from hideseek_backend.cli import values
from hideseek_backend.report.output import OutputFolder, writing

SHOWN = ("vertebra", "vertebra_before", "fate", "polarity", "volume_before_mm3", "volume_mm3",
         "change_percent", "limit_percent", "reason")  # fmt: skip


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments of `follow-up`."""
    from hideseek_backend.followup.matching import MatchOptions

    add, known = parser.add_argument, MatchOptions()
    add("earlier", metavar="RESULT_A", type=Path, help="results of the earlier scan")
    add("current", metavar="RESULT_B", type=Path, help="results of the current scan")
    add("--out", type=Path, required=True, metavar="DIR", help="folder to make")
    add("--dates", nargs=2, metavar=("A", "B"), default=("", ""), help="as 2026-04-02 2026-10-01")
    add("--cts", nargs=2, type=Path, metavar=("A", "B"), help="both CTs, for pictures of any level")
    add(
        "--decisions", nargs=2, type=Path, metavar=("A", "B"),
        help="a reader's for each: candidates.csv or JSON",
    )  # fmt: skip
    add("--dicom-earlier", type=Path, metavar="SEG", help="the earlier export's seg.dcm: keep its "
        "tracking uids")  # fmt: skip
    add("--limits", type=Path, metavar="FILE", help="limits of agreement of your own model")
    for field, low, high, text in (
        ("least_change_percent", 0, 500, "change that counts, beside the limits of agreement"),
        (
            "least_overlap",
            0.05,
            1,
            "share of the smaller lesion that two dates must share",
        ),
        ("reach_mm", 0, 10, "distance that still counts as common"),
        ("least_volume_mm3", 0, 100_000, "smaller lesions are never grown or shrunk"),
    ):
        default = getattr(known, field)
        add(f"--{field.replace('_', '-')}", type=values.number(low, high), default=default,
            metavar="N", help=f"{text} (default {default:g})")  # fmt: skip
    add(
        "--same-protocol", action="store_true",
        help="both CTs have the same kernel and contrast medium where no header says",
    )  # fmt: skip
    add("--overwrite", action="store_true", help="write into a folder that holds other files")


def main(args: argparse.Namespace) -> int:
    """Compare, write page, table and record, and print the table.

    Raises HideSeekError for results that cannot be used or share no vertebra.
    """
    from hideseek_backend.dicom.lesions import read_decisions, read_tracking
    from hideseek_backend.followup.compare import follow_up
    from hideseek_backend.followup.limits import limits_for
    from hideseek_backend.followup.matching import MatchOptions
    from hideseek_backend.followup.reading import RECORD, case_digest
    from hideseek_backend.report.tables import text_table
    from hideseek_backend.volumes.reading import read_ct
    from hideseek_backend.wire.tables import cells
    from hideseek_lab.dates import follow_up_page as page
    from hideseek_lab.dates.results import read_timepoint

    names = [f.name for f in dataclasses.fields(MatchOptions)]
    options = MatchOptions(**{name: getattr(args, name) for name in names})
    with OutputFolder(args.out, overwrite=args.overwrite) as folder:
        verdicts = [read_decisions(p) for p in args.decisions] if args.decisions else [{}, {}]
        earlier, current = (
            read_timepoint(path, decided, date)
            for path, decided, date in zip(
                (args.earlier, args.current), verdicts, args.dates, strict=True
            )
        )
        limits = limits_for(current.model, args.limits) if args.limits else None
        uids = read_tracking(args.dicom_earlier) if args.dicom_earlier else {}
        told = follow_up(earlier, current, options, limits, uids)
        cts = tuple(read_ct(p)[0] for p in args.cts) if args.cts else (None, None)
        text = page.follow_up_page(told, earlier, current, options, (cts[0], cts[1]))
        digests = {"earlier": case_digest(args.earlier), "current": case_digest(args.current)}
        with writing(folder.target):
            page.write_follow_up(folder.staging, told, text, options, digests)
    rows = [cells(c) for c in told.changes]
    print(text_table(SHOWN, rows) if rows else "No lesion at either date.")
    for reason in told.reasons:
        sys.stderr.write(f"cannot be compared: {reason}\n")
    for warning in told.warnings:
        sys.stderr.write(f"warning: {warning}\n")
    print(f"\n{args.out / page.PAGE}, {page.TABLE}, {RECORD}")
    print("Research use only: every candidate needs a radiologist's review.")
    return 0
