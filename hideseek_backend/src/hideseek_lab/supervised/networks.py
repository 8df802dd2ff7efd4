"""The papers' networks, by MONAI; which of their parameters are encoder, decoder and head."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from hideseek_backend.errors import OptionError
from hideseek_backend.optional import import_optional

BASELINES_EXTRA = "pip install 'torch==2.13.0' 'hideseek-backend[baselines]'"
SEGMENTERS: dict[str, str] = {
    "unet": "UNet",
    "resunet": "ResUNet",
    "resattunet": "ResAttUNet",
    "swinunetr": "Swin UNETR",
}
CLASSIFIERS: dict[str, str] = {
    "efficientnet": "EfficientNet-B0",
    "resnet34": "ResNet34",
    "densenet": "DenseNet121",
}
SIZES = ("paper", "small", "tiny")
_CHANNELS = {
    "paper": (32, 64, 128, 256, 512),
    "small": (16, 32, 64, 128),
    "tiny": (8, 16, 32),
}
_FEATURES = {"paper": 48, "small": 24, "tiny": 12}
_CONVOLUTIONS = (nn.Conv2d, nn.Conv3d, nn.ConvTranspose2d, nn.ConvTranspose3d)
_NORMS = (
    nn.InstanceNorm2d, nn.InstanceNorm3d, nn.BatchNorm2d, nn.BatchNorm3d
)  # fmt: skip
#: PyTorch's own momentum. MONAI's .01 is for long trainings: after a few hundred steps the running
#: statistics still remember the start, and the network gives one p to every slice
_EFFICIENT_NORM = ("batch", {"eps": 1e-3, "momentum": 0.1})
#: GradCAM looks at the last feature map before pooling
CAM_LAYERS = {"efficientnet": "_conv_head", "resnet34": "layer4", "densenet": "features"}


@dataclass(frozen=True)
class Parts:
    """Names of a segmenter's parameters. encoder: what self-supervision trains; head: what a new
    task replaces; decoder: the rest."""

    encoder: frozenset[str]
    decoder: frozenset[str]
    head: frozenset[str]


def make_segmenter(
    name: str, *, in_channels: int = 1, classes: int = 3, size: str = "paper"
) -> nn.Module:
    """Make a segmenter that gives (B, classes, …) logits; class 0 is background.

    name: of SEGMENTERS; Swin UNETR is 3D, the others 2D. size: the papers' width, or a smaller one.
    Raises OptionError for an unknown name or size, MissingDependencyError without MONAI.
    """
    _check(name, SEGMENTERS, size)
    nets = _monai("monai.networks.nets")
    if name == "swinunetr":
        swin: nn.Module = nets.SwinUNETR(
            in_channels=in_channels, out_channels=classes, feature_size=_FEATURES[size],
            drop_rate=0.1, attn_drop_rate=0.1, dropout_path_rate=0.1,
        )  # fmt: skip
        return without_idle_biases(swin)
    channels = _CHANNELS[size]
    if name == "resattunet":
        return without_idle_biases(ResAttUNet(in_channels, classes, channels))
    unet: nn.Module = nets.UNet(
        spatial_dims=2, in_channels=in_channels, out_channels=classes, channels=channels,
        strides=(2,) * (len(channels) - 1), num_res_units=2 if name == "resunet" else 0,
    )  # fmt: skip
    return without_idle_biases(unet)


def without_idle_biases(network: nn.Module) -> nn.Module:
    """Take the bias from every convolution whose output goes straight into a normalisation.

    The norm subtracts it again: its gradient is rounding noise, which Adam scales up to full steps.
    """
    for block in network.modules():
        layers = [m for m in _chain(block) if not isinstance(m, nn.Dropout | nn.Identity)]
        for layer, after in zip(layers, layers[1:], strict=False):
            if isinstance(layer, _CONVOLUTIONS) and isinstance(after, _NORMS):
                layer.register_parameter("bias", None)
    return network


def _chain(block: nn.Module) -> list[nn.Module]:
    """The leaves of a sequence in their order; empty for a block that is none."""
    if not isinstance(block, nn.Sequential):
        return []
    return [
        leaf
        for layer in block
        for leaf in ([layer] if not isinstance(layer, nn.Sequential) else _chain(layer))
    ]


def make_classifier(name: str, *, in_channels: int = 1) -> nn.Module:
    """Make a slice classifier: (B, 2) logits, the second "shows a lesion".

    Raises OptionError for an unknown name, MissingDependencyError without MONAI.
    """
    _check(name, CLASSIFIERS, "paper")
    nets = _monai("monai.networks.nets")
    network: nn.Module
    # in-place activations would overwrite what the map's hooks keep
    act = ("relu", {"inplace": False})
    if name == "efficientnet":
        network = nets.EfficientNetBN(
            "efficientnet-b0", pretrained=False, spatial_dims=2, in_channels=in_channels,
            num_classes=2, norm=_EFFICIENT_NORM,
        )  # fmt: skip
        network.set_swish(memory_efficient=False)  # type: ignore[operator]
    elif name == "resnet34":
        network = nets.resnet34(
            spatial_dims=2, n_input_channels=in_channels, num_classes=2, act=act
        )
    else:
        network = nets.DenseNet121(spatial_dims=2, in_channels=in_channels, out_channels=2, act=act)
    return network


def is_3d(name: str) -> bool:
    """Whether a segmenter takes volumes; the others take slices."""
    return name == "swinunetr"


def parts_of(network: nn.Module) -> Parts:
    """Part a segmenter's parameters.

    Of Swin UNETR the encoder is `swinViT` alone: the convolutions named encoder1 to encoder10 join
    it to the decoder and are not what self-supervision trains.
    """
    names = [name for name, _ in network.named_parameters()]
    encoder: tuple[str, ...]
    head: tuple[str, ...]
    if isinstance(network, ResAttUNet):
        encoder, head = ("down.",), ("head.",)
    elif hasattr(network, "swinViT"):
        encoder, head = ("swinViT.",), ("out.",)
    else:
        encoder, head = _unet_prefixes(network)
    inside = frozenset(n for n in names if n.startswith(encoder))
    top = frozenset(n for n in names if n.startswith(head))
    return Parts(inside, frozenset(names) - inside - top, top)


def encode(network: nn.Module, images: Tensor) -> Tensor:
    """Return the deepest feature map (B, F, …) of a segmenter, from its encoder alone."""
    if isinstance(network, ResAttUNet):
        return network.encode(images)[-1]
    if hasattr(network, "swinViT"):
        swin: Any = network
        features: Tensor = swin.swinViT(images, swin.normalize)[-1]
        return features
    for layer in _unet_encoder(network):
        images = layer(images)
    return images


class ResAttUNet(nn.Module):
    """MONAI's residual UNet with an attention gate on every skip (Pawan, Rich et al.).

    MONAI's `AttentionUnet` has no residual units. This has the strides and units of
    `UNet(num_res_units=2)`, so that the two differ by the gates (Oktay et al. 2018) alone but for
    the last layer. Input sides are multiples of 2 ** (len(channels) − 1).
    """

    def __init__(self, in_channels: int, classes: int, channels: Sequence[int]) -> None:
        super().__init__()
        blocks = _monai("monai.networks.blocks")
        gates = _monai("monai.networks.nets.attentionunet")

        def residual(inside: int, outside: int, stride: int, subunits: int = 2) -> nn.Module:
            unit: nn.Module = blocks.ResidualUnit(
                2, inside, outside, strides=stride, subunits=subunits
            )
            return unit

        before = (in_channels, *channels[:-1])
        deepest = len(channels) - 1
        self.down = nn.ModuleList(
            residual(a, b, 1 if i == deepest else 2)
            for i, (a, b) in enumerate(zip(before, channels, strict=True))
        )
        self.gate, self.up = nn.ModuleList(), nn.ModuleList()
        below = channels[-1]
        for i in reversed(range(deepest)):
            skip, out = channels[i], channels[max(i - 1, 0)]
            self.gate.append(gates.AttentionBlock(2, f_int=max(skip // 2, 1), f_g=below, f_l=skip))
            self.up.append(
                nn.Sequential(
                    blocks.Convolution(2, skip + below, out, strides=2, is_transposed=True),
                    residual(out, out, 1, subunits=1),
                )
            )
            below = out
        self.head = nn.Conv2d(below, classes, 1)

    def encode(self, images: Tensor) -> list[Tensor]:
        """Feature maps from the finest to the deepest."""
        maps = []
        for layer in self.down:
            images = layer(images)
            maps.append(images)
        return maps

    def forward(self, images: Tensor) -> Tensor:
        """Logits (B, classes, H, W) of images (B, C, H, W)."""
        *skips, x = self.encode(images)
        for gate, up in zip(self.gate, self.up, strict=True):
            skip = skips.pop()
            x = up(torch.cat([gate(g=x, x=skip), x], dim=1))
        logits: Tensor = self.head(x)
        return logits


def _check(name: str, known: dict[str, str], size: str) -> None:
    if name not in known:
        raise OptionError(
            f"Unknown network {name!r}; expected one of {', '.join(known)}.", "Choose one of them."
        )
    if size not in SIZES:
        raise OptionError(
            f"Unknown size {size!r}; expected one of {', '.join(SIZES)}.", "Choose one of them."
        )


def _monai(module: str) -> Any:
    return import_optional(module, "The supervised networks", BASELINES_EXTRA)


def _unet_levels(network: nn.Module) -> list[tuple[str, Any]]:
    """(path, Sequential(down, skip, up)) of each level of MONAI's UNet, from the top."""
    levels: list[tuple[str, Any]] = []
    path, block = "model", network.get_submodule("model")
    while isinstance(block, nn.Sequential) and len(block) == 3 and hasattr(block[1], "submodule"):
        levels.append((path, block))
        path, block = f"{path}.1.submodule", block[1].submodule  # type: ignore[assignment]
    return levels


def _unet_prefixes(network: nn.Module) -> tuple[tuple[str, ...], tuple[str, ...]]:
    levels = _unet_levels(network)
    down = tuple(f"{path}.0." for path, _ in levels)
    return (*down, f"{levels[-1][0]}.1.submodule."), (f"{levels[0][0]}.2.",)


def _unet_encoder(network: nn.Module) -> list[nn.Module]:
    levels = _unet_levels(network)
    return [*(block[0] for _, block in levels), levels[-1][1][1].submodule]
