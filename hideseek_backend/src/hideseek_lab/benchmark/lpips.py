"""LPIPS on AlexNet features, from weight files given by path (Zhang et al. 2018).

Two public files are needed: torchvision's AlexNet (`alexnet-owt-*.pth`) and LPIPS v0.1's linear
layers (`alex.pth`). The published packages need torchvision, which this one does without.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from hideseek_backend.errors import ModelError

_CHANNELS = (64, 192, 384, 256, 256)
_SHIFT = (-0.030, -0.088, -0.188)
_SCALE = (0.458, 0.448, 0.450)


class Lpips(nn.Module):
    """Distance of image pairs; 0 for equal ones."""

    shift: Tensor
    scale: Tensor

    def __init__(self) -> None:
        super().__init__()
        # the indices of torchvision's `features`, so that its names fit; 12 is after the last tap
        self.features = nn.Sequential(
            nn.Conv2d(3, 64, 11, stride=4, padding=2), nn.ReLU(),
            nn.MaxPool2d(3, 2), nn.Conv2d(64, 192, 5, padding=2), nn.ReLU(),
            nn.MaxPool2d(3, 2), nn.Conv2d(192, 384, 3, padding=1), nn.ReLU(),
            nn.Conv2d(384, 256, 3, padding=1), nn.ReLU(),
            nn.Conv2d(256, 256, 3, padding=1), nn.ReLU(),
        )  # fmt: skip
        self.linear = nn.ParameterList([torch.ones(1, c, 1, 1) for c in _CHANNELS])
        self.register_buffer("shift", torch.tensor(_SHIFT)[None, :, None, None])
        self.register_buffer("scale", torch.tensor(_SCALE)[None, :, None, None])

    @classmethod
    def load(cls, alexnet: Path, linear: Path) -> Lpips:
        """Read both weight files. Raises ModelError when one is absent or does not fit."""
        network = cls()
        backbone, weights = _read(alexnet), _read(linear)
        try:
            own = {k.removeprefix("features."): v for k, v in backbone.items() if "features." in k}
            network.features.load_state_dict(own)
            for index, parameter in enumerate(network.linear):
                parameter.data.copy_(weights[f"lin{index}.model.1.weight"])
        except (KeyError, RuntimeError) as error:
            raise ModelError(
                f"{alexnet.name} and {linear.name} are no LPIPS weights ({type(error).__name__}).",
                "Give torchvision's AlexNet and the file alex.pth of LPIPS v0.1.",
            ) from error
        return network.eval()

    @torch.inference_mode()
    def forward(self, first: Tensor, second: Tensor) -> Tensor:
        """Distances (B,) of images (B, 1, H, W), intensities in [0, 1]."""
        total = torch.zeros(len(first), device=first.device)
        pairs = zip(self._taps(first), self._taps(second), self.linear, strict=True)
        for a, b, weight in pairs:
            difference = (F.normalize(a, eps=1e-10) - F.normalize(b, eps=1e-10)) ** 2
            total = total + (difference * weight).sum(dim=1).mean(dim=(1, 2))
        return total

    def _taps(self, images: Tensor) -> list[Tensor]:
        x = ((images * 2 - 1).expand(-1, 3, -1, -1) - self.shift) / self.scale
        taps = []
        for layer in self.features:
            x = layer(x)
            if isinstance(layer, nn.ReLU):
                taps.append(x)
        return taps


def _read(path: Path) -> dict[str, Any]:
    if not path.is_file():
        raise ModelError(f"No LPIPS weights at {path}.", "Give the paths of both files.")
    state: dict[str, Any] = torch.load(path, map_location="cpu", weights_only=True)
    return state
