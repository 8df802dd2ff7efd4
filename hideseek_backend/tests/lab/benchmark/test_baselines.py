"""Every baseline on drawn vertebrae or by hand."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from hideseek_backend.errors import OptionError
from hideseek_lab.benchmark.baselines.anomaly import anomaly_labels, pseudo_healthy
from hideseek_lab.benchmark.baselines.cams import (
    CAMS,
    cam_labels,
    cam_maps,
    eigen_cam,
    layer_cam,
)
from hideseek_lab.benchmark.baselines.common import ANY, eroded_body, postprocess, to_unit
from hideseek_lab.benchmark.baselines.otsu import otsu_labels
from hideseek_lab.benchmark.baselines.training import (
    TrainingPlan,
    resnet_probability,
    train_resnet,
    train_unet,
    unet_labels,
)
from hideseek_lab.benchmark.dataset import MIDDLE, SliceSet

from .conftest import drawn_set


def test_postprocessing_erodes_and_drops_specks() -> None:
    body = np.zeros((64, 64), dtype=bool)
    body[10:30, 10:30] = True
    labels = np.zeros((64, 64), dtype=np.uint8)
    labels[10:20, 10:20] = 2  # reaches the border: two pixels are cut off
    labels[25, 25:27] = 1  # two pixels: a speck
    labels[40:50, 40:50] = ANY  # outside the body
    kept = postprocess(labels, body)
    assert eroded_body(body).sum() == 16 * 16
    assert (kept == 2).sum() == 8 * 8
    assert set(np.unique(kept)) == {0, 2}


def test_window_maps_to_unit_range() -> None:
    np.testing.assert_allclose(to_unit(np.array([-1000, -200, 400, 3000])), [0, 0, 0.5, 1])


@pytest.mark.parametrize("classes", [2, 3])
def test_otsu_finds_drawn_lesions_of_the_expected_polarity(
    vertebrae: SliceSet, classes: int
) -> None:
    for index, phenotype in enumerate(vertebrae.phenotype.tolist()):
        truth = vertebrae.truth[index, MIDDLE]
        body = vertebrae.body[index, MIDDLE]
        labels = otsu_labels(vertebrae.hu[index, MIDDLE], body, phenotype, classes=classes)
        for value in (1, 2):
            expected = phenotype == "mixed" or phenotype == {1: "lytic", 2: "blastic"}[value]
            if not expected:
                assert not (labels == value).any()
            elif classes == 2 or phenotype == "mixed":
                inside = (truth == value) & eroded_body(body)
                assert ((labels == value) & inside).sum() > 0.95 * inside.sum()


def test_otsu_of_a_flat_or_empty_body_is_empty() -> None:
    flat = np.full((64, 64), 100, dtype=np.int16)
    body = np.ones((64, 64), dtype=bool)
    assert not otsu_labels(flat, body, "mixed", classes=2).any()
    assert not otsu_labels(flat, ~body, "lytic", classes=3).any()


class OneLayer(nn.Module):
    """Two channels that copy the image and its negative; the malignant logit sums the first."""

    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.Conv2d(1, 2, 1, bias=False)
        self.layer.weight.data = torch.tensor([1.0, -1.0]).reshape(2, 1, 1, 1)
        self.weights = torch.tensor([3.0, -1.0])

    def forward(self, images: Tensor) -> Tensor:
        pooled = self.layer(images).mean(dim=(2, 3))
        malignant = pooled @ self.weights
        return torch.stack([-malignant, malignant], dim=1)


def test_layer_cam_by_hand() -> None:
    activation = torch.tensor([[[[1.0, -2.0]], [[4.0, 1.0]]]])
    gradient = torch.tensor([[[[2.0, 1.0]], [[-3.0, 5.0]]]])
    # per pixel: 2*1 + 0*4 = 2, and 1*(-2) + 5*1 = 3
    np.testing.assert_allclose(layer_cam(activation, gradient)[0, 0], [[2.0, 3.0]])


def test_eigen_cam_follows_the_strongest_pattern_with_its_sign() -> None:
    blob = torch.zeros(6, 6)
    blob[1:3, 1:3] = 1.0
    activation = torch.stack([2 * blob, 3 * blob, 0.01 * torch.rand(6, 6)])[None]
    heat = eigen_cam(activation)[0, 0]
    assert heat[1:3, 1:3].min() > 0
    assert heat[4:, 4:].max() < 0


def test_maps_of_a_network_worked_out_by_hand() -> None:
    pytest.importorskip("monai")
    images = torch.zeros(2, 1, 64, 64)
    images[0, 0, 8:16, 8:16] = 1.0
    images[1, 0, 40:48, 40:48] = 1.0
    network = OneLayer().eval()
    for name in CAMS:
        maps = cam_maps(name, network, images, "layer")
        assert maps.shape == (2, 64, 64)
        assert maps.min() >= 0
        # both channels speak for the bright square: every map peaks there, not upside down
        assert maps[0, 8:16, 8:16].mean() > 2 * maps[0].mean()
        assert maps[1, 40:48, 40:48].mean() > 2 * maps[1].mean()
    # GradCAM: mean gradients are the weights over the pixel count; 3*1 + (-1)*(-1) = 4
    np.testing.assert_allclose(
        cam_maps("gradcam", network, images, "layer")[0, 10, 10], 4 / 64**2, rtol=1e-5
    )
    with pytest.raises(OptionError, match="Unknown map"):
        cam_maps("scorecam", network, images, "layer")


def test_cam_labels_are_an_otsu_of_the_map() -> None:
    heat = np.zeros((64, 64), dtype=np.float32)
    heat[20:30, 20:30] = 1.0
    assert (cam_labels(heat) == ANY).sum() == 100
    assert not cam_labels(np.zeros((64, 64), dtype=np.float32)).any()


def test_networks_train_resume_and_are_remembered(tmp_path: Path) -> None:
    pytest.importorskip("monai")
    calls = []

    def data() -> SliceSet:
        calls.append(1)
        return drawn_set(16)

    plan = TrainingPlan(vertebrae=16, steps=2, batch=4)
    network = train_resnet(data, plan, tmp_path)
    again = train_resnet(data, plan, tmp_path)
    assert len(calls) == 1  # the second call reads the finished network
    hu = drawn_set(4).hu[:, MIDDLE]
    np.testing.assert_allclose(resnet_probability(network, hu), resnet_probability(again, hu))
    assert set(CAMS) == {"gradcam", "gradcam++", "layercam", "eigencam"}
    maps = cam_maps("gradcam++", network, torch.from_numpy(to_unit(hu))[:, None], "layer3")
    assert np.isfinite(maps).all()


def test_unet_learns_drawn_lesions(tmp_path: Path) -> None:
    pytest.importorskip("monai")
    plan = TrainingPlan(vertebrae=32, steps=40, batch=6, rate=6e-3)
    network = train_unet(lambda: drawn_set(32), plan, tmp_path)
    held_out = drawn_set(8, seed=5)
    labels = unet_labels(network, held_out.hu[:, MIDDLE])
    truth = held_out.truth[:, MIDDLE]
    overlap = ((labels == 2) & (truth == 2)).sum()
    assert 2 * overlap > 0.4 * ((labels == 2).sum() + (truth == 2).sum())


class HealthyOnly:
    """An autoencoder that rebuilds everything as a plain body of intensity 0.5."""

    def encode(self, images: Tensor) -> Tensor:
        return torch.zeros(len(images), 4)

    def invert(self, images: Tensor, z: Tensor, steps: int | None = None, **_: object) -> Tensor:
        return images - 0.5

    def render(self, x_t: Tensor, z: Tensor, steps: int | None = None, **_: object) -> Tensor:
        return torch.full_like(x_t, 0.5)


@pytest.mark.parametrize("noise", ["inverted", "partial", "drawn"])
def test_anomalies_have_a_polarity(noise: str) -> None:
    image = torch.full((1, 1, 64, 64), 0.5)
    image[0, 0, 20:26, 20:26] = 0.1
    image[0, 0, 34:40, 34:40] = 0.9
    healthy = pseudo_healthy(HealthyOnly(), image, noise)  # type: ignore[arg-type]
    body = np.ones((64, 64), dtype=bool)
    plane = image[0, 0].numpy() + np.random.default_rng(0).normal(0, 1e-3, (64, 64))
    labels = anomaly_labels(plane, healthy[0, 0].numpy(), body, "otsu")
    assert (labels[20:26, 20:26] == 1).all()
    assert (labels[34:40, 34:40] == 2).all()
    assert (labels > 0).sum() == 72
