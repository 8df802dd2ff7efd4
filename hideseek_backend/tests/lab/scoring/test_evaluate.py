"""The evaluate verb on small folders of cases: pairing, frames, tables and the page."""

from __future__ import annotations

import argparse
import csv
import json
from pathlib import Path

import numpy as np
import pytest
import SimpleITK as sitk

from hideseek_backend.errors import GeometryError, InputError, OutputError
from hideseek_lab.cli import evaluate as command
from hideseek_lab.scoring.cases import find_cases
from hideseek_lab.scoring.evaluate import ScoringOptions, evaluate_cases
from hideseek_lab.scoring.masks import read_mask

pytest.importorskip("panoptica")


def write(path: Path, array: np.ndarray, spacing: float = 1.0, origin: float = 0.0) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    image = sitk.GetImageFromArray(array.transpose())
    image.SetSpacing([spacing] * array.ndim)
    image.SetOrigin([origin] * array.ndim)
    sitk.WriteImage(image, str(path))
    return path


def truth_volume() -> np.ndarray:
    truth = np.zeros((20, 20, 20), dtype=np.uint8)
    truth[2:6, 2:6, 2:6] = 1
    truth[12:16, 12:16, 12:16] = 2
    return truth


def run(*arguments: str) -> int:
    parser = argparse.ArgumentParser()
    command.add_arguments(parser)
    return command.main(parser.parse_args(list(arguments)))


@pytest.fixture
def study(tmp_path: Path) -> Path:
    """Two 3D cases: a perfect prediction, and one with a missed and a false lesion."""
    truth = truth_volume()
    bodies = np.zeros_like(truth)
    bodies[:, :, :10], bodies[:, :, 10:] = 20, 21
    second = truth.copy()
    second[2:6, 2:6, 2:6] = 0
    second[12:16, 2:4, 12:16] = 2
    for name, prediction in (("a", truth), ("b", second)):
        write(tmp_path / "pred" / name / "lesions.nii.gz", prediction)
        write(tmp_path / "truth" / name / "truth.nii.gz", truth)
        write(tmp_path / "bodies" / f"{name}.nii.gz", bodies)
    return tmp_path


