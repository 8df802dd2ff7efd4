"""The reference's noise schedule and DDIM, in both directions (Song et al. 2021, eq. 12).

Pure functions of a noise predictor: no device, no file, no network class.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import torch
from torch import Tensor

from hideseek_backend.diffusion.edm import StepCallback
from hideseek_backend.errors import OptionError

TIMESTEPS = 1000

PredictNoise = Callable[[Tensor, int], Tensor]
"""(x at the i-th step's timestep, i) -> predicted noise ε, both (B, 1, H, W)."""


def alpha_bars(timesteps: int = TIMESTEPS) -> np.ndarray:
    """ᾱ of betas rising linearly from 1e-4 to 0.02 (Ho et al. 2020): (timesteps,) float64."""
    scale = 1000 / timesteps
    return np.cumprod(1 - np.linspace(scale * 1e-4, scale * 0.02, timesteps))


def respaced_timesteps(steps: int, timesteps: int = TIMESTEPS) -> tuple[int, ...]:
    """Return the timesteps 0, s, 2s … for the first whole stride s that gives exactly `steps`.

    Raises OptionError when no stride does (300 of 1,000, for example).
    """
    for stride in range(1, timesteps + 1):
        chosen = range(0, timesteps, stride)
        if len(chosen) == steps:
            return tuple(chosen)
        if len(chosen) < steps:
            break
    raise OptionError(
        f"No whole stride through {timesteps} timesteps takes {steps} steps.",
        "Choose 10, 20, 25, 40, 50, 100, 125, 200, 250, 500 or 1000, for example.",
    )


def invert(
    predict: PredictNoise,
    x: Tensor,
    levels: Sequence[float],
    end: float = 0.0,
    *,
    callback: StepCallback | None = None,
) -> Tensor:
    """Climb from the image to the noise: `predict(x, i)` belongs to levels[i].

    x: (B, 1, H, W), taken to be at levels[0] as it is. levels: ᾱ, falling. end: ᾱ after the last
    step; 0, as the reference appends, returns the predicted noise itself.
    """
    return _walk(predict, x, levels, [*levels[1:], end], range(len(levels)), callback)


def render(
    predict: PredictNoise,
    x: Tensor,
    levels: Sequence[float],
    *,
    callback: StepCallback | None = None,
) -> Tensor:
    """Descend from the noise to the image: x is at levels[-1]; the last step ends at ᾱ = 1."""
    order = range(len(levels) - 1, -1, -1)
    return _walk(predict, x, levels, [1.0, *levels[:-1]], order, callback)


def _walk(
    predict: PredictNoise,
    x: Tensor,
    levels: Sequence[float],
    targets: Sequence[float],
    order: Sequence[int],
    callback: StepCallback | None,
) -> Tensor:
    weights = step_weights(levels, targets).to(x.device)
    for done, i in enumerate(order, start=1):
        x = ddim_step(x, predict(x, i), weights[i])
        if callback is not None:
            callback(done, len(order))
    return x


def step_weights(levels: Sequence[float], targets: Sequence[float]) -> Tensor:
    """Return (N, 4) float32: 1/√ᾱ, √(1/ᾱ - 1), √ᾱ', √(1 - ᾱ') of steps from levels to targets.

    Rounded where the reference rounds: the last two are roots of float32 numbers, which matters
    near ᾱ' = 1.
    """
    bars = np.asarray(levels, dtype=np.float64)
    ends = torch.tensor(np.asarray(targets, dtype=np.float64), dtype=torch.float32)
    starts = torch.tensor(np.stack([np.sqrt(1 / bars), np.sqrt(1 / bars - 1)]))
    return torch.stack([*starts.float(), ends.sqrt(), (1 - ends).sqrt()], dim=1)


def ddim_step(x: Tensor, noise: Tensor, weights: Tensor) -> Tensor:
    """Move x by one step of `step_weights`: (4,).

    The predicted image is clamped to [-1, 1] and the noise recomputed from it, as the reference
    does in both directions.
    """
    # Spread out, because torch divides by a single number as it multiplies by its inverse, and
    # results that are to be the reference's to the last bit then differ.
    inverse, ratio, to_image, to_noise = (w.expand(x.shape) for w in weights)
    image = (inverse * x - ratio * noise).clamp(-1, 1)
    return image * to_image + to_noise * ((inverse * x - image) / ratio)
