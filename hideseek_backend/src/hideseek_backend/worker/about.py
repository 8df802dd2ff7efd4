"""What the worker tells of itself: versions, devices, model."""

from __future__ import annotations

import os
import platform
import sys
from importlib import metadata
from typing import TYPE_CHECKING, Any

from hideseek_backend.wire.codec import to_plain
from hideseek_backend.wire.version import PROTOCOL, VERSION

if TYPE_CHECKING:
    from hideseek_backend.models.store import Model


def model_message(model: Model) -> dict[str, Any]:
    """Return what the other side may know of a model."""
    message = {
        "name": model.spec.name,
        "hash": model.hash,
        "device": str(model.device),
        "intensity": model.intensity.to_dict(),
        "defaults": model.spec.defaults,
    }
    plain: dict[str, Any] = to_plain(message)
    return plain


def hello() -> dict[str, Any]:
    """Return the first message: who speaks, and on what it can compute.

    Where torch does not import, "torch" is null and "problem" says why.
    """
    message: dict[str, Any] = {
        "type": "hello",
        "protocol": PROTOCOL,
        "backend": versions()["hideseek"],
        "python": platform.python_version(),
        "torch": None,
        "devices": [],
        "pid": os.getpid(),
    }
    try:
        import torch
    except (ImportError, OSError) as error:  # OSError: a shared library that does not load
        message["problem"] = f"torch cannot be imported: {error}"
        return message
    message["torch"] = str(torch.__version__)
    message["devices"] = ["cpu", *(["cuda"] if torch.cuda.is_available() else [])]
    return message


def info(model: Model | None) -> dict[str, Any]:
    """Return versions, devices and the model that is loaded."""
    import torch

    gpus = []
    if torch.cuda.is_available():
        for index in range(torch.cuda.device_count()):
            properties = torch.cuda.get_device_properties(index)
            gpus.append({"name": properties.name, "memory_mb": properties.total_memory >> 20})
    return {
        "protocol": PROTOCOL,
        "versions": versions(),
        "executable": sys.executable,
        "platform": platform.platform(),
        "threads": torch.get_num_threads(),
        "gpus": gpus,
        "model": None if model is None else model_message(model),
    }


def versions() -> dict[str, str]:
    """Return the versions that a result depends on."""
    found = {"hideseek": VERSION, "python": platform.python_version()}
    for name, package in (
        ("torch", "torch"),
        ("numpy", "numpy"),
        ("scipy", "scipy"),
    ):
        try:
            found[name] = metadata.version(package)
        except metadata.PackageNotFoundError:
            found[name] = "not installed"
    return found
