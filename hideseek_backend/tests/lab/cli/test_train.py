"""The train verb from nothing to a model folder that loads."""

from __future__ import annotations

import argparse
import json
from pathlib import Path

import numpy as np
import pytest

from hideseek_backend.errors import InputError
from hideseek_backend.models.store import load_model
from hideseek_lab.cli import real_arguments
from hideseek_lab.cli import train as command
from hideseek_lab.training import dataset
from hideseek_lab.training.presets import PRESETS
from hideseek_lab.training.real_cases import RealCase


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
    assert "Research use only" in (out / "MODEL_CARD.md").read_text(encoding="utf-8")
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


def test_a_start_without_a_state_is_told(tmp_path: Path) -> None:
    words = ("--preset", "tiny", "--run", str(tmp_path), "--out", "x")
    with pytest.raises(InputError, match="holds no state.pt"):
        command.main(_parse(*words, "--start-from", str(tmp_path / "none")))


def test_a_start_from_another_network_is_told_before_any_work(tmp_path: Path) -> None:
    (tmp_path / "state.pt").touch()
    (tmp_path / "config.json").write_text(json.dumps(PRESETS["bundled"].train.to_dict()))
    words = ("--preset", "tiny", "--run", str(tmp_path / "run"), "--out", "x")
    with pytest.raises(InputError, match="another architecture"):
        command.main(_parse(*words, "--start-from", str(tmp_path)))
    assert not (tmp_path / "run").exists()


def _case(name: str, patient: str) -> RealCase:
    return RealCase(name, patient, Path("ct"), Path("masks"), None, None, ("L1",))


def test_batches_are_drawn_from_every_kind_of_shard(tmp_path: Path) -> None:
    for name in ("phantom-0000000", "phantom-1000000", "wide-0050000", "real-a-000", "real-b-000"):
        hu = np.zeros((8, 64, 64), np.int16)
        samples = [dataset.Sample(hu, (0.0, 0.0, 0.0), name)] * 2
        dataset.write_shard(tmp_path / f"{name}.npz", samples)
    with_all = command.shard_sets(tmp_path, PRESETS["bundled"], [_case("a", "A")])
    assert [share for _, share in with_all] == pytest.approx([0.1, 0.4, 0.5])
    # What is held out lies in the folder, and is not read.
    assert [len(shards) for shards, _ in with_all] == [2, 2, 2]
    assert [share for _, share in command.shard_sets(tmp_path, PRESETS["tiny"], [])] == [1]


def test_both_scans_of_a_patient_are_held_out() -> None:
    cases = [_case("a1", "A"), _case("a2", "A"), _case("b", "B")]
    seen, held_out = real_arguments.parted(cases, ["A"])
    assert [case.name for case in seen] == ["b"]
    assert [case.name for case in held_out] == ["a1", "a2"]
    with pytest.raises(InputError, match="no case given by --real"):
        real_arguments.parted(cases, ["C"])
