"""A third-order solver for noise-predicting networks on a grid uniform in log-SNR.

With y = x / √ᾱ and σ = √(1/ᾱ - 1) a variance-preserving network is a denoiser of y = x₀ + σ ε, so
that `edm.solve` (DPM-Solver++(3M), Lu et al. 2022) serves it in both directions.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from hideseek_backend.diffusion import edm
from hideseek_backend.diffusion.edm import StepCallback
from hideseek_backend.diffusion.reference import PredictNoise
from hideseek_backend.errors import OptionError


def log_snr_timesteps(bars: np.ndarray, steps: int, depth: float = 1.0) -> tuple[int, ...]:
    """Return steps + 1 rising timesteps from 0, as near as whole ones come to uniform in log-SNR.

    bars: ᾱ of every timestep. depth: share (0, 1] of the log-SNR range to climb. The network was
    trained on whole timesteps, so none is interpolated; where the uniform grid asks for several
    points within one timestep (at the image's end) the grid moves on by one instead.
    """
    log_sigma = 0.5 * np.log(1 / bars - 1)
    top = log_sigma[0] + depth * (log_sigma[-1] - log_sigma[0])
    last = int(np.abs(log_sigma - top).argmin())
    if not 1 <= steps <= last:
        raise OptionError(f"Expected 1 to {last} steps, got {steps}.", "Choose fewer steps.")
    wanted = np.linspace(log_sigma[0], log_sigma[last], steps + 1)
    grid = np.abs(log_sigma[None] - wanted[:, None]).argmin(1)
    rank = np.arange(steps + 1)
    grid = np.maximum.accumulate(grid - rank) + rank
    grid = np.minimum(grid, last - (steps - rank))
    return tuple(int(t) for t in grid)


def invert(
    predict: PredictNoise,
    x: Tensor,
    levels: Sequence[float],
    *,
    clamp: bool = True,
    callback: StepCallback | None = None,
) -> Tensor:
    """Climb from the image at levels[0] (ᾱ) to the state x_T at levels[-1].

    `predict(x, i)` belongs to levels[i]; it is never asked for the last level. x_T is the state
    √ᾱ x₀ + √(1-ᾱ) ε that `render` starts from, not ε alone as in the reference (0.6 % of x₀ apart),
    so that the two directions are each other's inverse.
    """
    return _solve(predict, x, levels, clamp, callback)


def render(
    predict: PredictNoise,
    x: Tensor,
    levels: Sequence[float],
    *,
    clamp: bool = True,
    callback: StepCallback | None = None,
) -> Tensor:
    """Descend from x_T at levels[-1] to the image at levels[0]; the inverse of `invert`."""
    last = len(levels) - 1
    return _solve(lambda x, i: predict(x, last - i), x, levels[::-1], clamp, callback)


def _solve(
    predict: PredictNoise,
    x: Tensor,
    levels: Sequence[float],
    clamp: bool,
    callback: StepCallback | None,
) -> Tensor:
    bars = torch.tensor(levels, dtype=torch.float64)
    roots, sigmas = bars.sqrt().tolist(), (1 / bars - 1).sqrt()
    scales = sigmas.tolist()

    def denoise(y: Tensor, i: int) -> Tensor:
        image = y - scales[i] * predict(y * roots[i], i).float()
        return image.clamp(-1, 1) if clamp else image

    y = edm.solve(denoise, x.float() / roots[0], sigmas, callback=callback)
    return y * roots[-1]
