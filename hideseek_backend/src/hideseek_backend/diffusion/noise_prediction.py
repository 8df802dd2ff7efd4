"""Invert and render with an "eps" network: schedule, conditions computed once, choice of solver."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from hideseek_backend.diffusion import multistep, reference
from hideseek_backend.diffusion.edm import StepCallback
from hideseek_backend.diffusion.reference import PredictNoise
from hideseek_backend.errors import OptionError

if TYPE_CHECKING:
    from hideseek_backend.dae.autoencoder import DiffusionAutoencoder, Solver


def invert(
    dae: DiffusionAutoencoder,
    images: Tensor,
    z: Tensor,
    steps: int,
    *,
    solver: Solver = "multistep",
    depth: float = 1.0,
    callback: StepCallback | None = None,
) -> Tensor:
    """Return x_T: (B, 1, S, S) of images: (B, 1, S, S) under z: (B, z_channels).

    depth: share of the noise range to climb; `render` with the same depth and steps comes back.
    """
    bars = reference.alpha_bars()
    images = images.float()
    if solver == "multistep":
        timesteps = multistep.log_snr_timesteps(bars, steps, depth)
        predict = _predictor(dae, images, z, timesteps, solver)
        return multistep.invert(predict, images, list(bars[list(timesteps)]), callback=callback)
    timesteps, following = _ddim_timesteps(steps, depth)
    predict = _predictor(dae, images, z, timesteps, solver)
    end = 0.0 if following is None else float(bars[following])
    return reference.invert(predict, images, list(bars[list(timesteps)]), end, callback=callback)


def render(
    dae: DiffusionAutoencoder,
    x_T: Tensor,
    z: Tensor,
    steps: int,
    *,
    solver: Solver = "multistep",
    depth: float = 1.0,
    callback: StepCallback | None = None,
) -> Tensor:
    """Return the images: (B, 1, S, S) that x_T and z: (B, z_channels) stand for."""
    bars = reference.alpha_bars()
    x = x_T.float()
    if solver == "multistep":
        timesteps = multistep.log_snr_timesteps(bars, steps, depth)
        predict = _predictor(dae, x, z, timesteps, solver)
        return multistep.render(predict, x, list(bars[list(timesteps)]), callback=callback)
    timesteps, following = _ddim_timesteps(steps, depth)
    if following is not None:
        timesteps = (*timesteps, following)
    predict = _predictor(dae, x, z, timesteps, solver)
    return reference.render(predict, x, list(bars[list(timesteps)]), callback=callback)


def _ddim_timesteps(steps: int, depth: float) -> tuple[tuple[int, ...], int | None]:
    """Respaced timesteps up to `depth` of them, and the one where a partial inversion ends."""
    if not 0 < depth <= 1:
        raise OptionError(f"The inversion depth is a share in (0, 1], got {depth}.")
    chosen = reference.respaced_timesteps(steps)
    count = max(1, round(depth * steps))
    return chosen[:count], chosen[count] if count < steps else None


def _predictor(
    dae: DiffusionAutoencoder, x: Tensor, z: Tensor, timesteps: Sequence[int], solver: Solver
) -> PredictNoise:
    """Bind the network to z and to the grid: both conditions are embedded here, once a solve."""
    levels = torch.tensor(timesteps, dtype=torch.float32, device=x.device)
    with dae.precision(x, solver):
        # One by one: embedding all at once rounds otherwise than the reference, which a badly
        # conditioned network amplifies.
        times = [dae.network.time_modulations(level) for level in levels.split(1)]
        z_modulations = dae.network.z_modulations(z)

    def predict(x: Tensor, i: int) -> Tensor:
        with dae.precision(x, solver):
            return dae.predict(x, times[i], z_modulations).float()

    return predict
