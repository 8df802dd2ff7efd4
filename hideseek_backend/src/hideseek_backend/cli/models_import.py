"""`hideseek models import-reference`: the authors' released files as a model folder."""

from __future__ import annotations

import argparse
from pathlib import Path


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the three files and where the model goes."""
    add = parser.add_argument
    add("--dae", type=Path, required=True, metavar="FILE", help="Lightning checkpoint, last.ckpt")
    add("--classifier", type=Path, required=True, metavar="FILE", help="classifier_lr.pkl")
    add("--scaler", type=Path, required=True, metavar="FILE", help="scaler.pkl")
    add("--out", type=Path, required=True, metavar="DIR", help="model folder to write")
    add("--name", help="name of the model (default: dae-verts)")
    add("--half", action="store_true", help="store the weights as float16: half the size")


def main(args: argparse.Namespace) -> int:
    """Import the files, executing nothing in them, and print what was found.

    Raises ModelError for files of another kind, OutputError when the folder cannot be written.
    """
    from hideseek_backend.models.reference_import import DAE_VERTS, import_reference

    spec = import_reference(
        args.dae,
        args.classifier,
        args.scaler,
        args.out,
        half=args.half,
        name=args.name or DAE_VERTS,
    )
    size = spec.training.get("parameters")
    millions = f", {size / 1e6:.1f} M parameters" if isinstance(size, int) else ""
    print(f"{args.out}: {spec.name}{millions}, {spec.weights_dtype}")
    print(f"Use it with --model {args.out}")
    return 0
