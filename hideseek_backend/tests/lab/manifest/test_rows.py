"""Manifests as users write them, and what is refused."""

from __future__ import annotations

from pathlib import Path

import pytest

from hideseek_backend.errors import InputError
from hideseek_lab.manifest import Row, read_manifest, write_manifest
from hideseek_lab.manifest.splits import assign_splits

HEAD = "patient,case,ct,vertebrae,level,label,split\n"


def _manifest(folder: Path, *lines: str, head: str = HEAD) -> Path:
    for name in ("a.nii.gz", "b.nii.gz", "m.nii.gz"):
        (folder / name).touch()
    path = folder / "m.csv"
    path.write_text(head + "\n".join(lines) + "\n")
    return path


def test_rows_of_one_scan_make_one_case(tmp_path: Path) -> None:
    path = _manifest(
        tmp_path,
        "P1,P1a,a.nii.gz,m.nii.gz,,healthy,train",
        "P1,P1a,a.nii.gz,m.nii.gz,th12,Lytic,train",
        "P2,,b.nii.gz,m.nii.gz,L1,fracture,val",
    )
    first, second = read_manifest(path).cases
    assert (first.name, first.patient, first.split) == ("P1a", "P1", "train")
    assert first.label_of("T12") == "lytic" and first.label_of("L1") == "healthy"
    assert first.ct == tmp_path / "a.nii.gz"
    assert second.name == "P2" and second.split == "validation"
    assert second.label_of("L1") == "fracture" and second.label_of("L2") is None


@pytest.mark.parametrize("ending", ["csv", "xlsx", "json"])
def test_every_format_says_the_same(tmp_path: Path, ending: str) -> None:
    if ending == "xlsx":
        pytest.importorskip("openpyxl", reason="needs the extra tables")
    _manifest(tmp_path)
    row = Row("007", "x", str(tmp_path / "a.nii.gz"), str(tmp_path / "m.nii.gz"), level="L1",
              label="mixed", split="test", date="2009-04-04")  # fmt: skip
    write_manifest(tmp_path / f"x.{ending}", [row])
    (case,) = read_manifest(tmp_path / f"x.{ending}").cases
    assert case.patient == "007" and case.labels == {"L1": "mixed"} and case.split == "test"


def test_a_spreadsheet_with_semicolons_and_a_mark_is_read(tmp_path: Path) -> None:
    path = _manifest(tmp_path, head="")
    path.write_text("\ufeffPatient;CT;Level;Label;Nurse\nP1;a.nii.gz;L1;healthy;x\n", "utf-8")
    manifest = read_manifest(path)
    assert manifest.cases[0].labels == {"L1": "healthy"} and manifest.ignored == ("Nurse",)


def test_a_patient_in_two_splits_is_refused(tmp_path: Path) -> None:
    path = _manifest(
        tmp_path,
        "P1,a,a.nii.gz,m.nii.gz,L1,healthy,train",
        "P1,b,b.nii.gz,m.nii.gz,L1,healthy,test",
    )
    with pytest.raises(InputError, match="Row 3: patient 'P1' is in split test, and in train"):
        read_manifest(path)


def test_every_wrong_row_is_named(tmp_path: Path) -> None:
    path = _manifest(
        tmp_path,
        "P1,a,a.nii.gz,m.nii.gz,L9,healthy,train",
        "P2,b,gone.nii.gz,m.nii.gz,L1,sick,trian",
        "P3,../x,a.nii.gz,m.nii.gz,,healthy,train",
        "P4,d,a.nii.gz,m.nii.gz,L1,healthy,train",
        "P4,d,a.nii.gz,m.nii.gz,L1,lytic,train",
        "P5,d,a.nii.gz,m.nii.gz,L2,lytic,train",
    )
    with pytest.raises(InputError) as caught:
        read_manifest(path)
    for text in (
        "Row 2: level 'L9'", "Row 3: ct is not at", "Row 3: label 'sick'", "Row 3: split 'trian'",
        "Row 4: case '../x' cannot name a folder", "Row 6: L1 of 'd' a second time",
        "Row 7: case 'd' is of another patient",
    ):  # fmt: skip
        assert text in str(caught.value)


def test_missing_columns_are_told(tmp_path: Path) -> None:
    path = _manifest(tmp_path, "a.nii.gz,x", head="image,label\n")
    with pytest.raises(InputError, match="columns patient and ct"):
        read_manifest(path)


def test_patients_are_split_whole_and_ill_ones_evenly() -> None:
    rows = [
        Row(f"P{n}", f"P{n}{k}", "x", level="L1", label="lytic" if n % 2 else "healthy")
        for n in range(40)
        for k in "ab"
    ]
    done = assign_splits(rows, (0.5, 0.25, 0.25), seed=3)
    by_patient = {row.patient: row.split for row in done}
    assert all(by_patient[row.patient] == row.split for row in done)
    ill = [by_patient[f"P{n}"] for n in range(1, 40, 2)]
    assert [ill.count(s) for s in ("train", "validation", "test")] == [10, 5, 5]
    assert assign_splits(rows, (0.5, 0.25, 0.25), seed=3) == done
