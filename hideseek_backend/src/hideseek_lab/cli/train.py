"""`hideseek train`: from seeds to a model folder, in stages that resume."""

from __future__ import annotations

import argparse
import json
import platform
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch

from hideseek_backend.dae import DaeConfig
from hideseek_backend.errors import InputError, OptionError
from hideseek_backend.models.places import SPEC_FILE
from hideseek_backend.phantom.options import PHANTOM_VERSION
from hideseek_backend.wire.words import DEVICES
from hideseek_lab.cli import real_arguments, train_manifest
from hideseek_lab.training import dataset, loop
from hideseek_lab.training.card import model_card
from hideseek_lab.training.classifier import (
    central_slices,
    classification_figures,
    encode_all,
    fitting_slices,
    middle_slices,
    sideways_parts,
)
from hideseek_lab.training.coverage import covered
from hideseek_lab.training.fit import fit_classifier, with_drift, with_label_head
from hideseek_lab.training.presets import PRESETS as OWN_PRESETS
from hideseek_lab.training.presets import Preset
from hideseek_lab.training.published import PUBLISHED
from hideseek_lab.training.real_cases import RealCase
from hideseek_lab.training.validation import calibrated_on

PRESETS = {**OWN_PRESETS, "published": PUBLISHED}

WIDE_SEED = 50_000
VALIDATION_SEED = 1_000_000
WIDE_SHARE = 0.8
REAL_SHARE = 0.5
"""Shares of wide shards among the phantoms, and of real vertebrae, where there are some."""
REAL_IN_PRIOR = 6000
"""Real samples that scaler, prior and pattern are fitted on beside the phantoms, at most."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the verb's arguments."""
    parser.add_argument("--preset", choices=sorted(PRESETS), default="bundled")
    parser.add_argument("--run", type=Path, help="folder of the training: data, state and log")
    parser.add_argument("--out", type=Path, help="model folder to write")
    parser.add_argument(
        "--manifest",
        type=Path,
        metavar="FILE",
        help="train on the patients of this table (CSV, XLSX or JSON) instead of phantoms",
    )
    parser.add_argument(
        "--check",
        action="store_true",
        help="only say what the manifest was understood to hold, and what is left out",
    )
    parser.add_argument("--steps", type=int, help="training steps (default: the preset's)")
    parser.add_argument(
        "--start-from",
        type=Path,
        metavar="RUN",
        help="folder of a finished training whose weights this one begins with",
    )
    parser.add_argument("--threads", type=int, help="processor threads (default: all)")
    parser.add_argument("--device", choices=DEVICES, default="auto")
    real_arguments.add_arguments(parser)


def main(args: argparse.Namespace) -> int:
    """Run the stages that are not done yet: data, autoencoder, classifier and model folder."""
    preset = PRESETS[args.preset]
    if args.steps is not None:
        if args.steps < 1:
            raise OptionError(f"Expected --steps of at least 1, got {args.steps}.", "")
        preset = replace(preset, train=replace(preset.train, steps=args.steps))
    if args.threads:
        torch.set_num_threads(args.threads)
    if args.manifest is not None:
        if args.start_from is not None:
            _check_start(args.start_from, preset)
        device = _device(args.device)
        return train_manifest.run(args, preset, device, preset.to_intensity, _logger)
    if args.check or args.run is None or args.out is None:
        raise OptionError("Expected --run and --out.", "--check needs --manifest.")
    seen, held_out = real_arguments.read(args)
    if args.start_from is not None:
        _check_start(args.start_from, preset)
    device = _device(args.device)
    write_data(preset, args.run / "data", seen)
    sets = shard_sets(args.run / "data", preset, seen)
    make = dataset.batches(
        sets,
        preset.train.drawn,
        preset.to_intensity,
        seed=preset.train.seed,
        bag=preset.train.bag,
    )
    started = time.time()
    loop.train(
        preset.train,
        make,
        args.run,
        device=device,
        start_from=args.start_from,
        report=_logger(args.run),
    )
    model = finish(preset, args.run, args.out, seen, held_out, time.time() - started)
    sys.stdout.write(json.dumps(model, indent=2) + "\n")
    return 0


def shard_sets(
    folder: Path, preset: Preset, seen: Sequence[RealCase]
) -> list[tuple[dataset.ShardSet, float]]:
    """The shards a preset's batches are drawn from, and the share of each kind.

    seen: the real cases that are trained on; shards of others in the folder are left alone.
    """
    real = REAL_SHARE * bool(seen)
    wide = WIDE_SHARE * bool(preset.wide_shards)
    shares = {"phantom-0*.npz": (1 - real) * (1 - wide), "wide-*.npz": (1 - real) * wide}
    sets = [
        (dataset.ShardSet(folder, pattern, healthy_only=preset.healthy_only), share)
        for pattern, share in shares.items()
        if share > 0
    ]
    if seen:
        sets.append((_real_shards(folder, preset, seen), real))
    return sets


def _real_shards(folder: Path, preset: Preset, seen: Sequence[RealCase]) -> dataset.ShardSet:
    names = {case.name for case in seen}
    there = {path.stem.removeprefix("real-").rpartition("-")[0] for path in folder.glob("real-*")}
    return dataset.ShardSet(
        folder, "real-*.npz", healthy_only=preset.healthy_only, leave_out=there - names
    )


