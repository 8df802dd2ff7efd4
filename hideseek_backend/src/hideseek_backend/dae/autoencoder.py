"""The diffusion autoencoder: encode, invert, render."""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from hideseek_backend.dae.config import DaeConfig
from hideseek_backend.dae.graphs import GraphedForward
from hideseek_backend.dae.process import Edm, Solver, Way, process_of
from hideseek_backend.dae.unet import Modulations, UNet
from hideseek_backend.diffusion import edm
from hideseek_backend.diffusion.edm import StepCallback

DEFAULT_STEPS: dict[Solver, tuple[int, int]] = {"ddim": (250, 100), "multistep": (20, 20)}
"""Inversion and rendering steps: the paper's for DDIM, measured ones for the multistep solver."""


class DiffusionAutoencoder(nn.Module):
    """z_sem and x_T of a slice, and the way back (Preechakul et al. 2022).

    Images are (B, 1, S, S) in model intensity, axes (posterior, superior); z is (B, z_channels);
    x_T is (B, 1, S, S), about standard normal. All three methods are deterministic and run without
    gradients.

    `graphed`, if set, replays the network in half precision; see `dae.graphs`.
    """

    def __init__(self, config: DaeConfig) -> None:
        super().__init__()
        self.config = config
        self.process = process_of(config)
        self.network = UNet(config)
        self.graphed: GraphedForward | None = None

    @torch.inference_mode()
    def encode(self, images: Tensor) -> Tensor:
        """Return z: (B, z_channels) float32 of images: (B, 1, S, S)."""
        return self.semantic(images).float()

    @torch.inference_mode()
    def invert(
        self,
        images: Tensor,
        z: Tensor,
        steps: int | None = None,
        *,
        solver: Solver = "multistep",
        depth: float = 1.0,
        half: torch.dtype | None = None,
        callback: StepCallback | None = None,
    ) -> Tensor:
        """Return the stochastic code x_T: (B, 1, S, S) of images under z (eq. 8 of Preechakul).

        depth: share of the noise range to climb; below 1 only `render` with the same depth and
        steps returns from there.
        half: lowers the network's precision inside the "multistep" solver only. Its state stays
        float32, and so do "ddim" and `encode`, whose last digits decide scores.
        """
        steps = DEFAULT_STEPS[solver][0] if steps is None else steps
        way = self.process.up(steps, solver, depth)
        return self._follow(way, images, z, None if solver == "ddim" else half, callback)

    @torch.inference_mode()
    def render(
        self,
        x_T: Tensor,
        z: Tensor,
        steps: int | None = None,
        *,
        solver: Solver = "multistep",
        depth: float = 1.0,
        half: torch.dtype | None = None,
        callback: StepCallback | None = None,
    ) -> Tensor:
        """Return the images: (B, 1, S, S) that x_T and z stand for."""
        steps = DEFAULT_STEPS[solver][1] if steps is None else steps
        way = self.process.down(steps, solver, depth)
        return self._follow(way, x_T, z, None if solver == "ddim" else half, callback)

    # The differentiable pieces, which training shares.

    def semantic(self, images: Tensor) -> Tensor:
        """Encode images: (B, 1, S, S) in model intensity, with gradients."""
        return self.network.encoder(self._fold(self.process.encoded(images)))

    def denoise(self, x: Tensor, sigma: Tensor, time: Modulations, z: Modulations) -> Tensor:
        """Return x̂₀: (B, 1, S, S) of standardised x at noise level sigma ("edm"), with gradients.

        sigma: (B,) or (1,); the modulations belong to it and to z.
        """
        c_skip, c_out, c_in = (c[:, None, None, None] for c in edm.preconditioning(sigma))
        prediction = self.predict(c_in * x, time, z)
        return c_skip * x + c_out * prediction.float()

    def predict(self, x: Tensor, time: Modulations, z: Modulations) -> Tensor:
        """Run the UNet on x: (B, 1, S, S), folding and unfolding patches."""
        # Only in half precision: float32 is the reference protocol, which runs as its authors do.
        lowered = torch.is_autocast_enabled(x.device.type) and not torch.is_grad_enabled()
        forward = self.graphed if self.graphed is not None and lowered else self.network
        out = forward(self._fold(x), time, z)
        return F.pixel_shuffle(out, self.config.patch) if self.config.patch > 1 else out

    def standardise(self, images: Tensor) -> Tensor:
        """Model intensity to zero mean and unit variance, as the "edm" networks are fed."""
        return Edm(self.config).standardise(images)

    def _fold(self, x: Tensor) -> Tensor:
        return F.pixel_unshuffle(x, self.config.patch) if self.config.patch > 1 else x

    def _follow(
        self,
        way: Way,
        x: Tensor,
        z: Tensor,
        half: torch.dtype | None,
        callback: StepCallback | None,
    ) -> Tensor:
        """Go a way with the network bound to z; both conditions are embedded once."""
        levels = way.levels.to(x.device)
        with _precision(x, half):
            # One by one where the reference is followed: in one batch they round otherwise, which
            # a badly conditioned network amplifies.
            parts = [levels] if way.at_once else levels.split(1)
            each = [self.network.time_modulations(part) for part in parts]
            times = (
                [[t[i : i + 1] for t in each[0]] for i in range(len(levels))]
                if way.at_once
                else each
            )
            z_modulations = self.network.z_modulations(z)

        def predict(x: Tensor, i: int) -> Tensor:
            with _precision(x, half):
                return self.predict(x, times[i], z_modulations).float()

        return way.follow(predict, x, callback)


def _precision(x: Tensor, half: torch.dtype | None) -> AbstractContextManager[object]:
    return nullcontext() if half is None else torch.autocast(x.device.type, dtype=half)
