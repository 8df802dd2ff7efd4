"""The log-σ solver against the exact flow of a Gaussian, whose denoiser is known."""

from __future__ import annotations

import pytest
import torch

from hideseek_backend.diffusion import edm

# Data N(0, s²): x̂₀ = x s² / (s² + σ²), and the flow keeps x / sqrt(s² + σ²).
S2 = 0.5


def _solve(x: torch.Tensor, sigmas: torch.Tensor, order: int) -> torch.Tensor:
    return edm.solve(lambda x, i: x * S2 / (S2 + sigmas[i] ** 2), x, sigmas, order=order)


def _exact(x: torch.Tensor, sigmas: torch.Tensor) -> torch.Tensor:
    return x * ((S2 + sigmas[-1] ** 2) / (S2 + sigmas[0] ** 2)).sqrt()


@pytest.mark.parametrize("upwards", [True, False])
@pytest.mark.parametrize(("order", "bound"), [(1, 0.12), (2, 0.02)])
def test_the_exact_flow_is_met(order: int, bound: float, upwards: bool) -> None:
    sigmas = edm.log_sigma_grid(0.02, 40.0, 32)
    sigmas = sigmas if upwards else sigmas.flip(0)
    x = torch.randn(2, 1, 8, 8) * (S2 + sigmas[0] ** 2).sqrt()
    error = (_solve(x, sigmas, order) / _exact(x, sigmas) - 1).abs().max()
    assert error < bound


def test_the_second_order_converges_as_one() -> None:
    errors = []
    for steps in (32, 64):
        sigmas = edm.log_sigma_grid(0.02, 40.0, steps)
        x = torch.ones(1, 1, 2, 2, dtype=torch.float64)
        ratio = _solve(x, sigmas.double(), 2) / _exact(x, sigmas.double())
        errors.append(float((ratio - 1).abs().max()))
    assert errors[0] / errors[1] > 2.8


def test_a_partial_grid_ends_part_of_the_way() -> None:
    whole = edm.log_sigma_grid(0.01, 100.0, 10)
    half = edm.log_sigma_grid(0.01, 100.0, 10, depth=0.5)
    assert whole[0].item() == pytest.approx(0.01)
    assert whole[-1].item() == pytest.approx(100.0, rel=1e-5)
    assert half[-1].item() == pytest.approx(1.0, rel=1e-5)


def test_the_callback_counts_and_may_stop() -> None:
    seen: list[tuple[int, int]] = []

    def stop(done: int, total: int) -> None:
        seen.append((done, total))
        if done == 3:
            raise KeyboardInterrupt

    sigmas = edm.log_sigma_grid(0.02, 40.0, 8)
    with pytest.raises(KeyboardInterrupt):
        edm.solve(lambda x, i: x, torch.zeros(1), sigmas, callback=stop)
    assert seen == [(1, 8), (2, 8), (3, 8)]
