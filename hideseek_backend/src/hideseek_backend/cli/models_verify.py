"""`hideseek models verify`: is a model what its spec says, to the last bit?"""

from __future__ import annotations

import argparse


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the model to verify."""
    parser.add_argument(
        "model", metavar="MODEL", nargs="?", default="bundled", help="name or folder (bundled)"
    )


def main(args: argparse.Namespace) -> int:
    """Check the hashes, load every weight, and print what results will record.

    Raises ModelError saying which part is missing or altered.
    """
    from hideseek_backend.models.store import load_model

    model = load_model(args.model, device="cpu")
    parameters = sum(p.numel() for p in model.dae.parameters())
    print(f"{model.spec.name}: whole, {parameters / 1e6:.1f} M parameters")
    print(f"hash {model.hash}")
    return 0
