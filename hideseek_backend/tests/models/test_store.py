"""Model folders: round trip, places, and everything that can be wrong with one."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file
from tiny_model import write_tiny_model

from hideseek_backend.errors import DeviceError, ModelError, OutputError
from hideseek_backend.files import sha256
from hideseek_backend.models.places import available, find_folder, models_folder
from hideseek_backend.models.store import (
    list_models,
    load_model,
    round_to_half,
    save_model,
)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return write_tiny_model(tmp_path / "tiny")


def change_spec(folder: Path, **changes: Any) -> None:
    spec = json.loads((folder / "spec.json").read_text(encoding="utf-8"))
    spec.update(changes)
    (folder / "spec.json").write_text(json.dumps(spec))


def change_weights(folder: Path, change: Any) -> None:
    tensors = load_file(folder / "weights.safetensors")
    change(tensors)
    save_file({k: v.clone() for k, v in tensors.items()}, folder / "weights.safetensors")
    change_spec(folder, weights_sha256=sha256(folder / "weights.safetensors"))


def test_round_trip_is_exact(folder: Path, tmp_path: Path) -> None:
    model = load_model(folder, "cpu")
    save_model(
        tmp_path / "again",
        model.dae,
        model.classifier,
        name="tiny",
        intensity_map=model.intensity.to_dict(),
        defaults=model.spec.defaults,
    )
    again = load_model(tmp_path / "again", "cpu")
    assert again.hash == model.hash
    assert again.spec == model.spec
    assert not again.dae.training
    for mine, theirs in zip(model.dae.parameters(), again.dae.parameters(), strict=True):
        assert torch.equal(mine, theirs)
        assert theirs.data_ptr() % 64 == 0  # unaligned weights take kernels that round otherwise


def test_half_precision_halves_the_file(folder: Path, tmp_path: Path) -> None:
    model = load_model(folder, "cpu")
    save_model(
        tmp_path / "half",
        model.dae,
        model.classifier,
        name="tiny",
        intensity_map=model.intensity.to_dict(),
        half=True,
    )
    sizes = [(f / "weights.safetensors").stat().st_size for f in (folder, tmp_path / "half")]
    assert sizes[1] < 0.6 * sizes[0]
    half = load_model(tmp_path / "half", "cpu")
    assert all(p.dtype == torch.float32 for p in half.dae.parameters())
    np.testing.assert_array_equal(half.classifier.weight, model.classifier.weight)


def test_rounded_weights_are_those_that_half_precision_stores(folder: Path, tmp_path: Path) -> None:
    model = load_model(folder, "cpu")
    round_to_half(model.dae)
    save_model(
        tmp_path / "half",
        model.dae,
        model.classifier,
        name="tiny",
        intensity_map=model.intensity.to_dict(),
        half=True,
    )
    stored = load_model(tmp_path / "half", "cpu").dae.state_dict()
    for name, value in model.dae.state_dict().items():
        assert torch.equal(stored[name], value)


def test_altered_weights_are_noticed(folder: Path) -> None:
    path = folder / "weights.safetensors"
    data = bytearray(path.read_bytes())
    data[-1] ^= 1
    path.write_bytes(data)
    with pytest.raises(ModelError, match="altered or damaged"):
        load_model(folder, "cpu")


@pytest.mark.parametrize("part", ["weights.safetensors", "spec.json"])
def test_missing_parts(folder: Path, part: str) -> None:
    (folder / part).unlink()
    with pytest.raises(ModelError, match=part):
        load_model(folder, "cpu")


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"format": 2}, "format 2.*Update"),
        ({"format": None}, "format None"),
        ({"surprise": 1}, "unknown surprise"),
        ({"name": 3}, "name to be str"),
        ({"spacing_mm": 0.5}, "slices of"),
        ({"orientation": "LAS"}, "slices of"),
        ({"intensity": {"kind": "window", "low": 1, "high": 0}}, "not usable"),
        ({"intensity": {"kind": "z-score"}}, "unknown"),
        ({"architecture": {"depth": 9}}, "unknown entries: depth"),
        ({"architecture": {"parametrization": "flow"}}, "flow"),
    ],
)
def test_specs_that_cannot_be_run(folder: Path, changes: dict[str, Any], message: str) -> None:
    change_spec(folder, **changes)
    with pytest.raises(ModelError, match=f"(?s){message}"):
        load_model(folder, "cpu")


def test_a_spec_that_is_no_json(folder: Path) -> None:
    (folder / "spec.json").write_text("{")
    with pytest.raises(ModelError, match="valid JSON"):
        load_model(folder, "cpu")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda t: t.pop("dae.network.out.0.bias"), "lacks network.out.0.bias"),
        (lambda t: t.update({"dae.network.extra": torch.zeros(1)}), "unknown network.extra"),
        (lambda t: t.update({"extra": torch.zeros(1)}), "unknown parts: extra"),
        (lambda t: t.update({"dae.network.out.0.bias": torch.zeros(3)}), "other shapes"),
        (lambda t: t.update({"dae.network.out.0.bias": torch.full((8,), torch.inf)}), "finite"),
        (lambda t: t.pop("classifier.bias"), r"missing \['bias'\]"),
        (
            lambda t: t.update({k: v[:5] for k, v in t.items() if k[:4] == "clas" and len(v) > 1}),
            "latents of 5",
        ),
    ],
)
def test_weights_that_do_not_fit(folder: Path, change: Any, message: str) -> None:
    change_weights(folder, change)
    with pytest.raises(ModelError, match=message):
        load_model(folder, "cpu")


def test_a_weights_file_of_another_kind(folder: Path) -> None:
    (folder / "weights.safetensors").write_bytes(b"not safetensors")
    change_spec(folder, weights_sha256=sha256(folder / "weights.safetensors"))
    with pytest.raises(ModelError, match="cannot be read"):
        load_model(folder, "cpu")


def test_installed_models_are_found_by_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HIDESEEK_MODELS", str(tmp_path / "models"))
    write_tiny_model(tmp_path / "models" / "mine")
    broken = write_tiny_model(tmp_path / "models" / "newer")
    change_spec(broken, format=9)
    assert models_folder() == tmp_path / "models"
    assert load_model("mine", "cpu").spec.name == "tiny"
    assert {"mine", "newer"} <= set(available())
    problems = {listing.name: listing.problem for listing in list_models()}
    assert problems["mine"] == ""
    assert "format 9" in problems["newer"]
    with pytest.raises(ModelError, match="Models at hand: .*mine"):
        find_folder("absent")


def test_another_folder_is_not_overwritten(folder: Path, tmp_path: Path) -> None:
    model = load_model(folder, "cpu")
    (tmp_path / "home").mkdir()
    (tmp_path / "home" / "thesis.txt").write_text("x")
    with pytest.raises(OutputError, match="not a model folder"):
        save_model(
            tmp_path / "home",
            model.dae,
            model.classifier,
            name="tiny",
            intensity_map=model.intensity.to_dict(),
        )
    assert (tmp_path / "home" / "thesis.txt").read_text(encoding="utf-8") == "x"


@pytest.mark.parametrize("device", ["cuda:99", "tpu", "meta"])
def test_devices_that_are_not_here(folder: Path, device: str) -> None:
    with pytest.raises(DeviceError):
        load_model(folder, device)
