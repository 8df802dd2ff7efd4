"""A supervised network in a folder: weights without pickles, and what it takes to run it."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import Any

from safetensors.torch import load_file, save_file
from torch import nn

import hideseek_backend
from hideseek_backend.errors import ModelError
from hideseek_backend.files import sha256, whole_file, whole_folder
from hideseek_lab.supervised.cases import Grid
from hideseek_lab.supervised.networks import CLASSIFIERS, make_classifier, make_segmenter

SPEC, WEIGHTS = "supervised.json", "weights.safetensors"


@dataclass(frozen=True)
class SupervisedSpec:
    """network, size, classes (background among them): of `make_segmenter`; a classifier has two.

    roi: windows of prediction. threshold: of the lesion probability. least: voxels of the smallest
    component that counts. made: how it was trained.
    """

    network: str
    size: str
    classes: int
    roi: tuple[int, int, int]
    threshold: float
    grid: Grid
    least: int = 0
    sha256: str = ""
    version: str = hideseek_backend.__version__
    made: Mapping[str, Any] = field(default_factory=dict)

    @property
    def classifies(self) -> bool:
        return self.network in CLASSIFIERS


def save_network(network: nn.Module, spec: SupervisedSpec, folder: Path) -> SupervisedSpec:
    """Write a folder, whole or not at all; returns the spec with the weights' hash."""
    with whole_folder(folder) as part:
        state = {n: v.detach().cpu().contiguous() for n, v in network.state_dict().items()}
        save_file(state, str(part / WEIGHTS))
        values = {**asdict(spec), "sha256": sha256(part / WEIGHTS)}
        text = json.dumps(values, indent=1, sort_keys=True, default=str)
        with whole_file(part / SPEC) as file:
            file.write_text(text + "\n", encoding="utf-8")
    return read_spec(folder)


def read_spec(folder: Path) -> SupervisedSpec:
    """Read what a folder says. Raises ModelError where it is no supervised network."""
    path = folder / SPEC
    try:
        given = json.loads(path.read_text(encoding="utf-8"))
        known = {f.name for f in fields(SupervisedSpec)}
        values = {k: v for k, v in given.items() if k in known}
        values["grid"] = Grid(**values["grid"])
        values["roi"] = tuple(int(v) for v in values["roi"])
        return SupervisedSpec(**values)
    except (OSError, ValueError, TypeError, KeyError) as error:
        raise ModelError(
            f"{folder} holds no supervised network: {error}.",
            "Give the --out of `hideseek supervised train`.",
        ) from error


def load_network(folder: Path) -> tuple[nn.Module, SupervisedSpec]:
    """Load a network, verified by its hash, in evaluation mode.

    Raises ModelError for a folder that is none, is altered, or does not fit its own description.
    """
    spec = read_spec(folder)
    weights = folder / WEIGHTS
    if not weights.is_file() or sha256(weights) != spec.sha256:
        raise ModelError(
            f"The weights of {folder} are missing or are not those it was written with.",
            "Copy the folder again, or train anew.",
        )
    if spec.classifies:
        network = make_classifier(spec.network, in_channels=spec.grid.channels)
    else:
        network = make_segmenter(
            spec.network, in_channels=spec.grid.channels, classes=spec.classes, size=spec.size
        )
    try:
        network.load_state_dict(load_file(str(weights)))
    except (RuntimeError, ValueError) as error:
        raise ModelError(
            f"The weights of {folder} do not fit its description.", "Train anew."
        ) from error
    return network.eval(), spec
