"""The train verb from nothing to a model folder that loads."""

from __future__ import annotations

import argparse
import json
from pathlib import Path

import pytest

from hideseek_backend.errors import InputError
from hideseek_backend.models.store import load_model
from hideseek_backend.training import command


def _parse(*words: str) -> argparse.Namespace:
    parser = argparse.ArgumentParser()
    command.add_arguments(parser)
    return parser.parse_args(words)


def test_a_tiny_training_ends_in_a_model(tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    out = tmp_path / "model"
    args = _parse("--preset", "tiny", "--run", str(tmp_path / "run"), "--out", str(out))
    assert command.main(args) == 0
    record = json.loads(capsys.readouterr().out)
    assert record["steps"] == 40
    assert "Research use only" in (out / "MODEL_CARD.md").read_text()
    model = load_model(str(out), "cpu")
    assert model.classifier.prior is not None
    assert model.spec.training["phantom_vertebrae"] == 12
    # A second call finds everything done and writes the same weights.
    weights = (out / "weights.safetensors").read_bytes()
    command.main(args)
    assert (out / "weights.safetensors").read_bytes() == weights


def test_a_broken_description_of_real_data_is_told(tmp_path: Path) -> None:
    path = tmp_path / "real.json"
    path.write_text('{"ct": "a.nii.gz"}')
    args = _parse("--preset", "tiny", "--run", str(tmp_path), "--out", "x", "--real", str(path))
    with pytest.raises(InputError, match="lacks vertebrae, levels"):
        command.main(args)
