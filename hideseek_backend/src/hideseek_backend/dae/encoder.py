"""The semantic encoder: a slice to z_sem."""

from __future__ import annotations

from torch import Tensor, nn

from hideseek_backend.dae.blocks import AttentionBlock, GroupNorm32, ResBlock
from hideseek_backend.dae.config import DaeConfig


class SemanticEncoder(nn.Module):
    """Encode a clean image as z_sem (Preechakul et al. 2022, section 3.2)."""

    def __init__(self, config: DaeConfig) -> None:
        super().__init__()
        groups, heads = config.norm_groups, config.attention_heads
        base = config.encoder_base_channels
        side = config.image_size // config.patch
        channels = int(base * config.encoder_channel_mult[0])
        in_channels = config.in_channels * config.patch**2
        blocks = [nn.Sequential(nn.Conv2d(in_channels, channels, 3, padding=1))]
        last = len(config.encoder_channel_mult) - 1
        for level, mult in enumerate(config.encoder_channel_mult):
            width = int(mult * base)
            for _ in range(config.encoder_res_blocks):
                layers: list[nn.Module] = [ResBlock(channels, width, groups=groups)]
                channels = width
                if side in config.encoder_attention_resolutions:
                    layers.append(AttentionBlock(channels, groups=groups, heads=heads))
                blocks.append(nn.Sequential(*layers))
            if level < last:
                side //= 2
                blocks.append(
                    nn.Sequential(ResBlock(channels, channels, groups=groups, mode="down"))
                )
        self.input_blocks = nn.ModuleList(blocks)
        self.middle_block = nn.Sequential(
            ResBlock(channels, channels, groups=groups),
            AttentionBlock(channels, groups=groups, heads=heads),
            ResBlock(channels, channels, groups=groups),
        )
        self.out = nn.Sequential(
            GroupNorm32(groups, channels),
            nn.SiLU(),
            nn.AdaptiveAvgPool2d(config.encoder_grid),
            nn.Conv2d(channels, config.z_channels, config.encoder_grid),
        )

    def forward(self, x: Tensor) -> Tensor:
        """x: (B, C·patch², H, W) as the autoencoder prepares it; returns z: (B, z_channels)."""
        for block in self.input_blocks:
            x = block(x)
        return self.out(self.middle_block(x)).flatten(1)
