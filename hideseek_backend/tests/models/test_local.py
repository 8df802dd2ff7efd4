"""Models from local folders and archives: copied whole, verified, and nothing else written."""

from __future__ import annotations

import zipfile
from pathlib import Path

import pytest
from tiny_model import write_tiny_model

from hideseek_backend.errors import ModelError, OutputError
from hideseek_backend.models.local import add_model
from hideseek_backend.models.store import load_model


@pytest.fixture
def tiny(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("HIDESEEK_MODELS", str(tmp_path / "home é" / "models"))
    return write_tiny_model(tmp_path / "given")


def test_a_folder_or_a_file_in_it_is_taken(tiny: Path) -> None:
    name, digest, folder = add_model(tiny)
    assert name == "tiny" and load_model("tiny", device="cpu").hash == digest
    assert add_model(tiny / "weights.safetensors") == (name, digest, folder)
    assert [p.name for p in folder.parent.iterdir()] == ["tiny"]  # nothing half-made stays


def test_a_zip_is_taken_and_may_not_write_elsewhere(tiny: Path, tmp_path: Path) -> None:
    packed = tmp_path / "m.zip"
    with zipfile.ZipFile(packed, "w") as archive:
        for part in tiny.iterdir():
            archive.write(part, f"../../outside/{part.name}")
        archive.writestr("../evil.py", "1")
    name, _, folder = add_model(packed)
    assert name == "tiny" and {p.name for p in folder.iterdir()} <= {
        "spec.json",
        "weights.safetensors",
        "MODEL_CARD.md",
    }
    assert not (tmp_path / "outside").exists() and not list(tmp_path.rglob("evil.py"))


def test_an_altered_model_is_refused(tiny: Path) -> None:
    weights = tiny / "weights.safetensors"
    data = bytearray(weights.read_bytes())
    data[-1] ^= 1
    weights.write_bytes(data)
    with pytest.raises(ModelError, match="altered"):
        add_model(tiny)


def test_what_is_no_model_is_refused(tmp_path: Path, tiny: Path) -> None:
    (tmp_path / "x.txt").write_text("x")
    for path in (tmp_path / "x.txt", tmp_path / "nowhere"):
        with pytest.raises(ModelError, match="is no model"):
            add_model(path)


def test_another_model_of_the_same_name_needs_replace(tiny: Path, tmp_path: Path) -> None:
    add_model(tiny)
    other = write_tiny_model(tmp_path / "other", seed=1)
    with pytest.raises(OutputError, match="Another model"):
        add_model(other)
    assert add_model(other, replace=True)[1] == load_model("tiny", device="cpu").hash
