"""`hideseek manifest to-nnunet`: nnU-Net's folders and splits from a manifest."""

from __future__ import annotations

import argparse
import re
from pathlib import Path


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the verb's arguments."""
    parser.add_argument("manifest", type=Path, metavar="MANIFEST")
    parser.add_argument("--out", type=Path, required=True, metavar="DIR", help="holds nnUNet_raw")
    parser.add_argument("--name", type=_name, default="Dataset701_HideSeek", metavar="DatasetNNN_X")
    parser.add_argument("--target", choices=("lesions", "vertebrae"), default="lesions")


def main(args: argparse.Namespace) -> int:
    """Write the data set and say what to export for nnU-Net."""
    from hideseek_lab.manifest import read_manifest
    from hideseek_lab.manifest.nnunet import export_nnunet

    raw = export_nnunet(read_manifest(args.manifest), args.out, args.name, args.target)
    print(f"{raw}\nexport nnUNet_raw={args.out / 'nnUNet_raw'}")
    print(f"export nnUNet_preprocessed={args.out / 'nnUNet_preprocessed'}")
    return 0


def _name(text: str) -> str:
    if re.fullmatch(r"Dataset\d{3}_\w+", text) is None:
        raise argparse.ArgumentTypeError(f"expected a name as Dataset701_HideSeek, got '{text}'")
    return text
