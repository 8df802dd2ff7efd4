"""Checkpoints of many shapes, whole and broken, become model folders or clear errors."""

from __future__ import annotations

import os
import pickle
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from reference_files import SMALL, write_reference_files
from shared_data import shared_file
from sklearn.linear_model import LogisticRegression

from hideseek_backend.dae import DaeConfig, DiffusionAutoencoder
from hideseek_backend.errors import ModelError
from hideseek_backend.models.architecture import architecture_of
from hideseek_backend.models.reference_import import (
    import_reference,
    read_classifier,
    released_classifier,
)
from hideseek_backend.models.store import load_model

CONFIGS = {
    "paper": replace(
        DaeConfig(),
        base_channels=128,
        channel_mult=(1, 2, 4, 8, 8),
        encoder_base_channels=128,
        encoder_channel_mult=(1, 2, 4, 8, 8, 8),
    ),
    "released": DaeConfig(),
    "tiny": replace(
        DaeConfig(),
        base_channels=32,
        channel_mult=(1, 2, 2),
        encoder_base_channels=32,
        encoder_channel_mult=(1, 2, 2, 2),
    ),
    "small": SMALL,
    "one block a level": replace(SMALL, res_blocks=1, encoder_res_blocks=1),
    "three and one": replace(SMALL, res_blocks=3, encoder_res_blocks=1),
    "one and three": replace(SMALL, res_blocks=1, encoder_res_blocks=3),
    "no attention": replace(SMALL, attention_resolutions=(), encoder_attention_resolutions=()),
    "attention everywhere": replace(
        SMALL, attention_resolutions=(64, 32), encoder_attention_resolutions=(64, 32, 16)
    ),
    "other attention": replace(SMALL, encoder_attention_resolutions=(16,)),
    "fractions": replace(SMALL, channel_mult=(0.5, 1), encoder_channel_mult=(0.5, 1.5, 4)),
    "one level": replace(SMALL, channel_mult=(2,), attention_resolutions=(64,)),
    "two channels": replace(SMALL, in_channels=2),
    "level widths alike": replace(SMALL, channel_mult=(1, 1, 1, 1), encoder_channel_mult=(2, 2, 2)),
    "image of 32": replace(SMALL, image_size=32),
    "grid": replace(SMALL, encoder_grid=2),
}


@pytest.mark.parametrize("name", CONFIGS)
def test_architecture_is_read_from_shapes(name: str) -> None:
    config = CONFIGS[name]
    with torch.device("meta"):
        state = DiffusionAutoencoder(config).network.state_dict()
    shapes = {k: tuple(v.shape) for k, v in state.items()}
    assert architecture_of(shapes, image_size=config.image_size) == config


def test_published_sizes() -> None:
    with torch.device("meta"):
        network = DiffusionAutoencoder(CONFIGS["released"]).network
    millions = [
        sum(p.numel() for p in part.parameters()) / 1e6 for part in (network, network.encoder)
    ]
    assert [round(m, 1) for m in millions] == [90.8, 19.3]


def test_settings_without_a_trace_in_the_weights() -> None:
    with torch.device("meta"):
        state = DiffusionAutoencoder(SMALL).network.state_dict()
    shapes = {k: tuple(v.shape) for k, v in state.items()}
    heads = architecture_of(shapes, settings={"net_beatgans_attn_head": 2, "T": 1000})
    assert heads == replace(SMALL, attention_heads=2)
    for key, value in {"T": 500, "beta_scheduler": "cosine", "two_encoders": True}.items():
        with pytest.raises(ModelError, match=key):
            architecture_of(shapes, settings={key: value})


def test_more_heads_are_the_reference_s_attention() -> None:
    from hideseek_backend.dae.blocks import AttentionBlock

    torch.manual_seed(0)
    block = AttentionBlock(16, groups=4, heads=2)
    torch.nn.init.normal_(block.proj_out.weight)
    x = torch.randn(3, 16, 4, 4)
    qkv = block.qkv(block.norm(x.flatten(2)))
    heads = []
    for part in qkv.chunk(2, dim=1):  # heads lie outermost, then q, k, v
        q, k, v = part.chunk(3, dim=1)
        weight = torch.softmax(q.transpose(1, 2) @ k / 8**0.5, dim=2)
        heads.append(v @ weight.transpose(1, 2))
    expected = x + block.proj_out(torch.cat(heads, dim=1)).reshape(x.shape)
    torch.testing.assert_close(block(x), expected)


def test_imports_the_averaged_weights(tmp_path: Path) -> None:
    paths = write_reference_files(tmp_path)
    spec = import_reference(**paths, out=tmp_path / "out")
    assert (spec.architecture, spec.training["weights"], spec.training["step"]) == (SMALL, "EMA", 7)
    model = load_model(tmp_path / "out", "cpu")
    state = torch.load(paths["dae"], weights_only=True)["state_dict"]
    for name, value in model.dae.network.state_dict().items():
        assert torch.equal(value, state[f"ema_model.{name}"])
    z = model.dae.encode(torch.rand(2, 1, 64, 64))
    assert model.classifier.probability(z).shape == (2,)


