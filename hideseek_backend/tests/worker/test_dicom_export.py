"""The worker's request that writes a reviewed case as DICOM."""

from __future__ import annotations

import gzip
import json
from pathlib import Path

import pytest
from dicom_case import write_result, write_study

from hideseek_backend.errors import InputError
from hideseek_backend.report.case_store import NAME
from hideseek_backend.worker.jobs import Jobs, Outlet
from hideseek_backend.worker.protocol import ProtocolError

pydicom = pytest.importorskip("pydicom", reason="needs the extra dicom")
pytest.importorskip("highdicom", reason="needs the extra dicom")

OUTLET = Outlet(send=lambda message: None, cancelled=lambda: False)


@pytest.fixture(name="request_")
def request_of_the_sample_case(tmp_path: Path) -> dict[str, object]:
    ct = write_study(tmp_path / "study")
    write_result(tmp_path / "result", ct)
    stored = json.loads(gzip.decompress((tmp_path / "result" / NAME).read_bytes()))
    return {**stored, "study": str(tmp_path / "study"), "out": str(tmp_path / "out")}


def test_a_reviewed_case_is_written(request_: dict[str, object], tmp_path: Path) -> None:
    asked = {**request_, "decisions": {"T12:1": "accept", "L1:1": "reject"}}
    answer = Jobs().run("dicom_export", asked, OUTLET)
    assert answer["lesions"] == 3
    assert {"seg.dcm", "sr.dcm", "key-01.dcm", "key-02.dcm", "key-03.dcm"} == set(answer["files"])
    assert all((tmp_path / "out" / name).is_file() for name in answer["files"])
    seg = pydicom.dcmread(tmp_path / "out" / "seg.dcm")
    assert seg.SegmentSequence[0].SegmentLabel == "T12 lytic 1"
    assert "Doe" not in json.dumps(answer)


def test_what_is_missing_is_named(request_: dict[str, object], tmp_path: Path) -> None:
    with pytest.raises(ProtocolError, match="two paths"):
        Jobs().run("dicom_export", {**request_, "study": ""}, OUTLET)
    with pytest.raises(InputError, match="'shape' is missing"):
        Jobs().run("dicom_export", {**request_, "grid": {}}, OUTLET)
    with pytest.raises(InputError, match="got nothing"):
        Jobs().run("dicom_export", {**request_, "study": str(tmp_path / "no")}, OUTLET)
    assert not (tmp_path / "out").exists()
