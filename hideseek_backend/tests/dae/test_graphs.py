"""Replaying the network, with a stand-in for CUDA's capture that runs anywhere."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from torch import Tensor

from hideseek_backend.dae import DaeConfig, DiffusionAutoencoder
from hideseek_backend.dae.graphs import GraphedForward, Replay
from hideseek_backend.dae.precision import arrange, faster_precision, multiplies_bfloat16

CONFIG = DaeConfig(
    base_channels=8,
    channel_mult=(1, 2),
    attention_resolutions=(32,),
    z_channels=12,
    embed_channels=20,
    encoder_base_channels=8,
    encoder_channel_mult=(1, 2),
    encoder_attention_resolutions=(),
)


def capture(function: Replay) -> Replay:
    """As a graph does: the output is one fixed tensor, written anew by every replay."""
    output = function().clone()

    def replay() -> Tensor:
        output.copy_(function())
        return output

    return replay


@pytest.fixture
def dae() -> DiffusionAutoencoder:
    torch.manual_seed(0)
    made = DiffusionAutoencoder(CONFIG).eval().requires_grad_(False)
    torch.nn.init.normal_(made.network.out[-1].weight, std=0.02)
    return made


@torch.inference_mode()
def test_replays_what_the_network_computes(dae: DiffusionAutoencoder) -> None:
    graphed = GraphedForward(dae.network, capture)
    results = []
    for batch in (1, 2, 3, 3, 5):
        x = torch.randn(batch, 1, 64, 64)
        time = dae.network.time_modulations(torch.tensor([float(100 * batch)]))
        z = dae.network.z_modulations(torch.randn(batch, 12))
        expected = dae.network(x, time, z)
        results.append((graphed(x, time, z), expected))
    assert graphed.usable
    for mine, expected in results:  # later replays must not have changed earlier results
        torch.testing.assert_close(mine, expected, rtol=0, atol=1e-5)
    assert len(graphed._graphs) == 4  # of 1, 2, 4 and 8 slices


@torch.inference_mode()
@pytest.mark.parametrize("kind", ["raises", "differs"])
def test_gives_up_where_capture_does_not_work(dae: DiffusionAutoencoder, kind: str) -> None:
    def broken(function: Replay) -> Replay:
        if kind == "raises":
            raise RuntimeError("CUDA error: operation not permitted when stream is capturing")
        first = function().clone()
        return lambda: first + 1

    graphed = GraphedForward(dae.network, broken)
    x = torch.randn(2, 1, 64, 64)
    time = dae.network.time_modulations(torch.tensor([5.0]))
    z = dae.network.z_modulations(torch.randn(2, 12))
    for _ in range(2):
        torch.testing.assert_close(graphed(x, time, z), dae.network(x, time, z))
    assert not graphed.usable


@torch.inference_mode()
def test_graphs_do_not_outlive_the_weights_they_read(dae: DiffusionAutoencoder) -> None:
    dae.graphed = GraphedForward(dae.network, capture)
    x, z = torch.rand(1, 1, 64, 64), torch.randn(1, 12)
    arrange(dae, channels_last=True)
    first = dae.invert(x, z, 3, half=torch.bfloat16)
    assert dae.graphed._graphs
    torch.testing.assert_close(dae.invert(x, z, 3, half=torch.bfloat16), first)
    arrange(dae, channels_last=False)  # back to the layout as loaded
    assert not dae.graphed._graphs


@torch.inference_mode()
def test_a_batch_over_the_largest_size_runs_plainly(dae: DiffusionAutoencoder) -> None:
    graphed = GraphedForward(dae.network, capture)
    x = torch.randn(33, 1, 64, 64)
    time = dae.network.time_modulations(torch.tensor([5.0]))
    z = dae.network.z_modulations(torch.randn(33, 12))
    assert graphed(x, time, z).shape == x.shape
    assert not graphed._graphs


def test_half_precision_and_graphs_stay_close() -> None:
    torch.manual_seed(0)
    dae = DiffusionAutoencoder(replace(CONFIG, parametrization="edm")).eval()
    torch.nn.init.normal_(dae.network.out[-1].weight, std=0.02)
    x, z = torch.rand(3, 1, 64, 64), torch.randn(3, 12)
    plain = dae.render(dae.invert(x, z, 6), z, 6)
    ddim = dae.invert(x, z, 5, solver="ddim")
    dae.graphed = GraphedForward(dae.network, capture)
    half = torch.bfloat16
    x_t = dae.invert(x, z, 6, half=half)
    assert x_t.dtype == torch.float32
    quick = dae.render(x_t, z, 6, half=half)
    # The reference's solver never runs in half precision.
    again = dae.invert(x, z, 5, solver="ddim", half=half)
    torch.testing.assert_close(again, ddim, rtol=0, atol=0)
    assert (quick - plain).abs().mean() < 0.02


@torch.inference_mode()
def test_a_batch_gives_what_single_slices_give(dae: DiffusionAutoencoder) -> None:
    x, z = torch.rand(3, 1, 64, 64), torch.randn(3, 12)
    together = dae.invert(x, z, 5)
    alone = torch.cat([dae.invert(x[i : i + 1], z[i : i + 1], 5) for i in range(3)])
    torch.testing.assert_close(together, alone, rtol=0, atol=1e-5)


def test_precision_by_device_and_network(dae: DiffusionAutoencoder) -> None:
    edm = DiffusionAutoencoder(replace(CONFIG, parametrization="edm"))
    native = torch.bfloat16 if multiplies_bfloat16() else None
    assert faster_precision(dae, torch.device("cuda")) == torch.float16
    assert faster_precision(edm, torch.device("cpu")) == native
    assert faster_precision(dae, torch.device("cpu")) is None
    assert faster_precision(object(), torch.device("cpu")) is None
