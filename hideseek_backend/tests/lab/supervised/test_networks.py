"""Every network runs, has the papers' size, and is parted into encoder, decoder and head."""

from __future__ import annotations

import pytest
import torch

from hideseek_backend.errors import OptionError
from hideseek_lab.supervised.networks import (
    CAM_LAYERS,
    CLASSIFIERS,
    SEGMENTERS,
    ResAttUNet,
    encode,
    is_3d,
    make_classifier,
    make_segmenter,
    parts_of,
)

#: parameters of MONAI's networks at the papers' widths (ResAttUNet: ours)
MILLIONS = {"unet": 2.64, "resunet": 6.50, "resattunet": 6.64, "swinunetr": 62.19}


@pytest.mark.parametrize("name", SEGMENTERS)
def test_segmenters_give_a_class_a_voxel(name: str) -> None:
    side = (1, 2, 64, 32, 32) if is_3d(name) else (2, 2, 32, 32)
    network = make_segmenter(name, in_channels=2, classes=4, size="tiny")
    images = torch.rand(side)
    out = network(images)
    assert out.shape == (side[0], 4, *side[2:])
    parts = parts_of(network)
    names = {n for n, _ in network.named_parameters()}
    assert parts.encoder | parts.decoder | parts.head == names
    assert not parts.encoder & (parts.decoder | parts.head) and not parts.decoder & parts.head
    network.zero_grad()
    encode(network, images).sum().backward()
    reached = {n for n, p in network.named_parameters() if p.grad is not None}
    assert reached <= parts.encoder  # features come from the encoder alone
    shapes = dict(network.named_parameters())
    assert any(shapes[n].shape[0] == 4 or shapes[n].shape[1:2] == (4,) for n in parts.head)


@pytest.mark.parametrize("name", ["unet", "resunet", "resattunet"])
def test_paper_sizes(name: str) -> None:
    network = make_segmenter(name, classes=3 if name == "resattunet" else 2)
    millions = sum(p.numel() for p in network.parameters()) / 1e6
    assert millions == pytest.approx(MILLIONS[name], abs=0.02)


def test_the_gates_alone_join_what_residual_units_had() -> None:
    network = make_segmenter("resattunet", size="tiny")
    assert isinstance(network, ResAttUNet) and len(network.gate) == len(network.up) == 2
    seen = []
    network.gate[0].register_forward_hook(lambda _m, args, kwargs, out: seen.append(
        (kwargs["x"], out)), with_kwargs=True)  # fmt: skip
    network.eval()(torch.rand(1, 1, 32, 32))
    skip, gated = seen[0]
    assert gated.shape == skip.shape and not torch.equal(gated, skip)


@pytest.mark.parametrize("name", CLASSIFIERS)
def test_classifiers_give_two_logits_and_have_a_layer_to_map(name: str) -> None:
    network = make_classifier(name).eval()
    assert network(torch.rand(2, 1, 64, 64)).shape == (2, 2)
    assert network.get_submodule(CAM_LAYERS[name]) is not None


@pytest.mark.parametrize("name", [n for n in SEGMENTERS if not is_3d(n)])
def test_every_parameter_has_a_gradient_beyond_rounding(name: str) -> None:
    torch.manual_seed(0)
    network = make_segmenter(name, size="tiny").train()
    out = network(torch.rand(2, 1, 32, 32))
    (out.softmax(dim=1) * torch.rand_like(out)).sum().backward()
    steepest = {n: float(p.grad.abs().max()) for n, p in network.named_parameters()
                if p.grad is not None}  # fmt: skip
    # a bias before a norm had 1e-7 and less
    assert steepest and min(steepest.values()) > 1e-4 * max(steepest.values()) ** 0.5


def test_unknown_names_are_told() -> None:
    with pytest.raises(OptionError, match="Unknown network 'vnet'"):
        make_segmenter("vnet")
    with pytest.raises(OptionError, match="Unknown size 'huge'"):
        make_segmenter("unet", size="huge")
    with pytest.raises(OptionError, match="Unknown network 'vgg'"):
        make_classifier("vgg")
