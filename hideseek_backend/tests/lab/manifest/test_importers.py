"""Importers on fabricated trees, and on the published table where it is at hand."""

from __future__ import annotations

import csv
import json
from collections import Counter
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
from shared_data import shared_file

from hideseek_backend.cli import main
from hideseek_backend.errors import InputError
from hideseek_lab.manifest import read_manifest
from hideseek_lab.manifest.nnunet import folds_of
from hideseek_lab.manifest.results import label_of
from hideseek_lab.manifest.rows import Case
from hideseek_lab.manifest.spine_mets import read_clinical
from hideseek_lab.manifest.wording import clauses, levels_in


def _nifti(path: Path, value: float = 0.0) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    nib.save(nib.Nifti1Image(np.full((12, 12, 12), value, np.int16), np.diag([2, 2, 2, 1])), path)
    return path


@pytest.mark.parametrize(
    "text, levels",
    [
        ("Mixed lesions: T1, T2 T3; L3 L4", "T1 T2 T3 L3 L4"),
        ("Th11-L2", "T11 T12 L1 L2"),
        ("T11 to the sacrum", "T11 T12 L1 L2 L3 L4 L5"),
        ("13 thoracic bodies, L 3 and t04", "T4 L3"),
        ("none", ""),
    ],
)
def test_levels_in_readers_words(text: str, levels: str) -> None:
    assert " ".join(levels_in(text)) == levels


def test_a_list_of_levels_stays_in_its_clause() -> None:
    said = clauses("Compression at T3, T6, T7. L1 R pedicle, Compression FX L5")
    assert said == ("Compression at T3, T6, T7", "L1 R pedicle", "Compression FX L5")


def test_the_published_table() -> None:
    readings = read_clinical(shared_file("data", "spine_mets", "clinical.csv"))
    assert len(readings) == 55
    assert sum(not r.labels for r in readings.values()) == 9
    assert readings["13643"].labels == {"L5": "blastic", "L4": "blastic", "L3": "mixed"}
    assert readings["10250"].labels == {"T2": "mixed", "T8": "healthy"}  # a haemangioma
    # Fractures are named in remarks, an arch is no body, "small lesions" are doubt.
    assert readings["13055"].labels["L3"] == readings["14427"].labels["L1"] == "fracture"
    assert readings["13697"].labels == {"L1": "exclude"}
    assert readings["14445"].labels["T11"] == "blastic"  # pedicle and body
    assert readings["13089"].labels["L4"] == "unknown"
    counts = Counter(label for r in readings.values() for label in r.labels.values())
    assert counts["mixed"] > 50 and counts["blastic"] > 50 and counts["lytic"] > 40


def test_other_heads_are_named_by_option(tmp_path: Path) -> None:
    table = tmp_path / "t.csv"
    table.write_text("Nr,Type II,Type I\n7,T12,L1\n")
    with pytest.raises(InputError, match="column of patient"):
        read_clinical(table)
    heads = {"patient": "nr", "blastic": "Type II", "lytic": "Type I"}
    assert read_clinical(table, heads)["7"].labels == {"T12": "blastic", "L1": "lytic"}


