"""The architecture of a diffusion autoencoder, as plain numbers that a model folder stores."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from typing import Any, Literal

from hideseek_backend.errors import ModelError

Parametrization = Literal["eps", "edm"]


@dataclass(frozen=True)
class DaeConfig:
    """Architecture of one diffusion autoencoder (Preechakul et al. 2022, "BeatGANs" autoencoder).

    image_size: side of the square input in pixels.
    patch: side of the pixel-unshuffle in front of both networks; 1 feeds pixels as they are.
    channel_mult, encoder_channel_mult: channels of each resolution level over the base channels;
        every level after the first halves the resolution. Fractions are rounded down to channels.
    attention_resolutions: sides (in network pixels, after `patch`) at which attention follows
        each residual block. The middle blocks always hold one.
    attention_heads: heads of every attention block.
    encoder_grid: side of the adaptive average pool in front of the last encoder layer. 1 is the
        published network; a larger grid lets z know where a finding lies.
    parametrization: "eps" predicts the noise on the linear-beta schedule of the reference;
        "edm" is the preconditioned denoiser of Karras et al. 2022 on standardised images.
    data_mean, data_std: standardisation of model intensities for "edm" (unused by "eps").
    sigma_min, sigma_max: the noise levels between which "edm" inverts and renders.
    """

    image_size: int = 64
    in_channels: int = 1
    patch: int = 1
    base_channels: int = 64
    channel_mult: tuple[float, ...] = (1, 2, 4, 8)
    res_blocks: int = 2
    attention_resolutions: tuple[int, ...] = (16,)
    attention_heads: int = 1
    z_channels: int = 512
    embed_channels: int = 512
    norm_groups: int = 32
    dropout: float = 0.1
    encoder_base_channels: int = 64
    encoder_channel_mult: tuple[float, ...] = (1, 2, 4, 8, 8)
    encoder_res_blocks: int = 2
    encoder_attention_resolutions: tuple[int, ...] = (16,)
    encoder_grid: int = 1
    parametrization: Parametrization = "eps"
    data_mean: float = 0.0
    data_std: float = 1.0
    sigma_min: float = 0.02
    sigma_max: float = 40.0

    def to_dict(self) -> dict[str, Any]:
        """Return the configuration as JSON-ready values."""
        return {k: list(v) if isinstance(v, tuple) else v for k, v in asdict(self).items()}

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> DaeConfig:
        """Read a configuration written by `to_dict`.

        Raises ModelError on an unknown key or an unknown parametrisation, so that a model made by
        a newer version is never run as something it is not.
        """
        known = {f.name for f in fields(cls)}
        unknown = sorted(set(values) - known)
        if unknown:
            raise ModelError(
                f"The model's architecture has unknown entries: {', '.join(unknown)}.",
                "Update hideseek_backend, or fetch the model again.",
            )
        given: dict[str, Any] = {
            k: tuple(v) if isinstance(v, list) else v for k, v in values.items()
        }
        config = cls(**given)
        if config.parametrization not in ("eps", "edm"):
            raise ModelError(
                f"Unknown parametrisation {config.parametrization!r}: expected 'eps' or 'edm'.",
                "Update hideseek_backend, or fetch the model again.",
            )
        return config
