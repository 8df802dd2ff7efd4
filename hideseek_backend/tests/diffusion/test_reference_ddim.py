"""The reference's schedule, respacing and DDIM, on predictors whose answers are known."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import Tensor

from hideseek_backend.diffusion import reference
from hideseek_backend.errors import OptionError

BARS = reference.alpha_bars()


def test_schedule() -> None:
    assert BARS.shape == (1000,)
    assert BARS[0] == pytest.approx(1 - 1e-4)
    assert BARS[1] / BARS[0] == pytest.approx(1 - 1e-4 - (0.02 - 1e-4) / 999)
    assert BARS[-1] == pytest.approx(4.04e-5, rel=1e-2)


@pytest.mark.parametrize(
    ("steps", "stride", "last"),
    [(250, 4, 996), (100, 10, 990), (40, 25, 975), (20, 50, 950), (1000, 1, 999), (1, 1000, 0)],
)
def test_respacing_takes_the_first_whole_stride(steps: int, stride: int, last: int) -> None:
    chosen = reference.respaced_timesteps(steps)
    assert len(chosen) == steps
    assert chosen[-1] == last
    assert set(np.diff(chosen)) <= {stride}


def test_a_stride_that_is_not_the_obvious_one() -> None:
    # 1000 / 30 = 33.3: stride 33 gives 31 timesteps, 34 gives 30.
    assert reference.respaced_timesteps(30)[1] == 34


@pytest.mark.parametrize("steps", [0, 300, 600, 1001])
def test_steps_without_a_stride_are_refused(steps: int) -> None:
    with pytest.raises(OptionError, match=str(steps)):
        reference.respaced_timesteps(steps)


def levels(steps: int) -> list[float]:
    return list(BARS[list(reference.respaced_timesteps(steps))])


def constant_image(value: float, chosen: list[float]) -> reference.PredictNoise:
    """The exact predictor of data that are always `value`: ε = (x - √ᾱ value) / √(1 - ᾱ)."""

    def predict(x: Tensor, i: int) -> Tensor:
        return (x - chosen[i] ** 0.5 * value) / (1 - chosen[i]) ** 0.5

    return predict


def test_inversion_ends_with_the_noise_itself() -> None:
    """For one-point data every DDIM step is exact: x_T is the noise that the image has at ᾱ₀."""
    chosen = levels(40)
    x = torch.randn(2, 1, 8, 8, dtype=torch.float64) * 0.01 + 0.3
    noise = reference.invert(constant_image(0.3, chosen), x, chosen)
    expected = (x - chosen[0] ** 0.5 * 0.3) / (1 - chosen[0]) ** 0.5
    torch.testing.assert_close(noise, expected, rtol=1e-3, atol=1e-3)


def test_rendering_ends_with_the_image_itself() -> None:
    chosen = levels(20)
    x = torch.randn(2, 1, 8, 8)
    image = reference.render(constant_image(0.3, chosen), x, chosen)
    torch.testing.assert_close(image, torch.full_like(x, 0.3), rtol=0, atol=1e-4)


def test_a_prediction_beyond_one_is_clamped_in_both_directions() -> None:
    chosen = levels(20)
    x = torch.randn(1, 1, 8, 8)
    image = reference.render(constant_image(1.7, chosen), x, chosen)
    assert image.max() <= 1
    # Without clamping the noise of a pixel at 1.7 would be about 0; clamped, it is what is left.
    pixel = torch.full((1, 1, 1, 1), 1.7)
    noise = reference.invert(constant_image(1.7, chosen), pixel, chosen)
    assert noise.item() > 10


def test_steps_are_those_of_equation_12() -> None:
    """One step, written out."""
    now, following = BARS[500], BARS[525]
    x, eps = torch.tensor([[[[0.4]]]]), torch.tensor([[[[0.5]]]])
    weights = reference.step_weights([now], [following])[0]
    image = (0.4 - (1 - now) ** 0.5 * 0.5) / now**0.5
    expected = following**0.5 * np.clip(image, -1, 1) + (1 - following) ** 0.5 * 0.5
    assert reference.ddim_step(x, eps, weights).item() == pytest.approx(expected, abs=1e-5)


def test_callback_counts_and_may_stop() -> None:
    seen: list[tuple[int, int]] = []
    chosen = levels(20)
    reference.render(
        constant_image(0, chosen),
        torch.zeros(1, 1, 2, 2),
        chosen,
        callback=lambda done, total: seen.append((done, total)),
    )
    assert seen == [(i, 20) for i in range(1, 21)]

    def stop(done: int, total: int) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        reference.invert(constant_image(0, chosen), torch.zeros(1, 1, 2, 2), chosen, callback=stop)
