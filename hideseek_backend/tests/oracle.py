"""A stand-in autoencoder whose every answer can be worked out by hand.

z holds the mean contrast of three known regions of the slice; x_T is the slice with those
contrasts taken out; rendering puts them back. So inversion, rendering and edits are exact.
"""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from hideseek_backend.attribution.classifier import LatentClassifier
from hideseek_backend.attribution.intensity import Window
from hideseek_backend.volumes.crops import VertebraBlock
from hideseek_backend.volumes.volume import Volume

LOW, HIGH = -250.0, 1250.0
MARROW_HU = 200.0
LYTIC_HU, BLASTIC_HU, BENIGN_HU = -150.0, 450.0, 300.0  # contrast to marrow

# (posterior, superior) boxes in a crop; the body is the box of 40 around (32, 32).
LYTIC = (slice(20, 26), slice(22, 30))
BLASTIC = (slice(34, 42), slice(30, 38))
BENIGN = (slice(24, 28), slice(40, 44))
REGIONS = (LYTIC, BLASTIC, BENIGN)
LESION_SLICES = range(29, 36)

PSR = np.array([[0.0, 0, 0.8, 0], [-0.8, 0, 0, 0], [0, 0.8, 0, 0], [0, 0, 0, 1]])


def region_mask(box: tuple[slice, slice]) -> NDArray[np.bool_]:
    """A region as bool (64, 64)."""
    mask = np.zeros((64, 64), dtype=bool)
    mask[box] = True
    return mask


class OracleAutoencoder:
    """Exact encode, invert and render; `calls` counts slices of each."""

    def __init__(self) -> None:
        masks = np.stack([region_mask(box) for box in REGIONS]).astype(np.float32)
        self.masks = torch.from_numpy(masks)
        self.marrow = (MARROW_HU - LOW) / (HIGH - LOW)
        self.calls = {"encode": 0, "invert": 0, "render": 0}
        self.gain = 1.0

    def encode(self, images: Tensor) -> Tensor:
        self.calls["encode"] += len(images)
        inside = (images - self.marrow) * self.masks
        return inside.sum(dim=(2, 3)) / self.masks.sum(dim=(1, 2))

    def _contrasts(self, z: Tensor) -> Tensor:
        return torch.einsum("nd,dhw->nhw", z, self.masks)[:, None]

    def invert(
        self,
        images: Tensor,
        z: Tensor,
        steps: int | None = None,
        *,
        solver: str = "multistep",
        half: torch.dtype | None = None,
        callback: Any = None,
    ) -> Tensor:
        return self._walked("invert", images - self._contrasts(z), steps, callback)

    def render(
        self,
        x_T: Tensor,
        z: Tensor,
        steps: int | None = None,
        *,
        solver: str = "multistep",
        half: torch.dtype | None = None,
        callback: Any = None,
    ) -> Tensor:
        """A gain below 1 puts back less than z says: an edit that is not fully realised."""
        images = x_T + self.gain * self._contrasts(z)
        return self._walked("render", images, steps, callback)

    def _walked(self, name: str, result: Tensor, steps: int | None, callback: Any) -> Tensor:
        self.calls[name] += len(result)
        for step in range(steps or 1):
            if callback is not None:
                callback(step + 1, steps)
        return result


def oracle_classifier(bias: float = -3.0) -> LatentClassifier:
    """Each lesion at its usual contrast adds 6 to the logit; the benign region adds nothing.

    The pattern has the benign region follow the lesions a little.
    """
    span = HIGH - LOW
    scale = np.array([-LYTIC_HU, BLASTIC_HU, BENIGN_HU]) / span
    return LatentClassifier(
        mean=np.zeros(3),
        scale=scale,
        weight=np.array([-6.0, 6.0, 0.0]),
        bias=bias,
        pattern=np.array([-1.0, 1.0, 0.2]),
    )


def oracle_model(bias: float = -3.0) -> Any:
    """A model around the stand-in, with a window as intensity map."""
    return SimpleNamespace(
        dae=OracleAutoencoder(),
        classifier=oracle_classifier(bias),
        device=torch.device("cpu"),
        hash="ab" * 32,
        spec=SimpleNamespace(name="oracle", defaults={}),
        intensity=Window(LOW, HIGH),
    )


def oracle_block(
    level: str = "T12",
    *,
    findings: tuple[str, ...] = ("lytic", "blastic"),
    cut: bool = False,
    slices: range = LESION_SLICES,
) -> VertebraBlock:
    """A body of 40³ voxels on a PSR grid of 0.8 mm whose index is the crop's, with findings."""
    hu = np.full((64, 64, 64), 40, dtype=np.int16)
    body = np.zeros(hu.shape, dtype=bool)
    body[12:53, 12:53, 12:53] = True
    hu[body] = int(MARROW_HU)
    contrast = {"lytic": LYTIC_HU, "blastic": BLASTIC_HU, "benign": BENIGN_HU}
    boxes = dict(zip(("lytic", "blastic", "benign"), REGIONS, strict=True))
    for name in findings:
        hu[(*boxes[name], slice(slices.start, slices.stop))] += int(contrast[name])
    affine = PSR.copy()
    affine[:3, 3] = (-10.0, 20.0, -300.0)
    return VertebraBlock(level, Volume(hu, affine), body.copy(), body, (0, 0, 0), cut)


def oracle_slices(*contrasts: tuple[float, float]) -> Tensor:
    """Slices with a lytic and a blastic region, each so many times as strong as usual."""
    dae = OracleAutoencoder()
    z = torch.zeros(len(contrasts), 3)
    scale = torch.tensor(oracle_classifier().scale, dtype=torch.float32)
    for i, (lytic, blastic) in enumerate(contrasts):
        z[i] = torch.tensor([-lytic, blastic, 0.0]) * scale
    return dae.render(torch.full((len(contrasts), 1, 64, 64), dae.marrow), z, 1)
