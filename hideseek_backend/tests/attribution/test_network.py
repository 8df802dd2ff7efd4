"""Chunking, counting and stopping around a real, small, random autoencoder."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
import torch
from torch import nn

from hideseek_backend.attribution.network import Network
from hideseek_backend.attribution.options import Options
from hideseek_backend.dae import DaeConfig, DiffusionAutoencoder
from hideseek_backend.errors import Cancelled
from hideseek_backend.progress import Meter

OPTIONS = Options(invert_steps=4, render_steps=4, max_batch=32, precision="float32")


@pytest.fixture(scope="module")
def dae() -> DiffusionAutoencoder:
    torch.manual_seed(0)
    config = DaeConfig(
        patch=2,
        base_channels=16,
        channel_mult=(1, 2),
        res_blocks=1,
        attention_resolutions=(),
        z_channels=8,
        embed_channels=16,
        norm_groups=8,
        dropout=0.0,
        encoder_base_channels=8,
        encoder_channel_mult=(1, 2),
        encoder_res_blocks=1,
        encoder_attention_resolutions=(),
        parametrization="edm",
        data_mean=0.3,
        data_std=0.2,
    )
    made = DiffusionAutoencoder(config).eval()
    for parameter in made.parameters():  # the last layers start at zero, which hides everything
        if not parameter.any():
            nn.init.normal_(parameter, std=0.05)
    return made


def images(count: int) -> torch.Tensor:
    generator = torch.Generator().manual_seed(1)
    return torch.rand(count, 1, 64, 64, generator=generator)


def test_a_batch_gives_what_single_slices_give(dae: DiffusionAutoencoder) -> None:
    x = images(5)
    together = Network(dae, "cpu", OPTIONS, Meter())
    alone = Network(dae, "cpu", OPTIONS.with_changes(max_batch=1), Meter())
    z = together.encode(x)
    torch.testing.assert_close(alone.encode(x), z, atol=1e-5, rtol=0)
    x_t = together.invert(x, z)
    torch.testing.assert_close(alone.invert(x, z), x_t, atol=1e-5, rtol=0)
    torch.testing.assert_close(alone.render(x_t, z), together.render(x_t, z), atol=1e-5, rtol=0)


def test_a_partial_inversion_comes_back(dae: DiffusionAutoencoder) -> None:
    x = images(1)
    z = dae.encode(x)
    there = dae.invert(x, z, 24, depth=0.3)
    assert (dae.render(there, z, 24, depth=0.3) - x).abs().max() < 0.02


def test_results_are_ordinary_tensors(dae: DiffusionAutoencoder) -> None:
    z = Network(dae, "cpu", OPTIONS, Meter()).encode(images(2))
    assert not z.is_inference()
    z[0] = 0


def test_every_solver_step_is_counted(dae: DiffusionAutoencoder) -> None:
    class Counting(Meter):
        steps = 0

        def step(self, steps: int = 1) -> None:
            self.steps += steps

    meter = Counting()
    network = Network(dae, "cpu", OPTIONS.with_changes(max_batch=2), meter)
    x = images(3)
    network.render(network.invert(x, network.encode(x)), torch.zeros(3, 8))
    assert meter.steps == 3 + 3 * 4 + 3 * 4


def test_cancel_is_seen_between_two_solver_steps(dae: DiffusionAutoencoder) -> None:
    asked = 0

    def cancelled() -> bool:
        nonlocal asked
        asked += 1
        return asked >= 3

    network = Network(dae, "cpu", OPTIONS, Meter(None, cancelled))
    x = images(1)
    with pytest.raises(Cancelled):
        network.invert(x, torch.zeros(1, 8))
    assert asked == 3


def test_large_networks_go_slice_by_slice_on_a_processor() -> None:
    """So that a cancel is seen soon; how many parameters count, not how the weights look."""

    class Large(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.weight = nn.Parameter(torch.empty(0).expand(0))
            self.seen: list[int] = []

        def parameters(self, recurse: bool = True) -> Iterator[nn.Parameter]:
            yield nn.Parameter(torch.empty(1).expand(90_000_000))

        def encode(self, images: torch.Tensor) -> torch.Tensor:
            self.seen.append(len(images))
            return images.flatten(1)[:, :2]

    large = Large()
    Network(large, "cpu", OPTIONS, Meter()).encode(images(3))  # type: ignore[arg-type]
    assert large.seen == [1, 1, 1]
