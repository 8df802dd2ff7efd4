"""`hideseek models cover`: measure anew what a model has seen, and store it with the model."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from hideseek_lab.cli import real_arguments

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray
    from torch import Tensor


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the model, the training it came from and where it goes."""
    parser.add_argument("model", metavar="NAME_OR_DIR", help="the model to measure")
    parser.add_argument(
        "--run",
        type=Path,
        required=True,
        metavar="RUN",
        help="folder of its training: RUN/data holds what it was trained on",
    )
    real_arguments.add_arguments(parser)
    parser.add_argument("--out", type=Path, required=True, help="model folder to write")


def main(args: argparse.Namespace) -> int:
    """Write the model with its coverage; weights, classifier and card stay as they are.

    Raises InputError without shards of the training, ModelError, OutputError.
    """
    from dataclasses import replace

    import torch

    from hideseek_backend.models.places import CARD_FILE, find_folder
    from hideseek_backend.models.store import load_model, save_model
    from hideseek_lab.training.coverage import covered

    model = load_model(args.model, "cpu")
    card = find_folder(args.model) / CARD_FILE
    seen, _ = real_arguments.read(args)

    def to_intensity(hu: NDArray[np.float32]) -> Tensor:
        return torch.from_numpy(model.intensity.to_intensity(hu))

    classifier = covered(
        model.dae, replace(model.classifier, coverage=None), args.run / "data", seen, to_intensity
    )
    spec = model.spec
    save_model(
        args.out,
        model.dae,
        classifier,
        name=spec.name,
        intensity_map=spec.intensity.to_dict(),
        half=spec.weights_dtype == "float16",
        defaults=spec.defaults,
        training=spec.training,
        source=spec.source,
        licence=spec.licence,
        card=card.read_text(encoding="utf-8") if card.is_file() else None,
    )
    assert classifier.coverage is not None
    coverage = classifier.coverage
    sources = ("phantoms", "real vertebrae")
    print(f"{args.out}: slices up to {coverage.thickest_mm:g} mm; held-out vertebrae of training")
    for source, (latent, picture) in zip(sources, coverage.limits, strict=False):
        print(
            f"  {source}: {coverage.quantile:.0%} have latents within {latent:.2f} and pictures "
            f"within {picture:.2f}"
        )
    return 0
