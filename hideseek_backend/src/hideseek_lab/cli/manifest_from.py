"""`hideseek manifest from`: write a manifest from a data set's own layout."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from hideseek_backend.errors import OptionError

KINDS = ("spine-mets", "verse", "nnunet", "authors", "results")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the verb's arguments."""
    add = parser.add_argument
    add("kind", choices=KINDS, help="layout of what is imported")
    add("sources", nargs="+", type=Path, metavar="PATH", help="folder, for authors the .xlsx")
    add("--out", type=Path, required=True, metavar="FILE", help="manifest: .csv, .xlsx or .json")
    add("--clinical", type=Path, metavar="TABLE", help="spine-mets: table of diseased levels")
    add(
        "--column", action="append", default=[], metavar="ROLE=NAME",
        help="spine-mets: the table's column of patient, blastic, lytic, mixed, findings, comments",
    )  # fmt: skip
    add("--label", default="unknown", choices=("unknown", "healthy"), help="verse: of every level")
    add("--vertebrae", type=Path, metavar="DIR", help="nnunet: vertebra masks named as the cases")
    add("--scheme", default="", help="nnunet: numbering of these masks")
    add("--patient", default=r"(.+)", metavar="PATTERN", help="nnunet, authors: patient in a name")
    add("--scans", type=Path, metavar="MANIFEST", help="results: the scans these results are of")
    add("--reader", default="", help="results: who reviewed them")
    add(
        "--split", type=_shares, metavar="0.7,0.15,0.15",
        help="part patients anew into train, validation and test by these shares",
    )  # fmt: skip
    add("--seed", type=int, default=0, help="of the split (default: 0)")


def main(args: argparse.Namespace) -> int:
    """Import, split where asked, write the manifest and say what was left out."""
    from hideseek_lab.manifest import read_manifest, write_manifest
    from hideseek_lab.manifest.authors import import_authors
    from hideseek_lab.manifest.nnunet import import_nnunet
    from hideseek_lab.manifest.results import import_results
    from hideseek_lab.manifest.spine_mets import import_spine_mets
    from hideseek_lab.manifest.splits import SHARES, assign_splits
    from hideseek_lab.manifest.verse import import_verse

    if args.kind != "results" and len(args.sources) > 1:
        raise OptionError(f"{args.kind} takes one path, got {len(args.sources)}.", "Give one.")
    source = args.sources[0]
    shares = args.split
    if args.kind == "spine-mets":
        if args.clinical is None:
            raise OptionError("spine-mets needs --clinical TABLE.", "It says which levels are ill.")
        heads = dict(text.partition("=")[::2] for text in args.column)
        rows, remarks = import_spine_mets(source, args.clinical, heads)
        shares = shares or SHARES
    elif args.kind == "verse":
        rows, remarks = import_verse(source, args.label)
    elif args.kind == "nnunet":
        rows, remarks = import_nnunet(source, args.vertebrae, args.patient, args.scheme)
    elif args.kind == "authors":
        rows, remarks = import_authors(source, args.out.with_suffix(".scheme.json"), args.patient)
        shares = shares or SHARES
    else:
        if args.scans is None:
            raise OptionError("results needs --scans MANIFEST.", "It says where the CTs are.")
        known = {case.name: case for case in read_manifest(args.scans).cases}
        rows, remarks = import_results(args.sources, known, args.reader)
    if shares:
        rows = assign_splits(rows, shares, args.seed)
    write_manifest(args.out, rows)
    for line in remarks:
        sys.stderr.write(f"note: {line}\n")
    read_manifest(args.out)
    patients = len({row.patient for row in rows})
    print(f"{args.out}: {len(rows)} rows of {patients} patients. Look at it, then:")
    print(f"  hideseek train --manifest {args.out} --check")
    return 0


def _shares(text: str) -> tuple[float, ...]:
    try:
        shares = tuple(float(part) for part in text.split(","))
    except ValueError:
        shares = ()
    if len(shares) != 3 or min(shares) < 0 or sum(shares) <= 0:
        raise argparse.ArgumentTypeError(f"expected three shares as 0.7,0.15,0.15, got '{text}'")
    return shares
