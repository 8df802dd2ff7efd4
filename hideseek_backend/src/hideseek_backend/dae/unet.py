"""The conditional UNet: a noisy slice, its noise level and z to a prediction of the same shape."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from hideseek_backend.dae.blocks import (
    AttentionBlock,
    GroupNorm32,
    ResBlock,
    sinusoidal_embedding,
    zero_module,
)
from hideseek_backend.dae.config import DaeConfig
from hideseek_backend.dae.encoder import SemanticEncoder

Modulations = list[Tensor]


class TimeEmbedding(nn.Module):
    """Two linear layers over the sinusoidal embedding of the noise level."""

    def __init__(self, channels: int, embed_channels: int) -> None:
        super().__init__()
        self.channels = channels
        self.time_embed = nn.Sequential(
            nn.Linear(channels, embed_channels),
            nn.SiLU(),
            nn.Linear(embed_channels, embed_channels),
        )

    def forward(self, t: Tensor) -> Tensor:
        embedding = sinusoidal_embedding(t, self.channels)
        return self.time_embed(embedding.to(next(self.time_embed.parameters()).dtype))


class UNet(nn.Module):
    """diffae's autoencoder network: this UNet with the semantic encoder as a child.

    The modulations by noise level and by z do not depend on the image: `time_modulations` and
    `z_modulations` compute them once a step and once a sample, so that a solver pays for them once.
    """

    def __init__(self, config: DaeConfig) -> None:
        super().__init__()
        groups, base = config.norm_groups, config.base_channels
        heads = config.attention_heads
        side = config.image_size // config.patch
        image_channels = config.in_channels * config.patch**2
        attention = config.attention_resolutions

        def block(n_in: int, n_out: int, mode: str = "none") -> ResBlock:
            return ResBlock(
                n_in,
                n_out,
                groups=groups,
                embed_channels=config.embed_channels,
                z_channels=config.z_channels,
                dropout=config.dropout,
                mode=mode,  # type: ignore[arg-type]
            )

        self.time_embed = TimeEmbedding(base, config.embed_channels)
        channels = int(base * config.channel_mult[0])
        down = [nn.ModuleList([nn.Conv2d(image_channels, channels, 3, padding=1)])]
        skips = [channels]
        last = len(config.channel_mult) - 1
        for level, mult in enumerate(config.channel_mult):
            width = int(mult * base)
            for _ in range(config.res_blocks):
                layers: list[nn.Module] = [block(channels, width)]
                channels = width
                if side in attention:
                    layers.append(AttentionBlock(channels, groups=groups, heads=heads))
                down.append(nn.ModuleList(layers))
                skips.append(channels)
            if level < last:
                side //= 2
                down.append(nn.ModuleList([block(channels, channels, "down")]))
                skips.append(channels)
        self.input_blocks = nn.ModuleList(down)
        self.middle_block = nn.ModuleList(
            [
                block(channels, channels),
                AttentionBlock(channels, groups=groups, heads=heads),
                block(channels, channels),
            ]
        )
        up = []
        for level in range(last, -1, -1):
            width = int(config.channel_mult[level] * base)
            for index in range(config.res_blocks + 1):
                layers = [block(channels + skips.pop(), width)]
                channels = width
                if side in attention:
                    layers.append(AttentionBlock(channels, groups=groups, heads=heads))
                if level > 0 and index == config.res_blocks:
                    side *= 2
                    layers.append(block(channels, channels, "up"))
                up.append(nn.ModuleList(layers))
        self.output_blocks = nn.ModuleList(up)
        self.out = nn.Sequential(
            GroupNorm32(groups, channels),
            nn.SiLU(),
            zero_module(nn.Conv2d(channels, image_channels, 3, padding=1)),
        )
        self.encoder = SemanticEncoder(config)
        self._conditioned = [m for m in self.modules() if isinstance(m, ResBlock) and m.conditioned]

    def time_modulations(self, t: Tensor) -> Modulations:
        """t: (B,) noise levels in embedding units; one (B, 2·channels) tensor a residual block."""
        embedding = self.time_embed(t)
        return [block.emb_layers(embedding) for block in self._conditioned]

    def z_modulations(self, z: Tensor) -> Modulations:
        """z: (B, z_channels); one (B, channels) tensor for each residual block."""
        return [block.cond_emb_layers(z) for block in self._conditioned]

    def forward(self, x: Tensor, time: Modulations, z: Modulations) -> Tensor:
        """Predict from x: (B, C·patch², H, W) and the modulations of the two methods above."""
        conditions = iter(zip(time, z, strict=True))

        def run(layers: nn.Module, h: Tensor) -> Tensor:
            for layer in layers.children():
                h = layer(h, *next(conditions)) if isinstance(layer, ResBlock) else layer(h)
            return h

        hidden = []
        for layers in self.input_blocks:
            x = run(layers, x)
            hidden.append(x)
        x = run(self.middle_block, x)
        for layers in self.output_blocks:
            x = run(layers, torch.cat([x, hidden.pop()], dim=1))
        return self.out(x)
