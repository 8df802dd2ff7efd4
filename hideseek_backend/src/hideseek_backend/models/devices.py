"""Choose the device that a model runs on."""

from __future__ import annotations

import torch

from hideseek_backend.errors import DeviceError
from hideseek_backend.wire.words import DEVICES


def choose_device(wanted: str = "auto") -> torch.device:
    """Return the device for "auto" (a GPU where there is one), "cpu", "cuda" or "cuda:N".

    Raises DeviceError when it is unknown or absent.
    """
    if wanted == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        device = torch.device(wanted)
    except RuntimeError:
        device = None
    if device is None or device.type not in ("cpu", "cuda"):
        raise DeviceError(f"Unknown device {wanted!r}.", f"Choose {', '.join(DEVICES)} or cuda:N.")
    if device.type == "cuda":
        count = torch.cuda.device_count() if torch.cuda.is_available() else 0
        if (device.index or 0) >= count:
            raise DeviceError(
                f"Device {wanted!r} is not here: torch {torch.__version__} sees {count} GPUs.",
                "Choose --device cpu, or install a torch that supports your GPU.",
            )
    return device