def test_verse_folders(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    root = tmp_path / "verse"
    for subject, split in (("verse004", "training"), ("verse500", "test")):
        base = root / f"dataset-{split}"
        _nifti(base / "rawdata" / f"sub-{subject}" / f"sub-{subject}_ct.nii.gz")
        _nifti(base / "derivatives" / f"sub-{subject}" / f"sub-{subject}_seg-vert_msk.nii.gz")
    _nifti(root / "verse010_CT-sag.nii.gz")
    _nifti(root / "verse010_CT-sag_seg.nii.gz")
    _nifti(root / "stray_ct.nii.gz")
    out = tmp_path / "m.csv"
    assert main(["manifest", "from", "verse", str(root), "--out", str(out)]) == 0
    cases = {c.patient: c for c in read_manifest(out).cases}
    assert set(cases) == {"sub-verse004", "sub-verse500", "verse010"}
    assert cases["sub-verse500"].split == "test" and cases["verse010"].otherwise == "unknown"
    assert "stray_ct.nii.gz: left out" in capsys.readouterr().err


def test_nnunet_in_and_out(tmp_path: Path) -> None:
    raw = tmp_path / "Dataset042_Spine"
    for name in ("p1_a", "p1_b", "p2_a"):
        _nifti(raw / "imagesTr" / f"{name}_0000.nii.gz")
        _nifti(raw / "labelsTr" / f"{name}.nii.gz", 2)
        _nifti(tmp_path / "vertebrae" / f"{name}.nii.gz", 20)
    labels = {"background": 0, "lytic": 1, "blastic": 2}
    (raw / "dataset.json").write_text(json.dumps({"labels": labels}))
    out = tmp_path / "m.csv"
    words = ["manifest", "from", "nnunet", str(raw), "--out", str(out), "--patient", r"(p\d)"]
    assert main(words) == 2  # labels are lesions: vertebrae must be given
    assert main([*words, "--vertebrae", str(tmp_path / "vertebrae"), "--scheme", "verse"]) == 0
    cases = read_manifest(out).cases
    assert [c.patient for c in cases] == ["p1", "p1", "p2"] and cases[0].lesions is not None
    assert main(["manifest", "to-nnunet", str(out), "--out", str(tmp_path / "nn")]) == 0
    made = tmp_path / "nn" / "nnUNet_raw" / "Dataset701_HideSeek"
    described = json.loads((made / "dataset.json").read_text(encoding="utf-8"))
    assert described["numTraining"] == 3 and described["labels"]["blastic"] == 2
    assert nib.load(made / "labelsTr" / "p2_a.nii.gz").get_fdata().max() == 2
    prepared = tmp_path / "nn" / "nnUNet_preprocessed" / "Dataset701_HideSeek"
    folds = json.loads((prepared / "splits_final.json").read_text(encoding="utf-8"))
    assert len(folds) == 2
    for fold in folds:
        assert not {n[:2] for n in fold["train"]} & {n[:2] for n in fold["val"]}


def test_validation_patients_make_the_only_fold() -> None:
    def case(name: str, split: str) -> Case:
        return Case(name[:2], name, Path("x"), None, None, "", None, split, "")

    cases = [case("p1a", "train"), case("p2a", "validation"), case("p2b", "validation")]
    assert folds_of(cases, 5) == [{"train": ["p1a"], "val": ["p2a", "p2b"]}]


def test_the_authors_list(tmp_path: Path) -> None:
    openpyxl = pytest.importorskip("openpyxl", reason="needs the extra tables")
    book = openpyxl.Workbook()
    book.active.append(["image", "seg_msk", "label"])
    for name, label in (("pat1_T3", 0), ("pat1_L2", 1), ("pat2_L1", 1)):
        _nifti(tmp_path / f"{name}.nii")
        _nifti(tmp_path / f"{name}_seg.nii", 1)
        book.active.append([f"{name}.nii", f"{name}_seg.nii", label])
    book.save(tmp_path / "list.xlsx")
    out = tmp_path / "m.csv"
    words = ["manifest", "from", "authors", str(tmp_path / "list.xlsx"), "--out", str(out)]
    assert main([*words, "--patient", r"(pat\d)"]) == 0
    cases = read_manifest(out).cases
    assert [c.otherwise for c in cases] == ["healthy", "malignant", "malignant"]
    assert len({c.patient for c in cases}) == 2
    assert json.loads(Path(cases[0].scheme).read_text(encoding="utf-8")) == {"L1": 1}


def test_a_review_becomes_labels(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    _nifti(tmp_path / "ct.nii.gz")
    scans = tmp_path / "scans.csv"
    scans.write_text("patient,case,ct,vertebrae,split\nP1,case1,ct.nii.gz,ct.nii.gz,train\n")
    result = tmp_path / "results" / "case1"
    result.mkdir(parents=True)
    with (result / "candidates.csv").open("w", newline="") as file:
        table = csv.writer(file)
        table.writerow(["vertebra", "candidate", "polarity", "decision"])
        table.writerows([
            ["T12", 1, "lytic", "accept"], ["T12", 2, "blastic", "reject"],
            ["L1", 1, "lytic", "reject"], ["L2", 1, "lytic", "reject"], ["L2", 2, "lytic", ""],
        ])  # fmt: skip
    out = tmp_path / "m.csv"
    words = ["manifest", "from", "results", str(result), "--scans", str(scans), "--out", str(out)]
    assert main([*words, "--reader", "AB"]) == 0
    (case,) = read_manifest(out).cases
    assert case.labels == {"T12": "lytic", "L1": "healthy"}
    assert "L2 left out, not decided" in capsys.readouterr().err


def test_what_decisions_come_to() -> None:
    assert label_of([("lytic", "accept"), ("blastic", "accept")]) == "mixed"
    assert label_of([("lytic", "reject")]) == "healthy"
    assert label_of([("lytic", "reject"), ("lytic", "")]) is None
    assert label_of([]) is None
