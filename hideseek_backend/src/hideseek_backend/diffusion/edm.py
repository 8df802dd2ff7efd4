"""The preconditioned denoiser of Karras et al. 2022 and its deterministic log-σ solver."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

Denoise = Callable[[Tensor, int], Tensor]
"""(x at the grid's level i, i) -> the denoised x̂₀, both (B, 1, H, W)."""

StepCallback = Callable[[int, int], None]
"""(steps done, steps in all); may raise to stop the solve."""


def preconditioning(sigma: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Return c_skip, c_out, c_in for images of unit variance (Karras et al. 2022, table 1)."""
    variance = sigma.square() + 1
    return 1 / variance, sigma * variance.rsqrt(), variance.rsqrt()


def noise_embedding(sigma: Tensor) -> Tensor:
    """Noise level in the units of the sinusoidal embedding: 100 (ln σ + 7), about 0 to 1,100."""
    return 100 * (sigma.log() + 7)


def log_sigma_grid(sigma_min: float, sigma_max: float, steps: int, depth: float = 1.0) -> Tensor:
    """Noise levels from σ_min upwards, uniform in ln σ: (steps + 1,) float32.

    depth: share (0, 1] of the way to σ_max in ln σ; below 1 the inversion is partial.
    """
    low, high = torch.tensor([sigma_min, sigma_max], dtype=torch.float64).log()
    return (
        torch.linspace(0, 1, steps + 1, dtype=torch.float64)
        .mul(depth * (high - low))
        .add(low)
        .exp()
        .float()
    )


def solve(
    denoise: Denoise,
    x: Tensor,
    sigmas: Tensor,
    *,
    order: int = 2,
    callback: StepCallback | None = None,
) -> Tensor:
    """Follow the probability-flow ODE along `sigmas`, upwards to invert or downwards to render.

    x: (B, 1, H, W) at level sigmas[0]; returned at level sigmas[-1], float32.
    order 1 is DDIM; order 2 is DPM-Solver++(2M) (Lu et al. 2022, algorithm 2), whose first step is
    of order 1. Each step costs one evaluation.
    """
    levels = [float(s) for s in sigmas]
    previous: Tensor | None = None
    previous_h = 0.0
    steps = len(levels) - 1
    for i in range(steps):
        denoised = denoise(x, i)
        ratio = levels[i + 1] / levels[i]
        h = float(torch.log(torch.tensor(levels[i], dtype=torch.float64) / levels[i + 1]))
        target = denoised
        if order == 2 and previous is not None:
            target = denoised + (denoised - previous) * (h / (2 * previous_h))
        x = ratio * x + (1 - ratio) * target
        previous, previous_h = denoised, h
        if callback is not None:
            callback(i + 1, steps)
    return x