def write_data(preset: Preset, folder: Path, cases: Sequence[RealCase]) -> None:
    """Write the shards of a preset that are not there yet."""
    dataset.write_phantom_shards(folder, 0, preset.shards, per_shard=preset.per_shard, report=_say)
    dataset.write_phantom_shards(
        folder,
        VALIDATION_SEED,
        max(1, preset.shards // 20),
        per_shard=preset.per_shard,
        report=_say,
    )
    dataset.write_phantom_shards(
        folder,
        WIDE_SEED,
        preset.wide_shards,
        per_shard=preset.per_shard,
        wide=True,
        report=_say,
    )
    if cases:
        # Here, since it needs the scans' own packages, which a training on phantoms does not.
        from hideseek_lab.training.real import write_real_shards

        write_real_shards(folder, cases, preset.real_per_vertebra, _say)


def finish(
    preset: Preset,
    run: Path,
    out: Path,
    seen: Sequence[RealCase],
    held_out: Sequence[RealCase],
    seconds: float,
    history: str = "One run of `hideseek train` from first to last step.",
) -> dict[str, Any]:
    """Fit the classifier on a trained run, write the model folder and return its record.

    seen, held_out: the real cases that were trained on and those kept from it. history: how the
    run's steps came about, for the model card.
    """
    from hideseek_backend.models.store import load_model, round_to_half, save_model

    dae, step = loop.averaged(run)
    # What is fitted and measured from here on are the latents of the weights that ship.
    round_to_half(dae)
    to_intensity = preset.to_intensity
    fit_set = dataset.ShardSet(run / "data", "phantom-0*.npz")
    wide = dataset.ShardSet(run / "data", "wide-*.npz") if preset.wide_shards else None
    seed, count = preset.train.seed, min(len(fit_set), preset.classifier_vertebrae)
    hu, labels, middle = fitting_slices(fit_set, wide, count, seed)
    z = encode_all(dae, to_intensity(hu))
    weight, bias = loop.label_head(run)
    if seen:
        hu, real_labels = middle_slices(
            _real_shards(run / "data", preset, seen), REAL_IN_PRIOR, seed
        )
        real_z = encode_all(dae, to_intensity(hu))
        # A malignant vertebra's middle slice may miss its lesions: the prior leaves out those that
        # look healthy to the head.
        shows = (real_labels[:, 0] == 0) | (real_z @ weight[0] + bias[0] > 0)
        z = np.concatenate([z, real_z])
        labels, middle = np.concatenate([labels, real_labels]), np.concatenate([middle, shows])
    classifier = fit_classifier(
        z, labels[:, 0], polarities=labels[:, 1:], for_prior=middle, seed=seed
    )
    if preset.train.bag > 1:
        classifier = with_label_head(classifier, z.astype(np.float64), weight, bias)
    if wide is not None and classifier.prior is not None:
        parts = classifier.scaled(sideways_parts(dae, wide, to_intensity))
        classifier = replace(classifier, prior=with_drift(classifier.prior, parts))
    classifier = covered(dae, classifier, run / "data", seen, to_intensity, seed)
    phantoms = dataset.ShardSet(run / "data", f"phantom-{VALIDATION_SEED}*.npz")
    hu, labels = central_slices(phantoms, len(phantoms), seed)
    z = encode_all(dae, to_intensity(hu))
    figures = {"all": classification_figures(classifier, z, labels[:, 0])}
    for name, wanted in dataset.PHENOTYPE_LABELS.items():
        chosen = (labels[:, 0] == 0) | (labels == np.array(wanted, np.float32)).all(axis=1)
        if name != "healthy" and labels[chosen, 0].any():
            figures[name] = classification_figures(classifier, z[chosen], labels[chosen, 0])
    record = {
        "steps": step,
        "history": history,
        "config": preset.train.to_dict(),
        "phantom_version": PHANTOM_VERSION,
        "phantom_vertebrae": len(fit_set) + len(wide or ()),
        "classifier_vertebrae": count + len(wide or ()),
        "real": {
            "trained_on": [case.credit() for case in seen],
            "held_out": [case.credit() for case in held_out],
        },
        "pooling": list(classifier.pooling or ()),
        "validation": figures,
        "seconds": round(seconds),
        "torch": torch.__version__,
        "python": platform.python_version(),
    }

    def save() -> None:
        save_model(
            out,
            dae,
            classifier,
            name=out.name,
            intensity_map=preset.intensity,
            half=True,
            defaults=preset.defaults,
            training=record,
            licence="Apache-2.0",
            card=model_card(out.name, record),
        )

    save()
    if held_out:
        classifier = calibrated_on(load_model(out, "cpu"), held_out)
        record["pooling"] = list(classifier.pooling or ())
        save()
    return record


def _check_start(start: Path, preset: Preset) -> None:
    """Raise InputError unless a training, or a model, of the preset's network lies in `start`."""
    if (start / "state.pt").is_file():
        config = json.loads((start / "config.json").read_text(encoding="utf-8"))
    elif (start / SPEC_FILE).is_file():
        config = json.loads((start / SPEC_FILE).read_text(encoding="utf-8"))
    else:
        raise InputError(
            f"--start-from {start} holds no state.pt and no {SPEC_FILE}.",
            "Give the --run of a training, or a model's folder.",
        )
    if DaeConfig.from_dict(config["architecture"]) != preset.train.architecture:
        raise InputError(
            f"--start-from {start} holds a network of another architecture than the preset's.",
            "Start from a training of the same preset.",
        )


def _device(name: str) -> torch.device:
    if name == "auto":
        name = "cuda" if torch.cuda.is_available() else "cpu"
    return torch.device(name)


def _logger(run: Path) -> Callable[[int, dict[str, float]], None]:
    def report(step: int, figures: dict[str, float]) -> None:
        line = json.dumps({"step": step, **{k: round(v, 4) for k, v in figures.items()}})
        with (run / "log.jsonl").open("a") as log:
            log.write(line + "\n")
        _say(line)

    return report


def _say(line: str) -> None:
    sys.stderr.write(line + "\n")
    sys.stderr.flush()