def test_verb_writes_tables_and_a_page(study: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = study / "out"
    assert run(str(study / "pred"), str(study / "truth"), "--out", str(out)) == 0
    assert "Detection F1 (RQ)" in capsys.readouterr().out
    result = json.loads((out / "evaluation.json").read_text(encoding="utf-8"))
    # case a: RQ 1; case b: one hit, one miss, one false
    assert result["summary"]["mixed"]["rq"] == pytest.approx([0.75, 0.25])
    assert result["summary"]["mixed"]["n"] == 2
    assert result["counts"]["lytic"]["missed_a"] == 1
    assert result["counts"]["blastic"]["extra_b"] == 1
    assert result["icc_2_1_total_volume"] is not None
    page = (out / "evaluation.html").read_text(encoding="utf-8")
    assert "not cleared for diagnosis" in page
    assert "http" not in page.replace("http-equiv", "")
    with (out / "lesions.csv").open() as stream:
        rows = list(csv.DictReader(stream))
    assert [row["matched"] for row in rows] == ["true", "true", "false", "true"]
    assert {path.suffix for path in out.iterdir() if path.name[0] != "."} == {
        ".csv",
        ".json",
        ".html",
        ".png",
    }


def test_bodies_make_units_of_vertebrae(study: Path) -> None:
    cases = find_cases(study / "pred", study / "truth", study / "bodies")
    evaluation = evaluate_cases(cases)
    assert [(u.case, u.name, u.phenotype) for u in evaluation.units] == [
        ("a", "20", "lytic"), ("a", "21", "blastic"),
        ("b", "20", "lytic"), ("b", "21", "blastic"),
    ]  # fmt: skip
    assert evaluation.summary["lytic"]["recall"].mean == 0.5
    assert evaluation.summary["blastic"]["precision"].mean == 0.75
    assert evaluation.per_vertebra


def test_lesions_outside_every_body_are_left_out_and_counted(study: Path) -> None:
    bodies = np.zeros((20, 20, 20), dtype=np.uint8)
    bodies[:, :, :10] = 20
    for name in "ab":
        write(study / "bodies" / f"{name}.nii.gz", bodies)
    evaluation = evaluate_cases(find_cases(study / "pred", study / "truth", study / "bodies"))
    assert [total.outside_reference_mm3 for total in evaluation.totals] == [64.0, 64.0]
    assert evaluation.totals[1].outside_predicted_mm3 == 64.0 + 32.0


def test_delta_of_candidates_becomes_the_confidence(study: Path) -> None:
    head = (
        "vertebra,candidate,polarity,delta,kept,p_hide,slices,area_px,volume_mm3,mean_hu,"
        "centroid_r_mm,centroid_a_mm,centroid_s_mm\n"
    )
    # ITK's LPS file at the origin: RAS flips the first two axes
    blastic = "T12,2,blastic,0.9,true,0.9,13,16,64,500,-13.5,-13.5,13.5\n"
    false = "T12,3,blastic,0.6,true,0.6,13,16,64,500,-13.5,-2.5,13.5\n"
    lytic = "T11,1,lytic,0.7,true,0.7,3,16,64,20,-3.5,-3.5,3.5\n"
    dropped = "T11,4,lytic,0.99,false,0.2,3,16,64,20,-3.5,-3.5,3.5\n"
    (study / "pred/a/candidates.csv").write_text(head + blastic + lytic + dropped)
    (study / "pred/b/candidates.csv").write_text(head + false + blastic)
    evaluation = evaluate_cases(find_cases(study / "pred", study / "truth", study / "bodies"))
    assert evaluation.confidence == "delta"
    assert [unit.confidences for unit in evaluation.units] == [(0.7,), (0.9,), (), (0.6, 0.9)]
    curve = evaluation.froc["all lesions"]
    np.testing.assert_allclose(curve.thresholds, [0.9, 0.7, 0.6])
    np.testing.assert_allclose(curve.sensitivity, [0.5, 0.75, 0.75])
    np.testing.assert_allclose(curve.false_positives, [0, 0, 0.5])


def test_volume_error_of_large_lesions(tmp_path: Path) -> None:
    truth = np.zeros((24, 24, 24), dtype=np.uint8)
    truth[2:12, 2:12, 2:12], truth[16:19, 16:19, 16:19] = 1, 2
    prediction = truth.copy()
    prediction[2:12, 2:12, 11] = 0  # a tenth of 1 mL
    prediction[16:19, 16:19, 18] = 0  # a third of a lesion that is too small to count
    files = [write(tmp_path / f"{n}.nii.gz", a) for n, a in (("p", prediction), ("t", truth))]
    error = evaluate_cases(find_cases(*files)).volume_error
    assert (error.lesions, error.median_absolute) == (1, pytest.approx(0.1))


def test_slices_and_single_files(tmp_path: Path) -> None:
    truth = np.zeros((16, 16), dtype=np.uint8)
    truth[3:8, 3:8] = 2
    write(tmp_path / "flat.mha", truth, spacing=0.8)
    write(tmp_path / "thin.nii.gz", truth[:, :, None], spacing=0.8)
    assert read_mask(tmp_path / "thin.nii.gz").labels.shape == (16, 16)
    [case] = find_cases(tmp_path / "flat.mha", tmp_path / "flat.mha")
    evaluation = evaluate_cases([case])
    assert evaluation.dimensions == 2
    assert evaluation.summary["blastic"]["rq"].mean == 1.0
    assert set(evaluation.froc) == {"all lesions"}


def test_inter_rater_page_has_both_tables(study: Path) -> None:
    out = study / "raters"
    run(str(study / "pred"), str(study / "truth"), "--out", str(out), "--inter-rater")
    page = (out / "evaluation.html").read_text(encoding="utf-8")
    assert "Agreement of two raters" in page
    assert "FN rate" in page
    assert "25.00 %" not in page
    assert "50.00 %" in page  # one of two lytic lesions missed


def test_healthy_units_are_reported_apart(study: Path) -> None:
    empty = np.zeros((20, 20, 20), dtype=np.uint8)
    for name in "ab":
        write(study / "truth" / name / "truth.nii.gz", empty)
    evaluation = evaluate_cases(find_cases(study / "pred", study / "truth"))
    assert evaluation.summary == {}
    assert evaluation.false is not None
    assert evaluation.false.components == 2.0
    assert evaluation.false.median_mm3 == pytest.approx(112.0)


def test_merged_polarity_accepts_the_other_label(study: Path) -> None:
    truth = truth_volume()
    write(study / "pred/a/lesions.nii.gz", np.where(truth > 0, 1, 0).astype(np.uint8))
    cases = find_cases(study / "pred", study / "truth")
    assert evaluate_cases(cases).units[0].scores.values["rq"] == 0.5
    merged = evaluate_cases(cases, ScoringOptions(polarity="merged"))
    assert merged.units[0].scores.values["rq"] == 1.0


def test_unpaired_and_missing_files_are_named(study: Path) -> None:
    (study / "pred/b/lesions.nii.gz").unlink()
    (study / "truth/c").mkdir()
    write(study / "truth/c/truth.nii.gz", truth_volume())
    with pytest.raises(InputError, match="2 of 3 references have no prediction: b, c"):
        find_cases(study / "pred", study / "truth")
    with pytest.raises(InputError, match="do not exist"):
        find_cases(study / "nowhere", study / "truth")
    (study / "void").mkdir()
    with pytest.raises(InputError, match="No masks found"):
        find_cases(study / "void", study / "truth")


def test_frames_must_agree(study: Path) -> None:
    write(study / "pred/a/lesions.nii.gz", truth_volume(), origin=3.0)
    with pytest.raises(GeometryError, match="do not lie on one grid"):
        evaluate_cases(find_cases(study / "pred", study / "truth"))


def test_unreadable_masks_are_refused(tmp_path: Path) -> None:
    broken = tmp_path / "broken.nii.gz"
    broken.write_bytes(b"no image")
    with pytest.raises(InputError, match="cannot be read"):
        read_mask(broken)
    write(tmp_path / "p.nii.gz", np.full((4, 4, 4), 0.5, dtype=np.float32))
    with pytest.raises(InputError, match="no whole numbers"):
        read_mask(tmp_path / "p.nii.gz")


def test_output_folder_that_cannot_be_used(study: Path) -> None:
    (study / "file").write_text("")
    with pytest.raises(OutputError):
        run(str(study / "pred"), str(study / "truth"), "--out", str(study / "file" / "out"))
    (study / "mine").mkdir()
    (study / "mine" / "notes.txt").write_text("keep")
    with pytest.raises(OutputError, match="not empty"):
        run(str(study / "pred"), str(study / "truth"), "--out", str(study / "mine"))
