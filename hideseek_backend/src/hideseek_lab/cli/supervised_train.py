"""`hideseek supervised train`: a network of the papers from a manifest's lesion masks."""

from __future__ import annotations

import argparse
import json
import sys
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import numpy as np

from hideseek_backend.cli.progress import ProgressBar
from hideseek_backend.errors import OptionError
from hideseek_backend.report.output import writing
from hideseek_backend.wire.words import DEVICES

DESCRIPTION = (
    "Train a slice classifier or a lesion segmenter on the patients of a manifest whose lesions "
    "are drawn. Goes on where an earlier call stopped; started by torchrun, all processes train "
    "one network."
)
EXAMPLE = (
    "example: hideseek supervised train --manifest manifest.csv --network resunet --init sap "
    "--run runs/resunet --out resunet"
)
_NNUNET = "nnunet"
#: the papers' (and MONAI's) settings: SAP trains 400 epochs of two cubes at 1e-5
_RATE = {"swinunetr": 1e-5}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the verb's arguments."""
    parser.description, parser.epilog = DESCRIPTION, EXAMPLE
    parser.add_argument("--manifest", type=Path, required=True, metavar="FILE")
    parser.add_argument(
        "--network", default="resunet", metavar="NAME",
        help="unet, resunet, resattunet, swinunetr, nnunet (segmentation); efficientnet, resnet34, "
        "densenet (slice detection)",
    )  # fmt: skip
    parser.add_argument(
        "--init", choices=("random", "ssl", "sap"), default="random",
        help="start from chance, self-supervision, or bone labels of the vertebra masks (SAP)",
    )  # fmt: skip
    parser.add_argument("--run", type=Path, required=True, help="folder of the training's state")
    parser.add_argument("--out", type=Path, metavar="DIR", help="network folder to write")
    parser.add_argument(
        "--folds", type=int, default=0, metavar="N",
        help="SAP's protocol instead of one network: N folds (theirs: 7), one for the threshold; "
        "writes RUN/predictions for `hideseek evaluate --clinical`",
    )  # fmt: skip
    parser.add_argument("--size", choices=("paper", "small", "tiny"), default="paper")
    parser.add_argument("--roi", type=int, default=96, metavar="VOXELS", help="side of patches")
    parser.add_argument("--spacing", type=float, default=1.5, metavar="MM")
    parser.add_argument("--channels", type=int, default=1, metavar="N",
                        help="image channels, in files named as nnU-Net names them")  # fmt: skip
    parser.add_argument("--modality", choices=("ct", "mr"), default="ct")
    parser.add_argument("--steps", type=int, default=4000)
    parser.add_argument("--pretraining-steps", type=int, default=4000, metavar="N")
    parser.add_argument("--batch", type=int, default=2)
    parser.add_argument("--rate", type=float, help="learning rate (default 1e-3; Swin UNETR 1e-5)")
    parser.add_argument(
        "--nnunet-configuration", choices=("2d", "3d_fullres"), default="3d_fullres"
    )
    parser.add_argument("--nnunet-epochs", type=int, default=0, metavar="N",
                        help="default nnU-Net's own 1000")  # fmt: skip
    parser.add_argument("--nnunet-iterations", type=int, default=0, metavar="N",
                        help="batches an epoch, default nnU-Net's own 250")  # fmt: skip
    parser.add_argument("--min-prediction", type=int, default=0, metavar="VOXELS",
                        help="components of fewer never count; twice, four and eight times as many "
                             "are tried on the tuning patients")  # fmt: skip
    parser.add_argument("--budget", type=float, metavar="MINUTES", help="stop after so long")
    parser.add_argument("--device", choices=DEVICES, default="auto")
    parser.add_argument("--seed", type=int, default=0)


