"""From DICOM patients and their table to a model that loads."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from dicom_patients import write_patient, write_table

from hideseek_backend.cli import main
from hideseek_backend.models.store import load_model
from hideseek_lab.manifest import read_manifest

pytest.importorskip("highdicom", reason="needs the extra dicom")

PATIENTS = {
    1: {"L1": "lytic"}, 2: {"T12": "blastic"}, 3: {"L2": "lytic", "L1": "blastic"},
    4: {}, 5: {"L1": "lytic"},
}  # fmt: skip


@pytest.fixture(scope="module")
def manifest(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("tcia")
    for number, diseased in PATIENTS.items():
        write_patient(root / "Spine-Mets-CT-SEG", number, diseased)
    write_table(root / "clinical.csv", PATIENTS)
    out = root / "manifest.csv"
    words = ["manifest", "from", "spine-mets", str(root / "Spine-Mets-CT-SEG")]
    words += ["--clinical", str(root / "clinical.csv"), "--out", str(out)]
    assert main([*words, "--split", "0.6,0.2,0.2"]) == 0
    return out


def test_the_import_knows_every_vertebra(manifest: Path) -> None:
    cases = {case.patient: case for case in read_manifest(manifest).cases}
    assert set(cases) == {f"P{n}" for n in PATIENTS}
    for number, diseased in PATIENTS.items():
        expected = {level: diseased.get(level, "healthy") for level in ("T12", "L1", "L2")}
        assert cases[f"P{number}"].labels == expected
    assert len({case.split for case in cases.values()}) == 3


def test_check_says_what_it_understood(manifest: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["train", "--manifest", str(manifest), "--check"]) == 0
    said = capsys.readouterr().err
    assert "levels: T12 5, L1 5, L2 5" in said and "spacing: 1.50 to 2.00 mm" in said
    assert "left out: 0" in said
    train = next(line for line in said.splitlines() if line.startswith("train"))
    assert train.split()[1:3] == ["3", "3"]


def test_a_tiny_model_is_trained_and_resumed(
    manifest: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["train", "--manifest", str(manifest), "--preset", "tiny", "--device", "cpu"]
    words += ["--run", str(tmp_path / "run"), "--out", str(tmp_path / "model"), "--steps"]
    assert main([*words, "20"]) == 0
    record = json.loads(capsys.readouterr().out)
    assert record["train_patients"] == 3 and record["train_vertebrae"] == 9
    model = load_model(tmp_path / "model", "cpu")
    assert model.classifier.prior is not None
    card = (tmp_path / "model" / "MODEL_CARD.md").read_text(encoding="utf-8")
    assert "Research use only" in card and "3 patients" in card
    shards = sorted((tmp_path / "run" / "data").iterdir())
    with np.load(shards[0], allow_pickle=False) as shard:
        assert shard["hu"].shape[1:] == (64, 64) and len(shard["hu"]) == shard["first"][-1]
        assert len(shard["hu"]) > 3 * 30  # all slices of three bodies
    before = [path.stat().st_mtime_ns for path in shards]
    assert main([*words, "25"]) == 0
    assert json.loads(capsys.readouterr().out)["steps"] == 25
    assert [path.stat().st_mtime_ns for path in shards] == before
