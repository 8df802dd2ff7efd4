"""`hideseek dicom export`: a result as segmentation, structured report and key images."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from hideseek_backend.errors import InputError
from hideseek_backend.report.output import OutputFolder, writing


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments of `dicom export`."""
    add = parser.add_argument
    add("result", metavar="RESULT", type=Path, help="results of `segment`, or an exported review")
    add("--study", type=Path, required=True, help="the study: folder, zip or DICOMDIR")
    add("--out", type=Path, required=True, metavar="DIR", help="folder to make")
    add("--series", metavar="UID|N", help="the analysed series (default: the one on its grid)")
    add("--decisions", type=Path, metavar="FILE", help="a reader's: candidates.csv or JSON")
    add("--rejected", action="store_true", help="export rejected candidates too, marked so")
    add("--reader", default="", metavar="FAMILY^GIVEN", help="who reviewed it")
    add("--organization", default="", help="of the reader, for a signed report")
    add("--sign", action="store_true", help="the reader verifies the report")
    add("--pseudonym", metavar="NAME", help="in place of the patient; writes the CT along")
    add("--follow-up", type=Path, metavar="DIR", help="of `hideseek follow-up`: lesions keep the "
        "tracking uids of the earlier date")  # fmt: skip
    add("--levels-checked", action="store_true", help="odd levels (T13, gaps) were counted")
    add("--overwrite", action="store_true", help="write into a folder that holds other files")


def main(args: argparse.Namespace) -> int:
    """Write the objects and say how to send them.

    Raises HideSeekError for a result, study or signature that cannot be used.
    """
    from hideseek_backend.dicom.export import ExportOptions, export_case
    from hideseek_backend.dicom.lesions import read_decisions
    from hideseek_backend.dicom.objects import Signature
    from hideseek_backend.report.case_store import read_stored

    with OutputFolder(args.out, overwrite=args.overwrite) as folder:
        options = ExportOptions(
            series=args.series,
            decisions=read_decisions(args.decisions) if args.decisions else {},
            rejected=args.rejected,
            signature=Signature(args.reader, args.organization, args.sign),
            pseudonym=args.pseudonym,
            levels_checked=args.levels_checked,
            tracking=_tracking(args.follow_up, args.result) if args.follow_up else {},
        )
        case = read_stored(args.result)
        with writing(folder.target):
            done = export_case(case, args.study, folder.staging, options)
    for warning in done.warnings:
        sys.stderr.write(f"warning: {warning}\n")
    states = [one.state for one in done.lesions]
    counts = ", ".join(f"{states.count(s)} {s}" for s in dict.fromkeys(states))
    print(f"{args.out}: {len(done.lesions)} lesions ({counts}): seg.dcm, sr.dcm, key images")
    print("Research use only. Nothing was sent; to send it to a PACS of yours:")
    print(f"  hideseek dicom send {args.out} --to dicom://TITLE@host:port")
    return 0


def _tracking(folder: Path, result: Path) -> dict[str, str]:
    """The uids that a follow-up gives the lesions of this result.

    Raises InputError where the folder holds none, or speaks of other results.
    """
    from hideseek_backend.followup.reading import case_digest, read_record, tracking_uids

    found = tracking_uids(read_record(folder), case_digest(result))
    if not found:
        raise InputError(
            f"{folder} speaks of other results than {result}, or found no lesion in it.",
            "Run `hideseek follow-up` with this result.",
        )
    return found
