"""Building blocks of the networks: norm, embedding, residual and attention blocks.

Parameter names follow guided-diffusion's, which published checkpoints use, so that a reference
state dict loads strictly.
"""

from __future__ import annotations

import math
from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

Resample = Literal["none", "up", "down"]


class GroupNorm32(nn.GroupNorm):
    """Group normalisation computed in float32 whatever the input's type, as the reference does.

    groups: at most; a layer of fewer channels has one group a channel.
    """

    def __init__(self, groups: int, channels: int) -> None:
        super().__init__(min(groups, channels), channels)

    def forward(self, input: Tensor) -> Tensor:
        if input.dtype == torch.float32:
            return super().forward(input)
        weight = self.weight.float() if self.weight is not None else None
        bias = self.bias.float() if self.bias is not None else None
        out = F.group_norm(input.float(), self.num_groups, weight, bias, self.eps)
        return out.to(input.dtype)


def sinusoidal_embedding(t: Tensor, channels: int) -> Tensor:
    """Embed noise levels t: (B,) as (B, channels), cosines first, periods up to 10,000."""
    half = channels // 2
    index = torch.arange(half, dtype=torch.float32, device=t.device)
    angles = t.float()[:, None] * torch.exp(-math.log(10_000.0) * index / half)[None]
    embedding = torch.cat([angles.cos(), angles.sin()], dim=1)
    return F.pad(embedding, (0, channels % 2))


def zero_module(module: nn.Module) -> nn.Module:
    """Zero a module's parameters: a residual branch that starts as the identity."""
    for parameter in module.parameters():
        nn.init.zeros_(parameter)
    return module


def resample(x: Tensor, mode: Resample) -> Tensor:
    """Double (nearest) or halve (mean of 2 × 2) the resolution of x: (B, C, H, W)."""
    if mode == "up":
        return F.interpolate(x, scale_factor=2.0, mode="nearest")
    if mode == "down":
        return F.avg_pool2d(x, 2)
    return x


class ResBlock(nn.Module):
    """Residual block, with or without the two conditions (noise level, then z).

    A conditioned block modulates after its second norm: h·(1 + scale_t) + shift_t, then
    h·(1 + scale_z) (Preechakul et al. 2022, eq. 7). An unconditioned one, as in the encoder, ends
    after its first convolution.
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        *,
        groups: int,
        embed_channels: int | None = None,
        z_channels: int | None = None,
        dropout: float = 0.0,
        mode: Resample = "none",
    ) -> None:
        super().__init__()
        self.mode: Resample = mode
        self.conditioned = embed_channels is not None and z_channels is not None
        self.in_layers = nn.Sequential(
            GroupNorm32(groups, in_channels),
            nn.SiLU(),
            nn.Conv2d(in_channels, out_channels, 3, padding=1),
        )
        if embed_channels is not None and z_channels is not None:
            self.emb_layers = nn.Sequential(nn.SiLU(), nn.Linear(embed_channels, 2 * out_channels))
            self.cond_emb_layers = nn.Sequential(nn.SiLU(), nn.Linear(z_channels, out_channels))
            self.out_layers = nn.Sequential(
                GroupNorm32(groups, out_channels),
                nn.SiLU(),
                nn.Dropout(dropout),
                zero_module(nn.Conv2d(out_channels, out_channels, 3, padding=1)),
            )
        self.skip_connection: nn.Module = (
            nn.Identity()
            if in_channels == out_channels
            else nn.Conv2d(in_channels, out_channels, 1)
        )

    def forward(
        self, x: Tensor, time_modulation: Tensor | None = None, z_modulation: Tensor | None = None
    ) -> Tensor:
        """x: (B, C, H, W); modulations from the UNet: (B or 1, 2·out) and (B or 1, out)."""
        norm, act, conv = self.in_layers.children()
        h = conv(resample(act(norm(x)), self.mode))
        if self.conditioned:
            if time_modulation is None or z_modulation is None:
                raise ValueError("a conditioned block needs both modulations")
            scale, shift = time_modulation[:, :, None, None].chunk(2, dim=1)
            out_norm, *rest = self.out_layers.children()
            h = out_norm(h)
            h = h * (1 + scale) + shift
            h = h * (1 + z_modulation[:, :, None, None])
            for layer in rest:
                h = layer(h)
        return self.skip_connection(resample(x, self.mode)) + h


class AttentionBlock(nn.Module):
    """Self-attention over all positions, with a zero-initialised residual.

    Each head's q, k and v lie side by side in `qkv`'s output, as in guided-diffusion.
    """

    def __init__(self, channels: int, *, groups: int, heads: int = 1) -> None:
        super().__init__()
        self.heads = heads
        self.norm = GroupNorm32(groups, channels)
        self.qkv = nn.Conv1d(channels, 3 * channels, 1)
        self.proj_out = zero_module(nn.Conv1d(channels, channels, 1))

    def forward(self, x: Tensor) -> Tensor:
        batch, channels, *space = x.shape
        flat = x.reshape(batch, channels, -1)
        qkv = self.qkv(self.norm(flat)).reshape(batch, self.heads, -1, flat.shape[2])
        q, k, v = qkv.transpose(2, 3).chunk(3, dim=3)
        attended = F.scaled_dot_product_attention(q, k, v).transpose(2, 3).reshape(flat.shape)
        return x + self.proj_out(attended).reshape(batch, channels, *space)
