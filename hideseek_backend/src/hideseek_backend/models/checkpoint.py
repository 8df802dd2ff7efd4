"""Read a reference checkpoint (a Lightning file) without running anything that is in it."""

from __future__ import annotations

import pickle
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from hideseek_backend.errors import ModelError

_REMEDY = "Use the checkpoint that the authors published (last.ckpt), or fetch it again."


@dataclass(frozen=True)
class ReferenceCheckpoint:
    """What the import needs of a checkpoint.

    weights: {parameter name: tensor} of one autoencoder, without prefix. averaged: whether they
    are the EMA weights. image_size: side of the x_T buffer, or None. settings: plain entries of
    the hyper-parameters. step: of the training.
    """

    weights: dict[str, Tensor]
    averaged: bool
    image_size: int | None
    settings: dict[str, Any]
    step: int | None


def read_checkpoint(path: Path | str) -> ReferenceCheckpoint:
    """Read the autoencoder of a reference checkpoint, preferring its EMA weights.

    Only tensors and plain values are ever built (`torch.load` in its restricted mode).

    Raises ModelError for a missing or damaged file, for one that asks for anything else, and for
    one without an autoencoder's weights.
    """
    path = Path(path)
    if not path.is_file():
        raise ModelError(f"There is no checkpoint {path}.", "Check the path.")
    content = _load(path)
    state = content.get("state_dict") if isinstance(content, Mapping) else None
    if not isinstance(state, Mapping) or not all(isinstance(k, str) for k in state):
        raise ModelError(f"{path.name} has no state_dict.", _REMEDY)
    tensors = {k: v for k, v in state.items() if isinstance(v, Tensor)}
    averaged = any(k.startswith("ema_model.") for k in tensors)
    prefix = "ema_model." if averaged else "model."
    weights = {k.removeprefix(prefix): v for k, v in tensors.items() if k.startswith(prefix)}
    if not weights:
        raise ModelError(
            f"{path.name} holds no weights named ema_model.* or model.*; it has "
            f"{', '.join(sorted(tensors)[:3]) or 'none at all'}.",
            _REMEDY,
        )
    noise = tensors.get("x_T")
    size = int(noise.shape[-1]) if noise is not None and noise.ndim == 4 else None
    settings = content.get("hyper_parameters")
    plain = {
        k: v
        for k, v in (settings.items() if isinstance(settings, Mapping) else ())
        if isinstance(v, (str, int, float, bool))
    }
    step = content.get("global_step")
    return ReferenceCheckpoint(
        weights, averaged, size, plain, step if isinstance(step, int) else None
    )


def _load(path: Path) -> Any:
    try:
        # Memory mapping keeps optimiser states, most of a training checkpoint, out of memory.
        mapped = zipfile.is_zipfile(path)
        return torch.load(path, map_location="cpu", weights_only=True, mmap=mapped)
    except pickle.UnpicklingError as error:
        reason = next((s for s in str(error).splitlines() if "GLOBAL" in s), "")
        raise ModelError(
            f"{path.name} was refused: it holds more than tensors and plain values"
            f"{' (' + reason.strip()[:160] + ')' if reason else ''}. Nothing in it was executed.",
            _REMEDY,
        ) from error
    except (RuntimeError, OSError, ValueError, EOFError, KeyError, zipfile.BadZipFile) as error:
        first = (str(error).splitlines() or [type(error).__name__])[0]
        raise ModelError(
            f"{path.name} is not a whole checkpoint: {first[:160]}.", _REMEDY
        ) from error
