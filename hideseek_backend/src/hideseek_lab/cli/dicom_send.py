"""`hideseek dicom send`: objects to a PACS, when asked to."""

from __future__ import annotations

import argparse
from pathlib import Path


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments of `dicom send`."""
    add = parser.add_argument
    add("path", metavar="DIR", type=Path, help="folder, zip or file of DICOM objects")
    add(
        "--to",
        required=True,
        metavar="NODE",
        help="dicom://TITLE@host:port (C-STORE; dicoms:// in TLS), https://host/dicom-web "
        "(STOW-RS), or a name from HIDESEEK_DICOM_NODES",
    )


def main(args: argparse.Namespace) -> int:
    """Send and say how many objects were taken.

    Raises InputError where the node cannot be reached or refuses.
    """
    from hideseek_lab.network.nodes import find_node
    from hideseek_lab.network.transfer import send

    node = find_node(args.to)
    print(f"{send(node, args.path)} objects sent to {node}")
    return 0
