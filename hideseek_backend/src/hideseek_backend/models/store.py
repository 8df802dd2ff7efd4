"""Save, load and verify model folders: spec.json and weights.safetensors."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor

from hideseek_backend.attribution.classifier import LatentClassifier
from hideseek_backend.attribution.intensity import IntensityMap
from hideseek_backend.attribution.intensity import intensity_map as read_map
from hideseek_backend.attribution.options import complete_protocol
from hideseek_backend.dae import DiffusionAutoencoder
from hideseek_backend.dae.graphs import GraphedForward
from hideseek_backend.errors import ModelError, OutputError
from hideseek_backend.files import sha256, whole_folder
from hideseek_backend.models.devices import choose_device
from hideseek_backend.models.places import (
    CARD_FILE,
    SPEC_FILE,
    WEIGHTS_FILE,
    available,
    find_folder,
)
from hideseek_backend.models.spec import ModelSpec

GRAPHS = "HIDESEEK_CUDA_GRAPHS"
"""Environment variable: 1 replays the network as CUDA graphs, which no GPU has proven yet."""

_DAE, _CLASSIFIER = "dae.", "classifier."
_REMEDY = "Fetch the model again with `hideseek models install`, or import it again."


@dataclass
class Model:
    """A model ready to run.

    dae: on `device`, in evaluation mode. classifier: of its latents. hash: sha256 of the folder's
    content (spec and weights), which results record.
    """

    dae: DiffusionAutoencoder
    classifier: LatentClassifier
    spec: ModelSpec
    device: torch.device
    hash: str

    @property
    def intensity(self) -> IntensityMap:
        """The model's map from HU."""
        return self.spec.intensity


@dataclass(frozen=True)
class ModelListing:
    """A model at hand: its name, folder and spec, or the problem that keeps it from loading."""

    name: str
    folder: Path
    spec: ModelSpec | None
    problem: str = ""


def load_model(name_or_folder: str | os.PathLike[str] = "bundled", device: str = "auto") -> Model:
    """Load a model by name ("bundled", an installed one) or by folder.

    Raises ModelError when it is missing, altered, from a newer version, or has parts missing or
    too many; DeviceError when the device is not here.
    """
    chosen = choose_device(device)
    folder = find_folder(name_or_folder)
    spec, digest = verify_folder(folder)
    try:
        tensors = load_file(folder / WEIGHTS_FILE)
    except (SafetensorError, OSError, ValueError) as error:
        raise ModelError(f"{folder / WEIGHTS_FILE} cannot be read: {error}.", _REMEDY) from error
    stray = sorted(k for k in tensors if not k.startswith((_DAE, _CLASSIFIER)))
    if stray:
        raise ModelError(f"{WEIGHTS_FILE} has unknown parts: {_some(stray)}.", _REMEDY)
    dae = build(spec.architecture, _under(_DAE, tensors), f"{folder.name}/{WEIGHTS_FILE}")
    classifier = LatentClassifier.from_tensors(_under(_CLASSIFIER, tensors))
    if classifier.channels != spec.architecture.z_channels:
        raise ModelError(
            f"The classifier reads latents of {classifier.channels} numbers, the autoencoder "
            f"makes {spec.architecture.z_channels}.",
            _REMEDY,
        )
    return prepared(Model(dae, classifier, spec, chosen, digest))


def prepared(model: Model) -> Model:
    """Put a model's network on its device; with CUDA graphs where the environment asks for them."""
    model.dae.to(model.device)
    if model.device.type == "cuda" and os.environ.get(GRAPHS) == "1":
        model.dae.graphed = GraphedForward(model.dae.network)
    return model


def build(config: Any, weights: Mapping[str, Tensor], source: str) -> DiffusionAutoencoder:
    """Make the autoencoder of `config` and give it `weights`, all of them and no others.

    Raises ModelError for missing, unexpected, wrongly shaped or non-finite weights.
    """
    try:
        with torch.device("meta"):
            dae = DiffusionAutoencoder(config)
    except (ValueError, RuntimeError) as error:
        raise ModelError(
            f"{source}: no network has this architecture: {error}.", _REMEDY
        ) from error
    expected = dae.state_dict()
    missing = sorted(set(expected) - set(weights))
    unexpected = sorted(set(weights) - set(expected))
    shapes = [k for k in expected if k in weights and expected[k].shape != weights[k].shape]
    broken = [k for k, v in weights.items() if not torch.isfinite(v).all()]
    for what, keys in (
        ("lacks", missing),
        ("has unknown", unexpected),
        ("has other shapes in", shapes),
        ("has values that are not finite in", broken),
    ):
        if keys:
            raise ModelError(f"{source} {what} {_some(keys)}.", _REMEDY)
    # Copied into torch's own aligned memory: read in place, weights lie where the file has them,
    # and unaligned ones take other kernels, which round differently.
    plain = {k: v.to(torch.float32, copy=True).contiguous() for k, v in weights.items()}
    dae.load_state_dict(plain, strict=True, assign=True)
    return dae.eval().requires_grad_(False)


