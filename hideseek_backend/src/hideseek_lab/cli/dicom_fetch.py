"""`hideseek dicom fetch`: a study from a PACS by its accession number."""

from __future__ import annotations

import argparse
from pathlib import Path

from hideseek_backend.report.output import OutputFolder


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments of `dicom fetch`."""
    add = parser.add_argument
    add("accession", metavar="ACCESSION", help="accession number of the study")
    add("--from", dest="node", required=True, metavar="NODE", help="as --to of `dicom send`")
    add("--out", type=Path, required=True, metavar="DIR", help="folder to make")
    add("--listen", type=_address, metavar="HOST:PORT", help="use C-MOVE, received here")
    add("--overwrite", action="store_true", help="write into a folder that holds other files")


def main(args: argparse.Namespace) -> int:
    """Fetch the study and say how many files came.

    Raises InputError where there is none or the node refuses.
    """
    from hideseek_lab.network.nodes import find_node
    from hideseek_lab.network.transfer import fetch

    node = find_node(args.node)
    with OutputFolder(args.out, overwrite=args.overwrite) as folder:
        count = fetch(node, args.accession, folder.staging, args.listen)
    print(f"{args.out}: {count} files from {node}")
    return 0


def _address(text: str) -> tuple[str, int]:
    host, _, port = text.rpartition(":")
    if not host or not port.isdigit() or not 0 < int(port) < 65536:
        raise argparse.ArgumentTypeError(f"expected HOST:PORT, got '{text}'")
    return host, int(port)