def test_the_same_files_give_the_same_bytes(tmp_path: Path) -> None:
    paths = write_reference_files(tmp_path)
    for out in ("a", "b"):
        import_reference(**paths, out=tmp_path / out)
    for name in ("spec.json", "weights.safetensors"):
        assert (tmp_path / "a" / name).read_bytes() == (tmp_path / "b" / name).read_bytes()


def test_plain_weights_only_where_there_are_no_others(tmp_path: Path) -> None:
    def drop(checkpoint: dict[str, Any]) -> None:
        state = checkpoint["state_dict"]
        checkpoint["state_dict"] = {k: v for k, v in state.items() if not k.startswith("ema_")}

    spec = import_reference(**write_reference_files(tmp_path, change=drop), out=tmp_path / "out")
    assert "no EMA" in spec.training["weights"]


def _state(change: Callable[[dict[str, Any]], None]) -> Callable[[dict[str, Any]], None]:
    return lambda checkpoint: change(checkpoint["state_dict"])


BROKEN: dict[str, tuple[Callable[[dict[str, Any]], Any], str]] = {
    "a weight is missing": (
        _state(lambda s: s.pop("ema_model.middle_block.1.norm.bias")),
        "lacks.*middle_block.1.norm.bias",
    ),
    "a weight too many": (
        _state(lambda s: s.update({"ema_model.latent_net.w": torch.zeros(1)})),
        "unknown.*latent_net",
    ),
    "a block is missing": (
        _state(lambda s: [s.pop(k) for k in list(s) if "ema_model.input_blocks.2." in k]),
        "gaps",
    ),
    "another shape": (
        _state(lambda s: s.update({"ema_model.out.0.weight": torch.zeros(9)})),
        "other shapes",
    ),
    "not a number": (
        _state(lambda s: s["ema_model.out.0.weight"].fill_(float("nan"))),
        "not finite",
    ),
    "learned variance": (
        _state(lambda s: s.update({"ema_model.out.2.weight": torch.zeros(2, 8, 3, 3)})),
        "predicts 2",
    ),
    "no encoder": (
        _state(lambda s: [s.pop(k) for k in list(s) if "encoder" in k]),
        "encoder",
    ),
    "no autoencoder": (lambda c: c.update(state_dict={"w": torch.zeros(1)}), "no weights named"),
    "no state_dict": (lambda c: c.pop("state_dict"), "no state_dict"),
}


@pytest.mark.parametrize("name", BROKEN)
def test_broken_checkpoints_are_refused(name: str, tmp_path: Path) -> None:
    change, message = BROKEN[name]
    paths = write_reference_files(tmp_path, change=change)
    with pytest.raises(ModelError, match=message):
        import_reference(**paths, out=tmp_path / "out")
    assert not (tmp_path / "out").exists()


class _Hostile:
    def __init__(self, mark: Path) -> None:
        self.mark = mark

    def __reduce__(self) -> Any:
        return os.system, (f"touch {self.mark}",)


def test_a_hostile_checkpoint_is_never_run(tmp_path: Path) -> None:
    mark = tmp_path / "ran"
    paths = write_reference_files(
        tmp_path, change=lambda c: c.update(hyper_parameters=_Hostile(mark))
    )
    with pytest.raises(ModelError, match=r"refused.*system"):
        import_reference(**paths, out=tmp_path / "out")
    assert not mark.exists()


@pytest.mark.parametrize("keep", [0, 100, 0.5])
def test_a_truncated_checkpoint(tmp_path: Path, keep: float) -> None:
    paths = write_reference_files(tmp_path)
    data = paths["dae"].read_bytes()
    paths["dae"].write_bytes(data[: int(keep * len(data)) if keep < 1 else int(keep)])
    with pytest.raises(ModelError, match=r"last\.ckpt"):
        import_reference(**paths, out=tmp_path / "out")


def test_parts_that_do_not_belong_together(tmp_path: Path) -> None:
    paths = write_reference_files(tmp_path / "a")
    other = write_reference_files(tmp_path / "b", replace(SMALL, z_channels=7))
    with pytest.raises(ModelError, match="latents of 7"):
        import_reference(paths["dae"], other["classifier"], other["scaler"], tmp_path / "out")
    with pytest.raises(ModelError, match="classifier's mean"):
        read_classifier(paths["classifier"], other["scaler"])
    with pytest.raises(ModelError, match="expected a LogisticRegression"):
        read_classifier(paths["scaler"], paths["classifier"])


def test_the_released_classifier_comes_with_the_package() -> None:
    files = [shared_file("reference", name) for name in ("classifier_lr.pkl", "scaler.pkl")]
    read, shipped = read_classifier(*files).tensors(), released_classifier().tensors()
    for name, numbers in read.items():
        np.testing.assert_array_equal(shipped[name], numbers)


def test_other_classes_are_refused(tmp_path: Path) -> None:
    paths = write_reference_files(tmp_path)
    rng = np.random.default_rng(0)
    three = LogisticRegression().fit(rng.normal(size=(60, 12)), np.arange(60) % 3)
    paths["classifier"].write_bytes(pickle.dumps(three))
    with pytest.raises(ModelError, match="healthy"):
        read_classifier(paths["classifier"], paths["scaler"])
