"""`hideseek train`: from seeds to a model folder, in stages that resume."""

from __future__ import annotations

import argparse
import json
import platform
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from hideseek_backend.dae import DaeConfig
from hideseek_backend.errors import InputError, OptionError
from hideseek_backend.phantom.options import PHANTOM_VERSION
from hideseek_lab.cli import train_manifest
from hideseek_lab.training import dataset, loop
from hideseek_lab.training.card import model_card
from hideseek_lab.training.classifier import (
    central_slices,
    classification_figures,
    encode_all,
    fitting_slices,
    sideways_parts,
)
from hideseek_lab.training.fit import fit_classifier, with_drift
from hideseek_lab.training.presets import PRESETS as OWN_PRESETS
from hideseek_lab.training.presets import Preset
from hideseek_lab.training.published import PUBLISHED

PRESETS = {**OWN_PRESETS, "published": PUBLISHED}

WIDE_SEED = 50_000
VALIDATION_SEED = 1_000_000
WIDE_SHARE = 0.3
REAL_SHARE = 0.15
"""Shares of a batch drawn from wide shards and from real vertebrae, where there are some."""


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
    parser.add_argument("--device", choices=("auto", "cpu", "cuda"), default="auto")
    parser.add_argument(
        "--real",
        action="append",
        default=[],
        metavar="FILE.json",
        help="real vertebrae free of disease, as JSON with ct, vertebrae, bodies, labels, levels "
        "(may be given more than once); half of their samples get an inserted phantom lesion",
    )


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
        return train_manifest.run(args, preset, device, intensity(preset), _logger)
    if args.check or args.run is None or args.out is None:
        raise OptionError("Expected --run and --out.", "--check needs --manifest.")
    sources = [_real_source(Path(path)) for path in args.real]
    if args.start_from is not None:
        _check_start(args.start_from, preset)
    device = _device(args.device)
    write_data(preset, args.run / "data", sources)
    sets = shard_sets(args.run / "data", preset, real=bool(sources))
    make = dataset.batches(sets, preset.train.drawn, intensity(preset), seed=preset.train.seed)
    started = time.time()
    loop.train(
        preset.train,
        make,
        args.run,
        device=device,
        start_from=args.start_from,
        report=_logger(args.run),
    )
    model = finish(preset, args.run, args.out, [s["ct"] for s in sources], time.time() - started)
    sys.stdout.write(json.dumps(model, indent=2) + "\n")
    return 0


def shard_sets(folder: Path, preset: Preset, *, real: bool) -> list[tuple[dataset.ShardSet, float]]:
    """The shards a preset's batches are drawn from, and the share of each kind."""
    shares = {"wide-*.npz": WIDE_SHARE * bool(preset.wide_shards), "real-*.npz": REAL_SHARE * real}
    shares = {"phantom-0*.npz": 1 - sum(shares.values()), **shares}
    return [
        (dataset.ShardSet(folder, pattern, healthy_only=preset.healthy_only), share)
        for pattern, share in shares.items()
        if share > 0
    ]


def write_data(preset: Preset, folder: Path, sources: list[dict[str, Any]]) -> None:
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
    for source in sources:
        from hideseek_lab.training import real

        path = folder / f"real-{Path(source['ct']).name.split('.')[0]}.npz"
        if path.exists():
            continue
        blocks = real.load_blocks(
            Path(source["ct"]),
            Path(source["vertebrae"]),
            bodies=Path(source["bodies"]) if source.get("bodies") else None,
            labels=source.get("labels"),
            levels=source["levels"],
        )
        samples = (real.real_sample(blocks, seed, path.stem) for seed in range(preset.per_shard))
        dataset.write_shard(path, samples)
        _say(f"wrote {path}")


def finish(
    preset: Preset,
    run: Path,
    out: Path,
    real: list[str],
    seconds: float,
    history: str = "One run of `hideseek train` from first to last step.",
) -> dict[str, Any]:
    """Fit the classifier on a trained run, write the model folder and return its record.

    history: how the run's steps came about, for the model card.
    """
    from hideseek_backend.models.store import round_to_half, save_model

    dae, step = loop.averaged(run)
    # What is fitted and measured from here on are the latents of the weights that ship.
    round_to_half(dae)
    to_intensity = intensity(preset)
    fit_set = dataset.ShardSet(run / "data", "phantom-0*.npz")
    wide = dataset.ShardSet(run / "data", "wide-*.npz") if preset.wide_shards else None
    seed, count = preset.train.seed, min(len(fit_set), preset.classifier_vertebrae)
    hu, labels, middle = fitting_slices(fit_set, wide, count, seed)
    classifier = fit_classifier(
        encode_all(dae, to_intensity(hu)),
        labels[:, 0],
        polarities=labels[:, 1:],
        for_prior=middle,
        seed=seed,
    )
    if wide is not None and classifier.prior is not None:
        parts = classifier.scaled(sideways_parts(dae, wide, to_intensity))
        classifier = replace(classifier, prior=with_drift(classifier.prior, parts))
    held_out = dataset.ShardSet(run / "data", f"phantom-{VALIDATION_SEED}*.npz")
    hu, labels = central_slices(held_out, len(held_out), seed)
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
        "real": [Path(path).name for path in real],
        "validation": figures,
        "seconds": round(seconds),
        "torch": torch.__version__,
        "python": platform.python_version(),
    }
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
    return record


def intensity(preset: Preset) -> Callable[[NDArray[np.float32]], Tensor]:
    """The preset's map from HU to model intensity."""
    low, high = float(preset.intensity["low"]), float(preset.intensity["high"])  # type: ignore[arg-type]

    def to_intensity(hu: NDArray[np.float32]) -> Tensor:
        return torch.from_numpy((hu.clip(low, high) - low) / (high - low)).float()

    return to_intensity


def _check_start(run: Path, preset: Preset) -> None:
    """Raise InputError unless a training of the preset's network lies in `run`."""
    if not (run / "state.pt").is_file():
        raise InputError(f"--start-from {run} holds no state.pt.", "Give the --run of a training.")
    config = json.loads((run / "config.json").read_text())
    if DaeConfig.from_dict(config["architecture"]) != preset.train.architecture:
        raise InputError(
            f"--start-from {run} holds a network of another architecture than the preset's.",
            "Start from a training of the same preset.",
        )


def _real_source(path: Path) -> dict[str, Any]:
    try:
        source = json.loads(path.read_text())
    except (OSError, ValueError) as error:
        raise InputError(
            f"--real {path} is not readable JSON: {error}.",
            'Give an object with "ct", "vertebrae" and "levels".',
        ) from error
    missing = [key for key in ("ct", "vertebrae", "levels") if key not in source]
    if missing:
        raise InputError(f"--real {path} lacks {', '.join(missing)}.", "Add them to the file.")
    for key in ("ct", "vertebrae", "bodies"):
        if source.get(key):
            source[key] = str((path.parent / source[key]).resolve())
    return dict(source)


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
