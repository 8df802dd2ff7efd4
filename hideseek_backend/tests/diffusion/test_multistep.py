"""The multistep solver against exact solutions: x_T itself, both ways, and its order."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import Tensor

from hideseek_backend.diffusion import edm, multistep, reference
from hideseek_backend.errors import OptionError

BARS = reference.alpha_bars()
MEAN, STD = 0.2, 0.15


def grid(steps: int, depth: float = 1.0) -> list[float]:
    return list(BARS[list(multistep.log_snr_timesteps(BARS, steps, depth))])


def gaussian(levels: list[float]) -> reference.PredictNoise:
    """The exact predictor of data N(MEAN, STD²): the posterior mean is linear in x."""

    def predict(x: Tensor, i: int) -> Tensor:
        a, s = levels[i] ** 0.5, (1 - levels[i]) ** 0.5
        image = MEAN + a * STD**2 * (x - a * MEAN) / (a**2 * STD**2 + s**2)
        return (x - a * image) / s

    return predict


def exact(x: Tensor, start: float, end: float) -> Tensor:
    """The probability-flow solution for N(MEAN, STD²): quantiles keep their place."""
    spread = [(level * STD**2 + 1 - level) ** 0.5 for level in (start, end)]
    return end**0.5 * MEAN + (x - start**0.5 * MEAN) * spread[1] / spread[0]


def mixture(levels: list[float]) -> reference.PredictNoise:
    """The exact predictor of data at -0.5 or 0.5, each with STD 0.1: not linear."""

    def predict(x: Tensor, i: int) -> Tensor:
        a, s = levels[i] ** 0.5, (1 - levels[i]) ** 0.5
        spread = a**2 * 0.1**2 + s**2
        centres = torch.tensor([-0.5, 0.5], dtype=x.dtype)
        apart = x[..., None] - a * centres
        share = torch.softmax(-0.5 * apart**2 / spread, dim=-1)
        image = (share * (centres + a * 0.1**2 * apart / spread)).sum(-1)
        return (x - a * image) / s

    return predict


@pytest.mark.parametrize("steps", [5, 16, 24, 100, 999])
@pytest.mark.parametrize("depth", [0.4, 1.0])
def test_grid_rises_through_whole_timesteps(steps: int, depth: float) -> None:
    if steps == 999 and depth < 1:
        with pytest.raises(OptionError):
            multistep.log_snr_timesteps(BARS, steps, depth)
        return
    chosen = multistep.log_snr_timesteps(BARS, steps, depth)
    assert len(chosen) == steps + 1
    assert chosen[0] == 0
    assert all(b > a for a, b in zip(chosen, chosen[1:], strict=False))
    assert (chosen[-1] == 999) == (depth == 1)
    if steps <= 24:  # uniform in log-SNR, but for the image's end
        logs = np.log(1 / BARS[list(chosen)] - 1)
        assert np.ptp(np.diff(logs)[steps // 3 :]) < 0.35


@pytest.mark.parametrize("steps", [12, 24])
def test_x_t_itself_is_the_exact_one(steps: int) -> None:
    levels = grid(steps)
    x = torch.linspace(-0.2, 0.6, 9, dtype=torch.float64).reshape(1, 1, 3, 3)
    x_t = multistep.invert(gaussian(levels), x, levels)
    error = (x_t - exact(x, levels[0], levels[-1])).abs().max()
    assert error < {12: 0.07, 24: 0.015}[steps]


def test_both_directions_are_each_other_s_inverse() -> None:
    levels = grid(24)
    x = torch.linspace(-0.2, 0.6, 9).reshape(1, 1, 3, 3)
    back = multistep.render(gaussian(levels), multistep.invert(gaussian(levels), x, levels), levels)
    torch.testing.assert_close(back, x, rtol=0, atol=0.01)
    levels = grid(24, 0.5)
    back = multistep.render(gaussian(levels), multistep.invert(gaussian(levels), x, levels), levels)
    torch.testing.assert_close(back, x, rtol=0, atol=0.01)


def test_error_falls_fast_with_the_steps() -> None:
    x_t = torch.linspace(-2, 2, 16, dtype=torch.float64).reshape(1, 1, 4, 4)
    errors = []
    for steps in (16, 24, 48):
        levels = grid(steps)
        image = multistep.render(gaussian(levels), x_t, levels)
        errors.append((image - exact(x_t, levels[-1], levels[0])).abs().max().item())
    # Three times the steps: 27 times less, but for what rounding to whole timesteps costs.
    assert errors[1] < errors[0] / 3
    assert errors[2] < errors[0] / 12


def test_a_few_steps_match_a_converged_solve_of_a_mixture() -> None:
    x = torch.linspace(-0.7, 0.7, 16, dtype=torch.float64).reshape(1, 1, 4, 4)
    fine, coarse = grid(900), grid(24)
    target = multistep.invert(mixture(fine), x, fine)
    fast = multistep.invert(mixture(coarse), x, coarse)
    assert (fast - target).abs().median() < 0.03
    ddim = list(BARS[list(reference.respaced_timesteps(25))])
    plain = reference.invert(mixture(ddim), x, ddim)
    assert (fast - target).abs().mean() < 0.5 * (plain - target).abs().mean()


def test_clamping_is_the_reference_s() -> None:
    levels = grid(16)
    x = torch.full((1, 1, 2, 2), 1.3)

    def predict(x: Tensor, i: int) -> Tensor:
        return (x - levels[i] ** 0.5 * 1.3) / (1 - levels[i]) ** 0.5

    clamped = multistep.invert(predict, x, levels)
    assert clamped.min() > 10  # what the clamp cuts off becomes noise
    free = multistep.invert(predict, x, levels, clamp=False)
    assert free.abs().max() < 0.1


@pytest.mark.parametrize("order", [1, 2, 3])
def test_orders_of_the_solver_in_sigma(order: int) -> None:
    """On a smooth grid of N(0, 1) data; the start, of lower order, limits the third."""
    errors = []
    for steps in (20, 40):
        sigmas = torch.linspace(np.log(0.02), np.log(40), steps + 1, dtype=torch.float64).exp()
        x = torch.ones(1, 1, 1, 1, dtype=torch.float64)

        def denoise(x: Tensor, i: int, levels: Tensor = sigmas) -> Tensor:
            return x / (1 + levels[i] ** 2)

        solved = edm.solve(denoise, x, sigmas, order=order)
        exact_value = ((1 + sigmas[-1] ** 2) / (1 + sigmas[0] ** 2)).sqrt()
        errors.append(abs(float(solved / exact_value) - 1))
    assert errors[1] < errors[0] / {1: 1.7, 2: 3.2, 3: 3.8}[order]
    assert errors[0] < {1: 0.2, 2: 0.03, 3: 0.005}[order]


def test_every_order_takes_one_evaluation_a_step() -> None:
    for order in (1, 2, 3):
        seen: list[int] = []

        def denoise(x: Tensor, i: int, seen: list[int] = seen) -> Tensor:
            seen.append(i)
            return 0.5 * x

        edm.solve(denoise, torch.ones(1, 1, 1, 1), torch.tensor([0.1, 0.4, 1.0, 3.0]), order=order)
        assert seen == [0, 1, 2]
