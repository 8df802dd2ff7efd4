"""`hideseek models add`: install a model from a local folder or file."""

from __future__ import annotations

import argparse
from pathlib import Path


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare where the model lies."""
    parser.add_argument(
        "path", metavar="PATH", type=Path, help="model folder, a file in it, or a .zip of it"
    )
    parser.add_argument(
        "--replace", action="store_true", help="replace an installed model of the same name"
    )


def main(args: argparse.Namespace) -> int:
    """Verify the model by its hashes, copy it to this user's models, and print its name and hash.

    Raises ModelError when it was altered, OutputError when it cannot be put in its place.
    """
    from hideseek_backend.models.local import add_model

    name, digest, folder = add_model(args.path.expanduser(), replace=args.replace)
    print(f"folder {folder}")
    print(f"hash {digest}")
    print(f"name {name}")
    return 0
