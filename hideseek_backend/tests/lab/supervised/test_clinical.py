"""The clinical analysis of masks on disk, its files, and the command, on cases counted by hand."""

from __future__ import annotations

import json
import math
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest

from hideseek_backend.cli import main
from hideseek_backend.errors import InputError
from hideseek_lab.scoring.cases import find_cases
from hideseek_lab.scoring.evaluate import ScoringOptions
from hideseek_lab.supervised.clinical.analysis import (
    ClinicalOptions,
    analyse,
    differences,
    files_by_case,
)
from hideseek_lab.supervised.clinical.bones import read_scheme

SHAPE = (30, 30, 20)
AFFINE = np.diag([-2.0, -2.0, 2.0, 1.0])  # 8 mm³ a voxel


def _write(path: Path, array: np.ndarray) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    nib.save(nib.Nifti1Image(array, AFFINE), path)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Two cases. one: a lesion of 1,000 mm³ found by half and one of 64 mm³ missed, a false one of
    64 mm³. two: a lesion of 216 mm³ found exactly."""
    bones = np.zeros(SHAPE, np.uint8)
    bones[0:12, 0:12, 0:9] = 27  # L5
    bones[0:12, 0:12, 10:20] = 28  # L4
    bones[20:26, 0:12] = 95  # a rib
    truth = {name: np.zeros(SHAPE, np.uint8) for name in ("one", "two")}
    guess = {name: np.zeros(SHAPE, np.uint8) for name in ("one", "two")}
    truth["one"][2:7, 2:7, 2:7] = 1  # 125 voxels
    guess["one"][2:7, 2:7, 2:5] = 1  # 75 of them
    truth["one"][22:24, 2:4, 15:17] = 2
    guess["one"][22:24, 8:10, 2:4] = 2
    truth["two"][3:6, 3:6, 12:15] = 2
    guess["two"][3:6, 3:6, 12:15] = 2
    for name in truth:
        _write(tmp_path / "truth" / f"{name}.nii.gz", truth[name])
        _write(tmp_path / "guess" / f"{name}.nii.gz", guess[name])
        _write(tmp_path / "bones" / f"{name}.nii.gz", bones)
        _write(tmp_path / "other" / f"{name}.nii.gz", truth[name])
    return tmp_path


def _analyse(folder: Path, name: str = "guess"):
    cases = find_cases(folder / name, folder / "truth")
    bones = files_by_case(folder / "bones", ["one", "two"], ("bones",))
    options = ClinicalOptions(bones=bones, names=read_scheme("totalsegmentator"))
    return analyse(name, cases, ScoringOptions(), options)


def test_figures_by_hand(folder: Path) -> None:
    system = _analyse(folder)
    one, two = system.figures.cases
    assert (one.lesions, one.found, one.false) == (2, 1, 1)
    assert one.f2 == pytest.approx(5 / (5 + 4 + 1)) and two.f2 == 1.0
    assert one.sensitivity == 0.5 and one.precision == 0.5
    assert one.large_sensitivity == 1.0 and math.isnan(two.large_sensitivity)
    dice = 2 * 75 / 200
    assert one.dice == pytest.approx(dice / 2) and one.found_dice == pytest.approx(dice)
    assert one.global_dice == pytest.approx(2 * 75 / (125 + 75 + 8 + 8))
    assert (one.reference_ml, one.predicted_ml) == (pytest.approx(1.064), pytest.approx(0.664))
    assert two.dice == two.global_dice == two.nsd == 1.0
    assert system.figures.means["f2"].value == pytest.approx(0.75)
    by_size = {b.least_ml: b for b in system.figures.by_size}
    assert by_size[0.0].lesions == 3 and by_size[0.0].sensitivity == pytest.approx(2 / 3)
    assert by_size[0.0].false_per_case == 0.5 and by_size[0.1].false_per_case == 0
    assert by_size[0.1].lesions == 2 and by_size[1.0].lesions == 1
    assert math.isnan(by_size[2.0].sensitivity)


def test_lesions_and_tasks_by_hand(folder: Path) -> None:
    system = _analyse(folder)
    assert system.count_sensitivity == pytest.approx(2 / 3)
    # case one: L4 alone has no lesion and is clean; case two: L5 and the rib
    assert [case.healthy_bones for case in system.lesions] == [(1, 1), (2, 2)]
    assert system.bone_specificity == 1.0
    tasks = {t.task: t for t in system.tasks}
    # true lesions of case one end at slice 6 and begin at 15: nine apart; found one has no partner
    clustered = tasks["clustered (another within 10 slices)"]
    assert (clustered.tp, clustered.fn, clustered.fp, clustered.tn) == (1, 1, 0, 1)
    bearing = tasks["weight bearing"]
    assert (bearing.tp, bearing.fn, bearing.fp, bearing.tn) == (2, 0, 0, 1)
    assert tasks["in rib"].sensitivity == 0 and tasks["in spine"].sensitivity == 1
    assert tasks["diffuse"].tn == 3


def test_a_second_system_is_compared(folder: Path) -> None:
    found = differences([_analyse(folder), _analyse(folder, "other")])
    rows = {d.metric: d for d in found}
    assert rows["f2"].paired is not None
    assert rows["f2"].paired.difference == pytest.approx(0.25) and rows["f2"].paired.n == 2
    assert rows["dice of lesions found"].paired is None
    assert rows["dice of lesions found"].unpaired <= 1.0


def test_the_command_writes_pages_and_tables(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = folder / "out"
    status = main([
        "evaluate", str(folder / "guess"), str(folder / "truth"), "--out", str(out), "--clinical",
        "--bones", str(folder / "bones"), "--bone-labels", "totalsegmentator",
        "--against", f"perfect={folder / 'other'}",
    ])  # fmt: skip
    assert status == 0
    said = capsys.readouterr().out
    assert "found 2, sensitivity 0.67" in said and "perfect:" in said
    page = (out / "clinical.html").read_text(encoding="utf-8")
    assert "Clinical tasks" in page and "fills 80 %" in page and "research use" in page.lower()
    values = json.loads((out / "clinical.json").read_text(encoding="utf-8"))
    assert values["systems"][0]["lesions_by_the_paper's_rule"]["true"] == 3
    assert values["systems"][1]["mean"]["f2"]["value"] == 1.0
    rows = (out / "clinical_lesions.csv").read_text(encoding="utf-8").splitlines()
    assert len(rows) == 1 + 6 + 6 and "rib_left_4" in "".join(rows)
    assert (out / "evaluation.html").is_file()


def test_bad_input_is_told(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    cases = find_cases(folder / "guess", folder / "truth")
    with pytest.raises(InputError, match="1 of 2 cases have no bones: two"):
        analyse("x", cases, ScoringOptions(),
                ClinicalOptions(bones={"one": folder / "bones" / "one.nii.gz"}))  # fmt: skip
    words = ["evaluate", str(folder / "guess"), str(folder / "truth"), "--clinical"]
    out = folder / "failed"
    assert main([*words, "--out", str(out), "--bones", str(folder / "bones")]) != 0
    assert "--bone-labels" in capsys.readouterr().err
    assert not out.exists()
    assert main([*words, "--out", str(out), "--against", "nameless"]) != 0
    assert "NAME=PRED" in capsys.readouterr().err
