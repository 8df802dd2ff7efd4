"""Folders of studies: DICOM trees and zips, masks beside them or within, results as DICOM."""

from __future__ import annotations

import json
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from toy_spine import ToySpine, toy_spine

pytest.importorskip("highdicom", reason="needs the extra dicom")

import highdicom
import pydicom

from hideseek_backend.cli import main
from hideseek_backend.dicom.ct_series import write_ct_series
from hideseek_backend.errors import InputError
from hideseek_backend.volumes.writing import write_nifti
from hideseek_lab.cohort import ledger
from hideseek_lab.cohort.jobs import find_jobs
from hideseek_lab.cohort.studies import vertebra_mask

LEVELS = ("L1", "L2")
PATIENT = "Doe^Jane"


@pytest.fixture(scope="module")
def spine() -> ToySpine:
    return toy_spine(LEVELS)


@pytest.fixture(scope="module")
def studies(spine: ToySpine, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A study as a CD's tree with its segmentation, a zip with a mask beside it, and a report."""
    root = tmp_path_factory.mktemp("studies")
    tree = root / "tree" / "DICOM" / "ST1"
    files = write_ct_series(spine.ct, tree / "SE1", patient=PATIENT)
    (tree / "SEG2").mkdir()
    _segmentation(spine, files, [f"{level} vertebra" for level in LEVELS]).save_as(
        tree / "SEG2" / "I1"
    )
    with zipfile.ZipFile(root / "packed.zip", "w") as archive:
        for path in write_ct_series(spine.ct, root.parent / "unpacked", patient=PATIENT):
            archive.write(path, f"DICOM/{path.name}")
    write_nifti(spine.labels, root / "packed_vertebrae.nii.gz")
    (root / "letters").mkdir()
    (root / "letters" / "letter.txt").write_text("no study")
    return root


def _segmentation(spine: ToySpine, files: list[Path], names: list[str]) -> Any:
    slices = [pydicom.dcmread(path) for path in files]
    codes = pydicom.sr.coding.Code
    segments = [
        highdicom.seg.SegmentDescription(
            number, name, codes("123037004", "SCT", "Anatomical Structure"),
            codes("51282000", "SCT", "Vertebra"), highdicom.seg.SegmentAlgorithmTypeValues.MANUAL,
        )
        for number, name in enumerate(names, 1)
    ]  # fmt: skip
    labels = spine.labels.data.transpose(2, 1, 0)
    values = [value for value in sorted(set(labels.ravel().tolist())) if value][: len(names)]
    masks = [(labels == value).astype("uint8") for value in values]
    return highdicom.seg.Segmentation(
        slices, np.stack(masks, axis=-1), highdicom.seg.SegmentationTypeValues.BINARY, segments,
        highdicom.UID(), 9, highdicom.UID(), 1, "maker", "model", "1", "serial",
    )  # fmt: skip


def test_trees_and_zips_are_found_with_their_masks(studies: Path) -> None:
    packed, tree = find_jobs(studies)
    assert (packed.case, tree.case) == ("packed", "tree")
    assert packed.ct.endswith("packed.zip") and packed.vertebrae.endswith("vertebrae.nii.gz")
    # The folder SEG2 holds a series: it is no folder of masks.
    assert tree.ct.endswith("tree") and tree.vertebrae == ""


def test_studies_are_analysed_and_written_as_dicom(
    studies: Path, model: Path, tmp_path: Path
) -> None:
    run = tmp_path / "run"
    words = ["cohort", str(studies), "--run", str(run), "--model", str(model), "--force"]
    words += ["--tau", "-10", "--min-area", "8", "--dicom"]
    assert main(words) == 0
    lines = {line["case"]: line for line in ledger.read([run / "ledger.jsonl"])}
    assert {case: line["state"] for case, line in lines.items()} == {
        "packed": "done",
        "tree": "done",
    }
    for case in ("packed", "tree"):
        folder = run / "results" / case
        levels = [
            v["vertebra"]
            for v in json.loads((folder / "report.json").read_text(encoding="utf-8"))["vertebrae"]
        ]
        assert levels == list(LEVELS)
        written = pydicom.dcmread(folder / "seg.dcm")
        assert written.Modality == "SEG" and str(written.PatientName) == PATIENT
        assert (folder / "sr.dcm").is_file() and (folder / "key-01.dcm").is_file()
        assert lines[case]["reason"] == ""
    # Neither page nor tables nor ledger name the patient, whose name is in the DICOM files alone.
    for name in ("cohort.html", "cohort.csv", "lesions.csv", "ledger.jsonl"):
        assert "Doe" not in (run / name).read_text(encoding="utf-8")
    # The objects belong to what is proven: without one the case is done anew; else it is kept.
    assert main(words) == 0
    assert len(ledger.read([run / "ledger.jsonl"])) == 2
    (run / "results" / "tree" / "sr.dcm").unlink()
    assert main(words) == 0
    assert (run / "results" / "tree" / "sr.dcm").is_file()


def test_of_several_segmentations_that_of_the_vertebrae_is_taken(
    spine: ToySpine, tmp_path: Path
) -> None:
    files = write_ct_series(spine.ct, tmp_path / "study")
    with pytest.raises(InputError, match="got 0"), vertebra_mask(tmp_path / "study", ""):
        pass
    _segmentation(spine, files, ["liver"]).save_as(tmp_path / "study" / "other.dcm")
    _segmentation(spine, files, ["L1 vertebra"]).save_as(tmp_path / "study" / "spine.dcm")
    with vertebra_mask(tmp_path / "study", "") as mask:
        assert mask.name == "spine.dcm"
    _segmentation(spine, files, ["L2 vertebra"]).save_as(tmp_path / "study" / "again.dcm")
    with pytest.raises(InputError, match="got 2"), vertebra_mask(tmp_path / "study", ""):
        pass
