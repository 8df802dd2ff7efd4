"""The preconditioned denoiser of Karras et al. 2022 and its deterministic log-σ solver."""

from __future__ import annotations

import math
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
    order: int = 3,
    callback: StepCallback | None = None,
) -> Tensor:
    """Follow the probability-flow ODE along `sigmas`, upwards to invert or downwards to render.

    x: (B, 1, H, W) at level sigmas[0]; returned at level sigmas[-1], float32.
    order 1 is DDIM; 2 and 3 are DPM-Solver++'s multistep methods 2M (Lu et al. 2022, algorithm 2)
    and 3M, whose first steps are of lower order. Each step costs one evaluation.
    """
    levels = [-math.log(s) for s in sigmas.double().tolist()]
    steps = len(levels) - 1
    earlier: list[tuple[Tensor, float]] = []  # (x̂₀, λ = -ln σ) of the steps before, latest first
    for i in range(steps):
        denoised = denoise(x, i)
        h = levels[i + 1] - levels[i]
        target = _extrapolated(denoised, levels[i], h, earlier[: order - 1])
        x = math.exp(-h) * x - math.expm1(-h) * target
        earlier = [(denoised, levels[i]), *earlier[:1]]
        if callback is not None:
            callback(i + 1, steps)
    return x


def _extrapolated(
    denoised: Tensor, level: float, h: float, earlier: list[tuple[Tensor, float]]
) -> Tensor:
    """The constant x̂₀ that moves x as far as a polynomial through x̂₀ now and before would.

    h: the step ahead in λ. With one earlier value the polynomial is a line, whose weight ½ is that
    of 2M; with two a parabola in Newton's form, integrated exactly as in 3M.
    """
    if not earlier:
        return denoised
    (last, last_level), *rest = earlier
    first_slope = (denoised - last) * (h / (level - last_level))
    if not rest:
        return denoised + 0.5 * first_slope
    before, before_level = rest[0]
    second_slope = (last - before) * (h / (last_level - before_level))
    near, far = (level - last_level) / h, (level - before_level) / h
    bend = (first_slope - second_slope) / far
    whole = -math.expm1(-h)
    linear = 1 - whole / h
    quadratic = linear / h - 0.5
    return denoised + (linear * (first_slope + near * bend) - quadratic * bend) / whole
