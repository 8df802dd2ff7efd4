"""Pseudo-healthy anomaly detection: an autoencoder that has seen healthy vertebrae only.

A slice is rebuilt by the network and what differs is taken for a lesion. Rebuilding under the
slice's own inverted x_T (the paper's way) is nearly the identity with an accurate solver, so that
x_T can also come from part of the way up, or be drawn.
"""

from __future__ import annotations

from typing import Any, Literal

import numpy as np
import torch
from numpy.typing import NDArray
from skimage.filters import threshold_otsu
from torch import Tensor

from hideseek_backend.dae import DiffusionAutoencoder
from hideseek_lab.scoring.instances import BLASTIC, LYTIC

NoiseSource = Literal["inverted", "partial", "drawn"]
Threshold = Literal["mean", "otsu"]
NOISES: tuple[NoiseSource, ...] = ("inverted", "partial", "drawn")
THRESHOLDS: tuple[Threshold, ...] = ("mean", "otsu")
_PARTIAL_DEPTH = 0.6
_DRAWS = 4


@torch.inference_mode()
def pseudo_healthy(
    dae: DiffusionAutoencoder,
    images: Tensor,
    noise: NoiseSource,
    *,
    invert_steps: int = 16,
    render_steps: int = 16,
    seed: int = 0,
) -> Tensor:
    """Rebuild slices with a healthy-only autoencoder.

    images: (B, 1, 64, 64) in the model's intensity. "inverted": x_T is the slice's own.
    "partial": noise is climbed part of the way only. "drawn": the mean over four random x_T.
    """
    z = dae.encode(images)
    if noise == "inverted":
        return dae.render(dae.invert(images, z, invert_steps), z, render_steps)
    if noise == "partial":
        generator = torch.Generator().manual_seed(seed)
        x_t = dae.invert(images, z, invert_steps, depth=_PARTIAL_DEPTH)
        # fresh noise in place of half the code: details of a lesion live in it
        fresh = torch.randn(x_t.shape, generator=generator).to(x_t) * x_t.std()
        return dae.render((x_t + fresh) * 0.5**0.5, z, invert_steps, depth=_PARTIAL_DEPTH)
    generator = torch.Generator().manual_seed(seed)
    drawn = [
        dae.render(torch.randn(images.shape, generator=generator).to(images), z, render_steps)
        for _ in range(_DRAWS)
    ]
    return torch.stack(drawn).mean(dim=0)


def anomaly_labels(
    image: NDArray[Any], healthy: NDArray[Any], body: NDArray[np.bool_], threshold: Threshold
) -> NDArray[np.uint8]:
    """Label a slice by its residual: darker than its healthy version is lytic, brighter blastic.

    image, healthy: (64, 64), one intensity; the threshold is taken over the positive residuals of
    each polarity inside the body.
    """
    labels = np.zeros(image.shape, dtype=np.uint8)
    residual = np.asarray(healthy, dtype=float) - np.asarray(image, dtype=float)
    for value, signed in ((LYTIC, residual), (BLASTIC, -residual)):
        positive = signed[body & (signed > 0)]
        if np.unique(positive).size < 2:
            continue
        limit = positive.mean() if threshold == "mean" else threshold_otsu(positive)
        labels[body & (signed > limit)] = value
    return labels