def save_model(
    folder: str | os.PathLike[str],
    dae: DiffusionAutoencoder,
    classifier: LatentClassifier,
    *,
    name: str,
    intensity_map: Mapping[str, Any],
    half: bool = False,
    defaults: Mapping[str, Mapping[str, Any]] | None = None,
    training: Mapping[str, Any] | None = None,
    source: Mapping[str, Any] | None = None,
    licence: str = "",
    card: str | None = None,
) -> ModelSpec:
    """Write a model folder, whole or not at all; an older model there is replaced.

    half: store the autoencoder's weights as float16 (the classifier stays float64). card: text of
    MODEL_CARD.md. defaults: {"fast": what differs from `Options`}; the whole protocol is stored.
    The same model always gives the same bytes.

    Raises OutputError when the folder holds something else or cannot be written; ModelError for an
    unknown intensity map or weights that float16 cannot hold; OptionError for unknown defaults.
    """
    folder = Path(folder)
    mapping = read_map(intensity_map)
    dtype = torch.float16 if half else torch.float32
    tensors: dict[str, Tensor] = {}
    for key, value in dae.state_dict().items():
        stored = value.detach().cpu().to(dtype).contiguous()
        if not torch.isfinite(stored).all():
            raise ModelError(f"Weight {key} does not fit {dtype}.", "Store it without --half.")
        tensors[_DAE + key] = stored
    for key, array in classifier.tensors().items():
        tensors[_CLASSIFIER + key] = torch.from_numpy(np.array(array, dtype=np.float64, order="C"))
    spec = ModelSpec(
        name=name,
        architecture=dae.config,
        intensity=mapping,
        weights_sha256="",
        weights_dtype="float16" if half else "float32",
        defaults={"fast": complete_protocol(defaults)},
        training=dict(training or {}),
        source=dict(source or {}),
        licence=licence,
    )
    if folder.exists() and not (folder.is_dir() and _only_a_model(folder)):
        raise OutputError(f"{folder} exists and is not a model folder.", "Choose another --out.")
    with whole_folder(folder) as part:
        save_file(tensors, part / WEIGHTS_FILE)
        spec = replace(spec, weights_sha256=sha256(part / WEIGHTS_FILE))
        (part / SPEC_FILE).write_text(spec.to_json(), encoding="utf-8")
        if card is not None:
            (part / CARD_FILE).write_text(card, encoding="utf-8")
    return spec


def round_to_half(dae: DiffusionAutoencoder) -> None:
    """Give the weights, in place, the float32 values that `save_model(half=True)` stores."""
    with torch.no_grad():
        for value in dae.state_dict().values():
            value.copy_(value.to(torch.float16).to(value.dtype))


def verify_folder(folder: Path) -> tuple[ModelSpec, str]:
    """Check that a folder's weights are the ones its spec names; return (spec, content hash).

    Raises ModelError when a part is missing or altered.
    """
    try:
        text = (folder / SPEC_FILE).read_text(encoding="utf-8")
        spec = ModelSpec.from_json(text, f"{folder.name}/{SPEC_FILE}")
        weights = sha256(folder / WEIGHTS_FILE)
    except (OSError, UnicodeDecodeError) as error:
        raise ModelError(f"{folder} is not a whole model: {error}.", _REMEDY) from error
    if weights != spec.weights_sha256:
        raise ModelError(
            f"{folder / WEIGHTS_FILE} was altered or damaged: expected sha256 "
            f"{spec.weights_sha256}, got {weights}.",
            _REMEDY,
        )
    content = f"{SPEC_FILE} {hashlib.sha256(text.encode()).hexdigest()}\n{WEIGHTS_FILE} {weights}\n"
    return spec, hashlib.sha256(content.encode()).hexdigest()


def list_models() -> list[ModelListing]:
    """List the bundled and the installed models, with the problem of those that cannot be read."""
    listings = []
    for name, folder in available().items():
        try:
            text = (folder / SPEC_FILE).read_text(encoding="utf-8")
            listings.append(ModelListing(name, folder, ModelSpec.from_json(text)))
        except (ModelError, OSError, UnicodeDecodeError) as error:
            listings.append(ModelListing(name, folder, None, str(error)))
    return listings


def _only_a_model(folder: Path) -> bool:
    return {p.name for p in folder.iterdir()} <= {SPEC_FILE, WEIGHTS_FILE, CARD_FILE}


def _under(prefix: str, tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    return {k.removeprefix(prefix): v for k, v in tensors.items() if k.startswith(prefix)}


def _some(keys: list[str]) -> str:
    more = f" and {len(keys) - 4} more" if len(keys) > 4 else ""
    return ", ".join(keys[:4]) + more