def main(args: argparse.Namespace) -> int:
    """Run the verb; returns the exit status."""
    from hideseek_backend.models.devices import choose_device
    from hideseek_lab.manifest import read_manifest
    from hideseek_lab.supervised.cases import Grid, read_scans
    from hideseek_lab.supervised.training import Deadline, FitPlan
    from hideseek_lab.supervised.workflow import TrainPlan, Workshop, of_split
    from hideseek_lab.training.distributed import replicas

    if not args.folds and args.out is None:
        raise OptionError("Training needs --out, or --folds.", "Name the folder to write.")
    grid = Grid(args.spacing, channels=args.channels, modality=args.modality)
    rate = args.rate or _RATE.get(args.network, 1e-3)
    fit = FitPlan(steps=args.steps, batch=args.batch, rate=rate, seed=args.seed)
    plan = TrainPlan(
        "unet" if args.network == _NNUNET else args.network, args.init, args.size, args.roi,
        args.min_prediction, grid, fit, replace(fit, steps=args.pretraining_steps),
    )  # fmt: skip
    manifest = read_manifest(args.manifest)
    with (
        writing(args.run),
        ProgressBar() as bar,
        replicas(choose_device(args.device)) as (own, device),
    ):
        own.check(batch=args.batch, label_images=0, bag=1)
        args.run.mkdir(parents=True, exist_ok=True)
        sides: dict[str, Any] = {}
        for split in ("train", "validation"):
            if own.first:
                read_scans(of_split(manifest, split), grid, args.run / "data")
            own.wait()
            sides[split] = read_scans(of_split(manifest, split), grid, args.run / "data")
        shop = Workshop(args.run, device, own, Deadline(args.budget), bar)
        if args.network == _NNUNET:
            said = _nnunet(args, sides["train"] + sides["validation"], shop)
        elif args.folds:
            said = _folds(args, plan, sides["train"] + sides["validation"], manifest, shop)
        else:
            said = _one(args, plan, sides["train"], sides["validation"], shop)
    if own.first:
        sys.stdout.write(said + "\n")
    return 0


def _one(args: argparse.Namespace, plan: Any, train: Any, tune: Any, shop: Any) -> str:
    from hideseek_lab.supervised.networks import CLASSIFIERS
    from hideseek_lab.supervised.store import save_network
    from hideseek_lab.supervised.workflow import train_classifier, train_segmenter

    if plan.network in CLASSIFIERS:
        network, spec, figures = train_classifier(plan, train, tune, shop)
        said = json.dumps(asdict(figures), indent=2)
    else:
        network, spec = train_segmenter(plan, train, tune, shop)
        said = (
            f"{spec.made['lesions']} lesions of {spec.made['patients']} patients; threshold "
            f"{spec.threshold:.2f} and {max(spec.least, 1)} voxels with F2 "
            f"{spec.made['tuning_f2']:.2f} on "
            f"{spec.made['tuning_patients']} tuning patients"
        )
    if shop.replicas.first:
        save_network(network, spec, args.out)
    return f"{said}\nNetwork: {args.out}"


def _folds(args: argparse.Namespace, plan: Any, scans: Any, manifest: Any, shop: Any) -> str:
    from hideseek_lab.supervised.prediction_files import write_prediction
    from hideseek_lab.supervised.workflow import cross_validate

    folder = args.run / "predictions"
    cases = {case.name: case for case in manifest.cases}

    def keep(scan: Any, classes: Any, spec: Any) -> None:
        write_prediction(folder, cases[scan.name], scan, classes, spec.threshold, spec.least)

    folds = cross_validate(plan, scans, args.folds, shop, keep)
    lines = [
        f"fold {f.number}: trained on {len(f.train)}, tested on {len(f.test)} patients"
        for f in folds
    ]
    return "\n".join([*lines, f"{len(folds[0].tune)} patients chose thresholds and are not tested.",
                      f"Predictions: {folder}"])  # fmt: skip


def _nnunet(args: argparse.Namespace, scans: Any, shop: Any) -> str:
    from hideseek_lab.supervised.nnunet import NnUNet, NnUNetPlan

    plan = NnUNetPlan(
        args.nnunet_configuration, args.nnunet_epochs, args.nnunet_iterations,
        folds=args.folds or 5,
    )  # fmt: skip
    if shop.replicas.world > 1:
        raise OptionError(
            "nnU-Net trains by itself, in one process here.", "Start it without torchrun."
        )
    network = NnUNet(args.run / "nnunet", plan, shop.device)
    most = int(np.max([scan.lesions.max(initial=0) for scan in scans]))
    network.prepare(scans, ("lytic", "blastic")[:most])
    parameters = network.train(shop.deadline, shop.progress)
    return f"nnU-Net of {parameters / 1e6:.1f} M parameters, {plan.folds} folds: {args.run}"
