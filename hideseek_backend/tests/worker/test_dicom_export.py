"""The worker's request that writes a reviewed case as DICOM."""

from __future__ import annotations

import gzip
import json
from pathlib import Path

import pytest
from dicom_case import write_result, write_study

from hideseek_backend.errors import Cancelled, InputError
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


def test_it_tells_how_far_it_is_and_stops_when_asked(
    request_: dict[str, object], tmp_path: Path
) -> None:
    told: list[dict[str, object]] = []
    Jobs().run("dicom_export", request_, Outlet(told.append, lambda: False))
    shares = [m["done"] for m in told if m["type"] == "progress"]
    assert shares == sorted(shares) and shares[-1] == 100
    # In the middle of the key images: nothing is left of it.
    calls = iter([False] * 5 + [True] * 99)
    with pytest.raises(Cancelled):
        asked = {**request_, "out": str(tmp_path / "cancelled")}
        Jobs().run("dicom_export", asked, Outlet(told.append, lambda: next(calls)))
    assert not (tmp_path / "cancelled").exists()


def test_the_files_of_a_study_may_be_listed(request_: dict[str, object], tmp_path: Path) -> None:
    files = sorted(str(path) for path in (tmp_path / "study").iterdir())
    answer = Jobs().run("dicom_export", {**request_, "study": files}, OUTLET)
    assert answer["lesions"] == 4
    with pytest.raises(InputError, match="Expected 51 DICOM files, got 50"):
        asked = {**request_, "study": [*files, str(tmp_path / "gone")], "out": str(tmp_path / "o")}
        Jobs().run("dicom_export", asked, OUTLET)


def test_what_is_missing_is_named(request_: dict[str, object], tmp_path: Path) -> None:
    with pytest.raises(ProtocolError, match="two paths"):
        Jobs().run("dicom_export", {**request_, "study": ""}, OUTLET)
    with pytest.raises(InputError, match="'shape' is missing"):
        Jobs().run("dicom_export", {**request_, "grid": {}}, OUTLET)
    with pytest.raises(InputError, match="got nothing"):
        Jobs().run("dicom_export", {**request_, "study": str(tmp_path / "no")}, OUTLET)
    assert not (tmp_path / "out").exists()
