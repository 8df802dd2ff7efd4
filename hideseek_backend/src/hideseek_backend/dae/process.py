"""The two parametrisations behind one interface: how images become noise and come back.

A process says along which noise levels a solver goes and what it makes of the network's answer
there; `DiffusionAutoencoder` binds the network to z and asks. The solvers in `diffusion` are pure
functions of callables.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal, Protocol

import torch
from torch import Tensor

from hideseek_backend.dae.config import DaeConfig
from hideseek_backend.diffusion import edm, multistep, reference
from hideseek_backend.diffusion.edm import StepCallback
from hideseek_backend.errors import OptionError

Solver = Literal["ddim", "multistep"]

Predict = Callable[[Tensor, int], Tensor]
"""(x (B, 1, S, S), i) -> the network's float32 answer at the way's i-th level, same shape."""


@dataclass(frozen=True, eq=False)
class Way:
    """One way through the noise levels, in one direction.

    levels: (N,) float32, each evaluation's noise level in embedding units. at_once: whether all of
    them are embedded in one batch; one by one they round as the reference does.
    follow: (predict, start (B, 1, S, S), callback) -> where the way ends, same shape.
    """

    levels: Tensor
    at_once: bool
    follow: Callable[[Predict, Tensor, StepCallback | None], Tensor]


class Process(Protocol):
    """What the autoencoder needs of a parametrisation; images are in model intensity.

    depth: share (0, 1] of the noise range to climb; below 1 only `down` with the same depth and
    steps returns from there.
    """

    def encoded(self, images: Tensor) -> Tensor:
        """Images as the encoder is fed."""
        ...

    def up(self, steps: int, solver: Solver, depth: float) -> Way:
        """From images to x_T."""
        ...

    def down(self, steps: int, solver: Solver, depth: float) -> Way:
        """From x_T to images."""
        ...


def process_of(config: DaeConfig) -> Process:
    """Return the process that a network of this configuration was trained for."""
    return Edm(config) if config.parametrization == "edm" else LinearBetas()


@dataclass(frozen=True)
class Edm:
    """The preconditioned denoiser of Karras et al. 2022 on standardised images."""

    config: DaeConfig

    def encoded(self, images: Tensor) -> Tensor:
        return self.standardise(images)

    def standardise(self, images: Tensor) -> Tensor:
        """Model intensity to zero mean and unit variance."""
        return (images.float() - self.config.data_mean) / self.config.data_std

    def up(self, steps: int, solver: Solver, depth: float) -> Way:
        sigmas = self._sigmas(steps, depth)

        def follow(predict: Predict, images: Tensor, callback: StepCallback | None) -> Tensor:
            x = _denoised(predict, self.standardise(images), sigmas, solver, callback)
            return x * (sigmas[-1] ** 2 + 1).rsqrt().to(x.device)

        return Way(edm.noise_embedding(sigmas), True, follow)

    def down(self, steps: int, solver: Solver, depth: float) -> Way:
        sigmas = self._sigmas(steps, depth).flip(0)

        def follow(predict: Predict, x_T: Tensor, callback: StepCallback | None) -> Tensor:
            x = x_T.float() * (sigmas[0] ** 2 + 1).sqrt().to(x_T.device)
            x = _denoised(predict, x, sigmas, solver, callback)
            return x * self.config.data_std + self.config.data_mean

        return Way(edm.noise_embedding(sigmas), True, follow)

    def _sigmas(self, steps: int, depth: float) -> Tensor:
        return edm.log_sigma_grid(self.config.sigma_min, self.config.sigma_max, steps, depth)


def _denoised(
    predict: Predict, x: Tensor, sigmas: Tensor, solver: Solver, callback: StepCallback | None
) -> Tensor:
    """Solve along `sigmas` with x̂₀ made of the preconditioned network (Karras et al., eq. 7)."""
    # As numbers: the device is never asked for one during the solve.
    c_skip, c_out, c_in = (c.tolist() for c in edm.preconditioning(sigmas))

    def denoise(x: Tensor, i: int) -> Tensor:
        return c_skip[i] * x + c_out[i] * predict(c_in[i] * x, i)

    return edm.solve(denoise, x, sigmas, order=1 if solver == "ddim" else 3, callback=callback)


@dataclass(frozen=True)
class LinearBetas:
    """The reference's noise prediction on linear betas, in model intensity as it is."""

    def encoded(self, images: Tensor) -> Tensor:
        return images

    def up(self, steps: int, solver: Solver, depth: float) -> Way:
        bars = reference.alpha_bars()
        if solver == "multistep":
            timesteps = multistep.log_snr_timesteps(bars, steps, depth)
            levels = list(bars[list(timesteps)])

            def follow(predict: Predict, images: Tensor, callback: StepCallback | None) -> Tensor:
                return multistep.invert(predict, images.float(), levels, callback=callback)

            return _way(timesteps, follow)
        timesteps, following = _ddim_timesteps(steps, depth)
        levels = list(bars[list(timesteps)])
        end = 0.0 if following is None else float(bars[following])

        def follow_ddim(predict: Predict, images: Tensor, callback: StepCallback | None) -> Tensor:
            return reference.invert(predict, images.float(), levels, end, callback=callback)

        return _way(timesteps, follow_ddim)

    def down(self, steps: int, solver: Solver, depth: float) -> Way:
        bars = reference.alpha_bars()
        if solver == "multistep":
            timesteps = multistep.log_snr_timesteps(bars, steps, depth)
            render: Callable[..., Tensor] = multistep.render
        else:
            timesteps, following = _ddim_timesteps(steps, depth)
            timesteps = timesteps if following is None else (*timesteps, following)
            render = reference.render
        levels = list(bars[list(timesteps)])

        def follow(predict: Predict, x_T: Tensor, callback: StepCallback | None) -> Tensor:
            return render(predict, x_T.float(), levels, callback=callback)

        return _way(timesteps, follow)


def _way(
    timesteps: tuple[int, ...],
    follow: Callable[[Predict, Tensor, StepCallback | None], Tensor],
) -> Way:
    return Way(torch.tensor(timesteps, dtype=torch.float32), False, follow)


def _ddim_timesteps(steps: int, depth: float) -> tuple[tuple[int, ...], int | None]:
    """Respaced timesteps up to `depth` of them, and the one where a partial inversion ends."""
    if not 0 < depth <= 1:
        raise OptionError(f"The inversion depth is a share in (0, 1], got {depth}.")
    respaced = reference.respaced_timesteps(steps)
    count = max(1, round(depth * steps))
    return respaced[:count], respaced[count] if count < steps else None
