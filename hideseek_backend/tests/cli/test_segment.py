"""The main verbs on a small case, with a network whose pictures mean nothing."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest

from hideseek_backend.cli import main

from .conftest import words


def rows(path: Path) -> list[dict[str, str]]:
    with path.open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def test_segment_writes_consistent_files(
    case: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "out"
    settings = ["--levels", "L1-L2", "--tau", "-10", "--polarity", "both", "--set", "min_area=3"]
    assert main(words(case, out, *settings)) == 0
    printed = capsys.readouterr().out
    assert "Research use only" in printed and str(out / "report.html") in printed
    lesions, ct = nib.load(out / "lesions.nii.gz"), nib.load(case / "ct.nii.gz")
    assert lesions.shape == ct.shape and np.allclose(lesions.affine, ct.affine)
    vertebrae, candidates = rows(out / "vertebrae.csv"), rows(out / "candidates.csv")
    assert [v["vertebra"] for v in vertebrae] == ["L1", "L2"]
    assert all(v["analysed"] == "true" for v in vertebrae)
    assert candidates and all(c["kept"] == "true" for c in candidates)
    voxel = float(abs(np.linalg.det(ct.affine[:3, :3])))
    data = np.asarray(lesions.dataobj)
    for code, polarity in ((1, "lytic"), (2, "blastic")):
        total = sum(float(v[f"{polarity}_volume_mm3"]) for v in vertebrae)
        assert (data == code).sum() * voxel == pytest.approx(total, abs=0.2)
    record = json.loads((out / "report.json").read_text(encoding="utf-8"))
    assert record["options"]["tau"] == -10 and record["options"]["min_area"] == 3
    assert record["options"]["invert_steps"] == 2  # the model's own default
    assert record["provenance"]["inputs"]["ct"] == "ct.nii.gz"  # a name, never a path


def test_the_same_seed_gives_the_same_files(case: Path, tmp_path: Path) -> None:
    for name in ("a", "b"):
        assert main(words(case, tmp_path / name, "--levels", "L2", "--tau", "0.25")) == 0
    files = {p.name for p in (tmp_path / "a").iterdir()} - {"report.json", ".hideseek-files.json"}
    assert len(files) == 7
    for name in files:
        assert (tmp_path / "a" / name).read_bytes() == (tmp_path / "b" / name).read_bytes(), name


def test_a_second_run_replaces_the_first(case: Path, tmp_path: Path) -> None:
    assert main(words(case, tmp_path / "out", "--levels", "L2")) == 0
    assert main(words(case, tmp_path / "out", verb="screen")) == 0
    assert {p.name for p in (tmp_path / "out").iterdir()} == {
        "vertebrae.csv",
        "report.json",
        ".hideseek-files.json",
    }
    vertebrae = rows(tmp_path / "out" / "vertebrae.csv")
    assert [v["vertebra"] for v in vertebrae] == ["L1", "L2", "L3"]
    assert all(0 < float(v["p_malignant"]) <= 1 and v["analysed"] == "false" for v in vertebrae)


def test_the_case_does_not_depend_on_the_working_folder(
    case: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert main(words(case, Path("out"), "--levels", "L3")) == 0
    assert (tmp_path / "out" / "report.html").is_file()


def test_score_of_a_drawn_mask(
    case: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    vertebrae = nib.load(case / "vertebrae.nii.gz")
    labels = np.asarray(vertebrae.dataobj)
    level = int(np.unique(labels[labels > 0])[0])
    place = np.argwhere(labels == level).mean(axis=0).round().astype(int)
    drawn = np.zeros(labels.shape, np.uint8)
    drawn[tuple(slice(n - 3, n + 4) for n in place)] = 1
    drawn[labels != level] = 0
    nib.save(nib.Nifti1Image(drawn, vertebrae.affine), tmp_path / "drawn.nii.gz")
    out = tmp_path / "out"
    settings = ["--candidates", str(tmp_path / "drawn.nii.gz"), "--slices", "all"]
    assert main(words(case, out, *settings, verb="score")) == 0
    assert "reader" in capsys.readouterr().out
    mine = [row for row in rows(out / "candidates.csv") if row["source"] == "reader"]
    assert len(mine) >= 1 and all(row["delta"] and row["p_hide"] for row in mine)
    assert {p.name for p in out.iterdir()} == {
        "candidates.csv", "vertebrae.csv", "report.json", "report.html", "case.json.gz",
        ".hideseek-files.json",
    }  # fmt: skip
    assert "drawn" in (out / "report.html").read_text(encoding="utf-8")
