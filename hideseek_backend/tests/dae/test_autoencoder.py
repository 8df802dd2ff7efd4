"""The autoencoder's three operations on random networks of both kinds."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from tiny_model import CONFIG

from hideseek_backend.dae import DaeConfig, DiffusionAutoencoder
from hideseek_backend.errors import ModelError


def _random(config: DaeConfig) -> DiffusionAutoencoder:
    torch.manual_seed(0)
    dae = DiffusionAutoencoder(config).eval()
    for parameter in dae.parameters():  # the zero-initialised layers too
        torch.nn.init.normal_(parameter, std=0.05)
    return dae


@pytest.mark.parametrize("patch", [1, 4])
@pytest.mark.parametrize("parametrization", ["edm", "eps"])
def test_shapes_and_round_trip(patch: int, parametrization: str) -> None:
    dae = _random(replace(CONFIG, patch=patch, parametrization=parametrization))
    images = torch.rand(2, 1, 64, 64)
    z = dae.encode(images)
    x_t = dae.invert(images, z, 12)
    again = dae.render(x_t, z, 12)
    assert z.shape == (2, 16)
    assert x_t.shape == again.shape == images.shape
    assert (again - images).abs().mean() < 0.05


def test_batched_equals_single() -> None:
    dae = _random(CONFIG)
    images = torch.rand(3, 1, 64, 64)
    z = dae.encode(images)
    batched = dae.render(dae.invert(images, z, 4), z, 4)
    for i in range(3):
        one = images[i : i + 1]
        own = dae.encode(one)
        single = dae.render(dae.invert(one, own, 4), own, 4)
        assert torch.allclose(single[0], batched[i], atol=1e-5)


def test_z_matters_to_the_rendering() -> None:
    dae = _random(CONFIG)
    images = torch.rand(1, 1, 64, 64)
    z = dae.encode(images)
    x_t = dae.invert(images, z, 4)
    assert (dae.render(x_t, z + 3, 4) - dae.render(x_t, z, 4)).abs().max() > 1e-3


def test_configuration_survives_json_and_refuses_the_unknown() -> None:
    assert DaeConfig.from_dict(CONFIG.to_dict()) == CONFIG
    with pytest.raises(ModelError, match="unknown entries: wings"):
        DaeConfig.from_dict({"wings": 2})
    with pytest.raises(ModelError, match="parametrisation"):
        DaeConfig.from_dict({"parametrization": "v"})
