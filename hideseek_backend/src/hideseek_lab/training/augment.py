"""Augmentation of slices for training the autoencoder (paper, table 3)."""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Generator, Tensor


@dataclass(frozen=True)
class Augmentation:
    """Random in-plane changes; the defaults are the paper's.

    Each of rotation, flip, zoom and noise is applied to a slice with `probability`.
    rotation_deg: largest angle either way. zoom: range of scales (above 1 enlarges).
    flip_probability: of mirroring axis 0, which swaps anterior and posterior.
    noise: standard deviation in model intensity. shift_px: largest shift either way.
    contrast: range of factors on the distance from `contrast_pivot`, in model intensity; not in the
        paper. It keeps the classifier from reading bone density as disease.
    sharpness: range of the share of a 3 × 3 high-pass that is added (negative blurs), which stands
        for reconstruction kernels; not in the paper.
    """

    probability: float = 0.5
    rotation_deg: float = 33.0
    flip_probability: float = 0.5
    zoom: tuple[float, float] = (0.85, 1.15)
    noise: float = 0.015
    shift_px: float = 0.0
    contrast: tuple[float, float] = (1.0, 1.0)
    contrast_pivot: float = 0.0
    sharpness: tuple[float, float] = (0.0, 0.0)


def augment(images: Tensor, config: Augmentation, generator: Generator) -> Tensor:
    """Return randomly changed copies of images: (B, 1, S, S), axes (posterior, superior).

    One affine resampling a slice (bilinear, border replicated), then noise.
    """
    batch, side = images.shape[0], images.shape[-1]

    def uniform(low: float, high: float) -> Tensor:
        return torch.rand(batch, generator=generator) * (high - low) + low

    def chosen(probability: float) -> Tensor:
        return torch.rand(batch, generator=generator) < probability

    zero, one = torch.zeros(batch), torch.ones(batch)
    angle = torch.where(
        chosen(config.probability), uniform(-config.rotation_deg, config.rotation_deg), zero
    ).deg2rad()
    scale = torch.where(chosen(config.probability), uniform(*config.zoom), one)
    flip = torch.where(chosen(config.flip_probability), -one, one)
    shift = [uniform(-1, 1) * config.shift_px * 2 / side for _ in range(2)]
    cos, sin = angle.cos() / scale, angle.sin() / scale
    # affine_grid's first coordinate runs along the last axis (superior), the second along axis 0.
    theta = torch.stack(
        [
            torch.stack([cos, -sin * flip, shift[0]], dim=1),
            torch.stack([sin, cos * flip, shift[1]], dim=1),
        ],
        dim=1,
    )
    grid = F.affine_grid(theta, [batch, 1, side, side], align_corners=False)
    out = F.grid_sample(images, grid, padding_mode="border", align_corners=False)
    amount = torch.where(chosen(config.probability), uniform(*config.sharpness), zero)
    low_pass = F.avg_pool2d(F.pad(out, (1, 1, 1, 1), mode="replicate"), 3, stride=1)
    out = out + (out - low_pass) * amount[:, None, None, None]
    factor = torch.where(chosen(config.probability), uniform(*config.contrast), one)
    out = config.contrast_pivot + (out - config.contrast_pivot) * factor[:, None, None, None]
    sigma = torch.where(chosen(config.probability), one * config.noise, zero)
    return out + torch.randn(out.shape, generator=generator) * sigma[:, None, None, None]
