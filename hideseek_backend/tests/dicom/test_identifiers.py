"""Who the patient is stays in the DICOM objects: results, logs and messages name nobody."""

from __future__ import annotations

import gzip
import json
import logging
from pathlib import Path

import pytest
from dicom_patients import write_patient
from tiny_model import write_tiny_model

from hideseek_backend.cli import main
from hideseek_backend.worker.jobs import Jobs, Outlet
from hideseek_backend.worker.protocol import error_reply

pydicom = pytest.importorskip("pydicom", reason="needs the extra dicom")
pytest.importorskip("highdicom", reason="needs the extra dicom")

SECRETS = {
    "PatientName": "Doering^Jeannette",
    "PatientID": "MRN4711",
    "PatientBirthDate": "19520917",
    "AccessionNumber": "ACC998877",
    "ReferringPhysicianName": "Overweg^Doctor",
    "InstitutionName": "Saint Elsewhere",
    "StudyID": "STUDY5566",
}
WORDS = (*SECRETS.values(), "Doering", "Jeannette", "Overweg")


@pytest.fixture(scope="module", name="folder")
def analysed_study(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A study full of identifiers in a folder of the patient's name, its result, what was said."""
    root = tmp_path_factory.mktemp("identifiers")
    write_patient(root / "made", 1, {"L1": "blastic"})
    (ct,) = (root / "made" / "P1").glob("*/2.*")
    (mask,) = (root / "made" / "P1").glob("*/300.*/*.dcm")
    study = root / "Doering_Jeannette_19520917"
    study.mkdir()
    for path in (*ct.iterdir(), mask):
        dataset = pydicom.dcmread(path)
        for name, value in SECRETS.items():
            setattr(dataset, name, value)
        dataset.save_as(study / path.name)
    model = write_tiny_model(root / "tiny")
    told = root / "told.txt"
    log = logging.FileHandler(told)
    logging.getLogger().addHandler(log)
    logging.getLogger().setLevel(logging.DEBUG)
    line = ["segment", str(study), str(study / mask.name), "--model", str(model), "--quiet"]
    settings = ["--tau", "-10", "--slices", "all", "--levels", "L1", "--set", "min_area=3"]
    try:
        assert main([*line, *settings, "--polarity", "both", "--out", str(root / "result")]) == 0
    finally:
        logging.getLogger().removeHandler(log)
    return root


def contents(path: Path) -> str:
    """Every byte of a file as letters, unpacked where it is packed; a .seg.nrrd's header too."""
    data = path.read_bytes()
    if path.suffix == ".gz":
        data = gzip.decompress(data)
    return data.decode("latin-1")


def test_no_result_names_the_patient(folder: Path, capfd: pytest.CaptureFixture) -> None:
    files = [path for path in (folder / "result").rglob("*") if path.is_file()]
    kinds = {path.name for path in files}
    assert {"report.html", "report.json", "lesions.nii.gz", "lesions.seg.nrrd"} <= kinds
    assert {"candidates.csv", "vertebrae.csv", "case.json.gz"} <= kinds
    for path in (*files, folder / "told.txt"):
        text = contents(path)
        assert not [word for word in WORDS if word in text], path.name


def stored_case(folder: Path) -> dict[str, object]:
    packed = (folder / "result" / "case.json.gz").read_bytes()
    found: dict[str, object] = json.loads(gzip.decompress(packed))
    return found


def rejected(stored: dict[str, object]) -> dict[str, str]:
    """Decisions that leave two lesions, so that few pictures are drawn."""
    found = [c for v in stored["vertebrae"] for c in v["candidates"]]
    assert len(found) >= 2
    return {f"{c['vertebra']}:{c['candidate']}": "reject" for c in found[2:]}


def test_the_objects_are_the_patients_and_nothing_said_names_one(
    folder: Path, tmp_path: Path, capfd: pytest.CaptureFixture, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    study = folder / "Doering_Jeannette_19520917"
    line = ["dicom", "export", str(folder / "result"), "--study", str(study)]
    (tmp_path / "decisions.json").write_text(json.dumps(rejected(stored_case(folder))))
    line += ["--decisions", str(tmp_path / "decisions.json")]
    assert main([*line, "--out", str(tmp_path / "objects")]) == 0
    seg = pydicom.dcmread(tmp_path / "objects" / "seg.dcm")
    assert str(seg.PatientName) == SECRETS["PatientName"] and seg.PatientID == SECRETS["PatientID"]
    assert main(["dicom", "list", str(study)]) == 0
    said = capfd.readouterr()
    told = said.out + said.err + caplog.text
    assert not [word for word in WORDS if word in told.replace(str(study), "")]


def test_the_worker_names_nobody(
    folder: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """Neither in its answer, its progress, nor in the errors of studies that cannot be used."""
    caplog.set_level(logging.DEBUG)
    stored = stored_case(folder)
    stored["decisions"] = rejected(stored)
    study = folder / "Doering_Jeannette_19520917"
    spoilt = tmp_path / "spoilt"
    spoilt.mkdir()
    slices = sorted(p for p in study.iterdir() if p.name.startswith("slice"))
    for n, path in enumerate(slices):
        content = path.read_bytes()
        (spoilt / path.name).write_bytes(content[: len(content) // 2] if n == 3 else content)
    told: list[object] = []
    outlet = Outlet(send=told.append, cancelled=lambda: False)
    out = str(tmp_path / "out")
    answer = Jobs().run("dicom_export", {**stored, "study": str(study), "out": out}, outlet)
    told.append(answer)
    files = [str(p) for p in study.iterdir() if p.name.startswith("slice")]
    asked = {**stored, "study": files, "out": f"{out}2", "sign": True}
    for request in (asked, {**stored, "study": str(spoilt), "out": f"{out}3"}):
        with pytest.raises(Exception) as caught:
            Jobs().run("dicom_export", request, outlet)
        told.append(error_reply(caught.value))
    progress = [m for m in told if isinstance(m, dict) and m.get("type") == "progress"]
    assert progress and progress[-1]["done"] <= progress[-1]["total"]
    text = json.dumps(told, default=str) + caplog.text
    assert not [word for word in WORDS if word in text]
