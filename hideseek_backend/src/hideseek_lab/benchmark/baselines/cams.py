"""Class activation maps of the malignant class of a ResNet-18.

GradCAM and GradCAM++ are MONAI's; LayerCAM and EigenCAM are written here because the libraries
that hold them need torchvision.
"""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from skimage.filters import threshold_otsu
from torch import Tensor, nn

from hideseek_backend.errors import OptionError
from hideseek_backend.optional import import_optional
from hideseek_lab.benchmark.baselines.common import ANY

CAMS: tuple[str, ...] = ("gradcam", "gradcam++", "layercam", "eigencam")
LAYERS: tuple[str, ...] = ("layer2", "layer3", "layer4")
_MALIGNANT = 1


def cam_maps(name: str, network: nn.Module, images: Tensor, layer: str) -> NDArray[np.float32]:
    """Make the maps of a batch.

    network: two logits, the second malignant, in evaluation mode. images: (B, 1, 64, 64).
    layer: name of the module whose output is mapped. Returns (B, 64, 64), not negative, larger
    where the network looks. Raises OptionError for an unknown name.
    """
    if name in ("gradcam", "gradcam++"):
        maps = _monai_map(name, network, images, layer)
    elif name == "layercam":
        maps = layer_cam(*_activation_and_gradient(network, images, layer))
    elif name == "eigencam":
        maps = eigen_cam(_activation_and_gradient(network, images, layer)[0])
    else:
        raise OptionError(
            f"Unknown map {name!r}; expected one of {', '.join(CAMS)}.", "Choose one of them."
        )
    full = F.interpolate(maps, images.shape[2:], mode="bilinear", align_corners=False)
    return full[:, 0].clamp_min(0).numpy().astype(np.float32)


def cam_labels(heat: NDArray[np.float32]) -> NDArray[np.uint8]:
    """Binarise a map (64, 64) by Otsu over the slice, as the paper; the polarity is unknown."""
    labels = np.zeros(heat.shape, dtype=np.uint8)
    if float(np.ptp(heat)) > 0:
        labels[heat > threshold_otsu(heat)] = ANY
    return labels


def layer_cam(activation: Tensor, gradient: Tensor) -> Tensor:
    """Weight every activation by its own positive gradient and sum over channels.

    activation, gradient: (B, C, H, W). Returns (B, 1, H, W). Jiang et al. 2021, eq. 5 and 6.
    """
    return (gradient.clamp_min(0) * activation).sum(dim=1, keepdim=True).clamp_min(0)


def eigen_cam(activation: Tensor) -> Tensor:
    """Project the activations of each slice on their first principal component over channels.

    activation: (B, C, H, W). Returns (B, 1, H, W). The sign of a component is arbitrary: it is
    turned so that the map agrees with the summed activation. Muhammad and Yeasin 2020.
    """
    batch, channels, height, width = activation.shape
    points = activation.reshape(batch, channels, -1).transpose(1, 2)
    centred = points - points.mean(dim=1, keepdim=True)
    _, _, components = torch.linalg.svd(centred, full_matrices=False)
    projection = (centred @ components[:, :1].transpose(1, 2))[..., 0]
    total = centred.sum(dim=2)
    sign = torch.where((projection * total).sum(dim=1, keepdim=True) < 0, -1.0, 1.0)
    return (projection * sign).reshape(batch, 1, height, width)


def _activation_and_gradient(
    network: nn.Module, images: Tensor, layer: str
) -> tuple[Tensor, Tensor]:
    """Output of a module and the gradient of the summed malignant logits with respect to it."""
    held: list[Tensor] = []

    def keep(_module: nn.Module, _inputs: Any, output: Tensor) -> None:
        held.append(output)

    hook = network.get_submodule(layer).register_forward_hook(keep)
    try:
        with torch.enable_grad():
            logits = network(images.detach().requires_grad_(True))
            (gradient,) = torch.autograd.grad(logits[:, _MALIGNANT].sum(), held[0])
    finally:
        hook.remove()
    return held[0].detach(), gradient.detach()


def _monai_map(name: str, network: nn.Module, images: Tensor, layer: str) -> Tensor:
    visualize = import_optional("monai.visualize", "The GradCAM baselines")
    kind = visualize.GradCAM if name == "gradcam" else visualize.GradCAMpp
    # MONAI never takes its hooks off, so it gets a copy; its default post-processing turns the
    # map upside down (high becomes 0); and its GradCAM++ is wrong for more than one slice at once
    cam = kind(copy.deepcopy(network), layer, postprocessing=_unchanged, upsampler=_same_size)
    with torch.enable_grad():
        maps = [
            cam(image[None].detach().clone().requires_grad_(True), class_idx=_MALIGNANT).detach()
            for image in images
        ]
    return torch.cat(maps)


def _same_size(_size: Any) -> Callable[[Tensor], Tensor]:
    return _unchanged


def _unchanged(maps: Tensor) -> Tensor:
    return maps
