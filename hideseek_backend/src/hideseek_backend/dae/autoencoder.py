"""The diffusion autoencoder: encode, invert, render."""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext
from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from hideseek_backend.dae.config import DaeConfig
from hideseek_backend.dae.graphs import GraphedForward
from hideseek_backend.dae.unet import Modulations, UNet
from hideseek_backend.diffusion import edm
from hideseek_backend.diffusion.edm import StepCallback

Solver = Literal["ddim", "multistep"]

DEFAULT_STEPS: dict[Solver, tuple[int, int]] = {"ddim": (250, 100), "multistep": (20, 20)}
"""Inversion and rendering steps: the paper's for DDIM, measured ones for the multistep solver."""


class DiffusionAutoencoder(nn.Module):
    """z_sem and x_T of a slice, and the way back (Preechakul et al. 2022).

    Images are (B, 1, S, S) in model intensity, axes (posterior, superior); z is (B, z_channels);
    x_T is (B, 1, S, S), about standard normal. All three methods are deterministic and run without
    gradients.

    `autocast_dtype` (None: float32) lowers the network's precision inside the "multistep" solver
    only: its state stays float32, and so do "ddim" and `encode`, whose last digits decide scores.
    `graphed`, if set, replays the network then; see `dae.graphs`.
    """

    def __init__(self, config: DaeConfig) -> None:
        super().__init__()
        self.config = config
        self.network = UNet(config)
        self.autocast_dtype: torch.dtype | None = None
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
        callback: StepCallback | None = None,
    ) -> Tensor:
        """Return the stochastic code x_T: (B, 1, S, S) of images under z (eq. 8 of Preechakul).

        depth: share of the noise range to climb; below 1 only `render` with the same depth and
        steps returns from there.
        """
        steps = DEFAULT_STEPS[solver][0] if steps is None else steps
        if self.config.parametrization == "eps":
            from hideseek_backend.diffusion import noise_prediction

            return noise_prediction.invert(
                self, images, z, steps, solver=solver, depth=depth, callback=callback
            )
        sigmas = self._sigmas(steps, depth)
        x = self._edm_solve(self.standardise(images), z, sigmas, solver, callback)
        return x * (sigmas[-1] ** 2 + 1).rsqrt().to(x.device)

    @torch.inference_mode()
    def render(
        self,
        x_T: Tensor,
        z: Tensor,
        steps: int | None = None,
        *,
        solver: Solver = "multistep",
        depth: float = 1.0,
        callback: StepCallback | None = None,
    ) -> Tensor:
        """Return the images: (B, 1, S, S) that x_T and z stand for."""
        steps = DEFAULT_STEPS[solver][1] if steps is None else steps
        if self.config.parametrization == "eps":
            from hideseek_backend.diffusion import noise_prediction

            return noise_prediction.render(
                self, x_T, z, steps, solver=solver, depth=depth, callback=callback
            )
        sigmas = self._sigmas(steps, depth).flip(0)
        x = x_T.float() * (sigmas[0] ** 2 + 1).sqrt().to(x_T.device)
        return self.unstandardise(self._edm_solve(x, z, sigmas, solver, callback))

    # The differentiable pieces, which training shares.

    def semantic(self, images: Tensor) -> Tensor:
        """Encode images: (B, 1, S, S) in model intensity, with gradients."""
        x = self.standardise(images) if self.config.parametrization == "edm" else images
        return self.network.encoder(self._fold(x))

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
        graphed = self.graphed if self.autocast_dtype and not torch.is_grad_enabled() else None
        out = (graphed or self.network)(self._fold(x), time, z)
        return F.pixel_shuffle(out, self.config.patch) if self.config.patch > 1 else out

    def standardise(self, images: Tensor) -> Tensor:
        """Model intensity to zero mean and unit variance, as the "edm" networks are fed."""
        return (images.float() - self.config.data_mean) / self.config.data_std

    def unstandardise(self, x: Tensor) -> Tensor:
        """The inverse of `standardise`."""
        return x * self.config.data_std + self.config.data_mean

    def _fold(self, x: Tensor) -> Tensor:
        return F.pixel_unshuffle(x, self.config.patch) if self.config.patch > 1 else x

    def _sigmas(self, steps: int, depth: float) -> Tensor:
        return edm.log_sigma_grid(self.config.sigma_min, self.config.sigma_max, steps, depth)

    def _edm_solve(
        self, x: Tensor, z: Tensor, sigmas: Tensor, solver: Solver, callback: StepCallback | None
    ) -> Tensor:
        with self.precision(x, solver):
            times = self.network.time_modulations(edm.noise_embedding(sigmas.to(x.device)))
            z_modulations = self.network.z_modulations(z)
            # As numbers: the device is never asked for one during the solve.
            c_skip, c_out, c_in = (c.tolist() for c in edm.preconditioning(sigmas))

            def denoise(x: Tensor, i: int) -> Tensor:
                prediction = self.predict(c_in[i] * x, [t[i : i + 1] for t in times], z_modulations)
                return c_skip[i] * x + c_out[i] * prediction.float()

            return edm.solve(
                denoise, x, sigmas, order=1 if solver == "ddim" else 3, callback=callback
            )

    def precision(self, x: Tensor, solver: Solver) -> AbstractContextManager[object]:
        """Return the context that the network runs in under `solver`."""
        if self.autocast_dtype is None or solver == "ddim":
            return nullcontext()
        return torch.autocast(x.device.type, dtype=self.autocast_dtype)
