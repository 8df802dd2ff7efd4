"""`hideseek models install`: published weights from their authors' public places."""

from __future__ import annotations

import argparse

from hideseek_backend.cli.progress import ProgressBar
from hideseek_backend.progress import Progress


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the model and how it is fetched and stored."""
    parser.add_argument("name", metavar="NAME", nargs="?", default="dae-verts", help="dae-verts")
    parser.add_argument(
        "--mirror", metavar="URL", help="fetch the files from here: URL/ and the file's name"
    )
    parser.add_argument("--half", action="store_true", help="store float16 weights: half the size")
    parser.add_argument("--replace", action="store_true", help="fetch it again if it is installed")
    parser.add_argument("--quiet", action="store_true", help="no progress")


def main(args: argparse.Namespace) -> int:
    """Download, import and verify the model; a stopped download goes on where it was.

    Raises ModelError naming the address and what to do by hand or offline.
    """
    from hideseek_backend.models.install import install, mirrored

    with ProgressBar(quiet=args.quiet) as bar:

        def show(name: str, done: int, total: int | None) -> None:
            bar(Progress(name, None, done, total or 0))

        spec, folder = install(
            args.name,
            half=args.half,
            files=mirrored(args.mirror) if args.mirror else None,
            progress=show,
            replace_installed=args.replace,
        )
    print(f"{spec.name} is installed in {folder} ({spec.weights_dtype})")
    print(f"Use it with --model {spec.name}")
    return 0
