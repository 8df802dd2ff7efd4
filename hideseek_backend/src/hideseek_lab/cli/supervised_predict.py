"""`hideseek supervised predict`: lesion masks, or slices with lesions, of a manifest's cases."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import Any

import numpy as np

from hideseek_backend.cli.progress import ProgressBar
from hideseek_backend.errors import InputError, OptionError
from hideseek_backend.progress import Progress
from hideseek_backend.report.output import OutputFolder
from hideseek_backend.wire.words import DEVICES
from hideseek_lab.scoring.output import csv_text, write_into

DESCRIPTION = (
    "Run a network of `hideseek supervised train` on a manifest's cases. Writes "
    "CASE/lesions.nii.gz on each CT's grid, for `hideseek evaluate --clinical`; a slice classifier "
    "writes slices.csv and GradCAM pictures."
)
EXAMPLE = (
    "example: hideseek supervised predict --model resunet --manifest manifest.csv --out predicted"
)
_PICTURES = 3


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the verb's arguments."""
    parser.description, parser.epilog = DESCRIPTION, EXAMPLE
    parser.add_argument("--model", type=Path, required=True, metavar="DIR",
                        help="network folder; for nnU-Net the --run it was trained in")  # fmt: skip
    parser.add_argument("--manifest", type=Path, required=True, metavar="FILE")
    parser.add_argument("--split", choices=("train", "validation", "test", "all"), default="test")
    parser.add_argument("--out", type=Path, required=True, metavar="DIR")
    parser.add_argument("--threshold", type=float, help="instead of the network's own")
    parser.add_argument("--min-prediction", type=int, metavar="VOXELS",
                        help="smallest component, in voxels of the network's grid, instead of the "
                             "network's own")  # fmt: skip
    parser.add_argument("--device", choices=DEVICES, default="auto")
    parser.add_argument(
        "--trust-nnunet", action="store_true",
        help="nnU-Net unpickles its checkpoints, which can run code: say that the folder is yours",
    )  # fmt: skip
    parser.add_argument(
        "--nnunet-configuration", choices=("2d", "3d_fullres"), default="3d_fullres"
    )
    parser.add_argument("--spacing", type=float, default=1.5, metavar="MM", help="nnU-Net only")
    parser.add_argument("--overwrite", action="store_true")


def main(args: argparse.Namespace) -> int:
    """Run the verb; returns the exit status."""
    from hideseek_backend.models.devices import choose_device
    from hideseek_lab.manifest import read_manifest
    from hideseek_lab.supervised.cases import load_scan
    from hideseek_lab.supervised.prediction_files import write_prediction

    manifest = read_manifest(args.manifest)
    cases = manifest.cases if args.split == "all" else manifest.of(args.split)
    if not cases:
        raise InputError(
            f"Expected cases of the {args.split} split, got none.", "Choose another --split."
        )
    device = choose_device(args.device)
    probability_of, grid, (threshold, least), classifier = _network(args, device)
    rows: list[dict[str, Any]] = []
    with OutputFolder(args.out, overwrite=args.overwrite) as folder, ProgressBar() as bar:
        for done, case in enumerate(cases):
            scan = load_scan(case, grid)
            if classifier is not None:
                rows += _slices(case.name, scan, classifier, folder.staging)
            else:
                write_prediction(
                    folder.staging, case, scan, probability_of(scan), threshold, least
                )  # fmt: skip
            bar(Progress("predicting", case.name, done + 1, len(cases)))
        if classifier is not None:
            table = csv_text(rows, ["case", "slice", "probability", "called"])
            write_into(folder.staging, {"slices.csv": table})
    sys.stdout.write(f"{len(cases)} cases: {args.out}\n")
    return 0


def _network(args: argparse.Namespace, device: Any) -> tuple[Any, Any, tuple[float, int], Any]:
    """(probabilities of a scan, grid, (threshold, smallest component), (network, spec) of a
    classifier or None)."""
    from hideseek_lab.supervised.cases import Grid
    from hideseek_lab.supervised.nnunet import NnUNet, NnUNetPlan
    from hideseek_lab.supervised.predicting import probabilities
    from hideseek_lab.supervised.store import load_network

    if (args.model / "nnunet").is_dir():
        if not args.trust_nnunet:
            raise OptionError(
                "nnU-Net reads its checkpoints by unpickling, which can run code.",
                "If you trained this folder, say so with --trust-nnunet.",
            )
        own = NnUNet(args.model / "nnunet", NnUNetPlan(args.nnunet_configuration), device)
        point = args.threshold or 0.5, args.min_prediction or 0
        return own.probabilities, Grid(args.spacing), point, None
    network, spec = load_network(args.model)
    network = network.to(device)
    point = (
        spec.threshold if args.threshold is None else args.threshold,
        spec.least if args.min_prediction is None else args.min_prediction,
    )
    if spec.classifies:
        return None, spec.grid, point, (network.cpu(), spec)
    return lambda scan: probabilities(network, scan, spec.roi, device), spec.grid, point, None


def _slices(name: str, scan: Any, classifier: Any, folder: Path) -> list[dict[str, Any]]:
    """Rows of a case's slices, and GradCAM pictures of the surest of them."""
    from hideseek_lab.supervised.detection import cam_overlays, cam_picture, slice_probabilities
    from hideseek_lab.supervised.workflow import slices_of_scans

    network, spec = classifier
    images, _ = slices_of_scans([scan], spec.roi)
    p = slice_probabilities(network, images)
    surest = [int(k) for k in np.argsort(-p)[:_PICTURES] if p[k] >= spec.threshold]
    heats = cam_overlays(spec.network, network, images[surest]) if surest else ()
    for k, heat in zip(surest, heats, strict=True):
        picture = cam_picture(images[k, 0], heat, f"{name}, slice {k}: p = {p[k]:.2f}")
        write_into(folder, {f"{name}-slice{k}.png": picture})
    return [
        {"case": name, "slice": k, "probability": float(v), "called": int(v >= spec.threshold)}
        for k, v in enumerate(p)
    ]
