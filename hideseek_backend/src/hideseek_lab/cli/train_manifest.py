"""`hideseek train --manifest`: check a manifest, train on it, and write the model."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from hideseek_backend.errors import OptionError
from hideseek_lab.manifest import read_manifest
from hideseek_lab.manifest.check import check_manifest, summary
from hideseek_lab.manifest.rows import SPLITS
from hideseek_lab.training import dataset, loop
from hideseek_lab.training.distributed import replicas
from hideseek_lab.training.from_manifest import read_shards, training_sets, write_shards
from hideseek_lab.training.manifest_model import finish
from hideseek_lab.training.presets import Preset


def run(
    args: argparse.Namespace,
    preset: Preset,
    device: torch.device,
    to_intensity: Callable[[NDArray[np.float32]], Tensor],
    logger: Callable[[Path], Callable[[int, dict[str, float]], None]],
) -> int:
    """Carry out `--manifest` and `--check`.

    Started by `torchrun`, the first process reads the scans, reports and writes the model.
    """
    manifest = read_manifest(args.manifest)
    with replicas(device) as (own, device):

        def say(line: str) -> None:
            if own.first:
                sys.stderr.write(line + "\n")

        checked = check_manifest(manifest)
        for line in summary(manifest, checked):
            say(line)
        if args.check:
            return 0
        if args.run is None or args.out is None:
            raise OptionError("Training needs --run and --out.", "Or add --check to look only.")
        config = preset.train
        own.check(batch=config.batch, label_images=config.label_images, bag=config.bag)
        left: list[str] = []
        if own.first:
            left = write_shards(checked, args.run / "data", say)
        own.wait()
        by_split = {
            split: read_shards([c for c in checked if c.case.split == split], args.run / "data")
            for split in SPLITS[:2]
        }
        sets = training_sets(by_split["train"])
        make = dataset.batches(
            sets,  # type: ignore[arg-type]
            config.drawn,
            to_intensity,
            seed=config.seed,
            bag=config.bag,
        )
        loop.train(
            config,
            make,
            args.run,
            device=device,
            start_from=args.start_from,
            report=logger(args.run) if own.first else None,
            replicas=own,
        )
        if own.first:
            record = finish(preset, args.run, args.out, to_intensity, by_split, left, args.preset)
            sys.stdout.write(json.dumps(record, indent=2) + "\n")
    return 0
