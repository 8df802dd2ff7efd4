"""To a PACS and back: nodes, refusals, and a real Orthanc on this machine."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import orthanc_node
import pytest
from dicom_case import write_result, write_study
from orthanc_node import free_port

from hideseek_backend.cli import main
from hideseek_backend.dicom import read_study
from hideseek_backend.errors import InputError
from hideseek_lab.network.nodes import find_node, headers

pydicom = pytest.importorskip("pydicom", reason="needs the extra dicom-network")
pytest.importorskip("pynetdicom", reason="needs the extra dicom-network")
pytest.importorskip("dicomweb_client", reason="needs the extra dicom-network")


@pytest.mark.parametrize(
    ("url", "message"),
    [
        ("http://pacs.example/dicom-web", "TLS only"),
        ("https://user:secret@pacs.example/dicom-web", "may not hold a password"),
        ("dicom://AE:secret@pacs.example:104", "may not hold a password"),
        ("ftp://pacs.example", "Expected a url"),
        ("dicom://pacs.example:104", "entity title"),
        ("dicom://A_TITLE_THAT_IS_TOO_LONG@pacs.example:104", "entity title"),
        ("dicom://AE@pacs.example:99999", "port"),
        ("pacs", "configured node"),
    ],
)
def test_nodes_that_are_refused(url: str, message: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("HIDESEEK_DICOM_NODES", raising=False)
    with pytest.raises(InputError, match=message) as caught:
        find_node(url)
    assert "secret" not in str(caught.value)


def test_a_node_by_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    nodes = {"pacs": {"url": "dicoms://ARCHIVE@pacs.example", "calling": "ROOM1", "ca": "ca.pem"}}
    (tmp_path / "nodes.json").write_text(json.dumps(nodes))
    monkeypatch.setenv("HIDESEEK_DICOM_NODES", str(tmp_path / "nodes.json"))
    node = find_node("pacs")
    assert (node.called, node.calling, node.port, node.ca) == (
        "ARCHIVE",
        "ROOM1",
        2762,
        Path("ca.pem"),
    )


def test_credentials_come_from_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    node = find_node("https://pacs.example/dicom-web")
    for name in ("USER", "PASSWORD", "TOKEN"):
        monkeypatch.delenv(f"HIDESEEK_DICOM_{name}", raising=False)
    assert headers(node) == {}
    monkeypatch.setenv("HIDESEEK_DICOM_USER", "u")
    monkeypatch.setenv("HIDESEEK_DICOM_PASSWORD", "p")
    assert headers(node) == {"Authorization": "Basic dTpw"}
    monkeypatch.setenv("HIDESEEK_DICOM_TOKEN", "t")
    assert headers(node) == {"Authorization": "Bearer t"}


def test_nobody_listens(tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    write_study(tmp_path / "study")
    to = f"dicom://NOBODY@127.0.0.1:{free_port()}"
    assert main(["dicom", "send", str(tmp_path / "study"), "--to", to]) == 2
    said = capsys.readouterr().err
    assert "No connection" in said and "Doe" not in said


def test_wildcards_are_no_accession_number(tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    line = ["dicom", "fetch", "*", "--from", "dicom://X@127.0.0.1:1", "--out", str(tmp_path / "o")]
    assert main(line) == 2
    assert "wildcards" in capsys.readouterr().err
    assert not (tmp_path / "o").exists()


@pytest.fixture(scope="module", name="orthanc")
def real_pacs(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[int, int, int]]:
    """Start Debian's Orthanc on this machine: DICOM port, HTTP port, and ours for C-MOVE."""
    ours = free_port()
    more = {"DicomModalities": {"us": ["HIDESEEK", "127.0.0.1", ours]}}
    with orthanc_node.started(tmp_path_factory.mktemp("orthanc"), more) as (dimse, http):
        yield dimse, http, ours


@pytest.mark.slow
@pytest.mark.parametrize("way", ["C-GET", "C-MOVE", "DICOMweb"])
def test_a_study_and_its_results_go_to_orthanc_and_come_back(
    orthanc: tuple[int, int, int], tmp_path: Path, way: str, capsys: pytest.CaptureFixture
) -> None:
    dimse, http, ours = orthanc
    accession = f"HS{way[-4:]}"
    ct = write_study(tmp_path / "study", accession=accession)
    write_result(tmp_path / "result", ct)
    objects = tmp_path / "objects"
    line = ["dicom", "export", str(tmp_path / "result"), "--study", str(tmp_path / "study")]
    assert main([*line, "--out", str(objects)]) == 0
    node = f"dicom://ORTHANC@127.0.0.1:{dimse}"
    if way == "DICOMweb":
        node = f"http://127.0.0.1:{http}/dicom-web"
    for folder in ("study", "objects"):
        assert main(["dicom", "send", str(tmp_path / folder), "--to", node]) == 0
    more = ["--listen", f"127.0.0.1:{ours}"] if way == "C-MOVE" else []
    back = tmp_path / "back"
    assert main(["dicom", "fetch", accession, "--from", node, "--out", str(back), *more]) == 0

    study = read_study(back)
    np.testing.assert_array_equal(study.volume.data, read_study(tmp_path / "study").volume.data)
    np.testing.assert_array_equal(study.volume.affine, read_study(tmp_path / "study").volume.affine)
    sent = {
        d.SOPInstanceUID: d
        for d in map(pydicom.dcmread, [*(tmp_path / "study").glob("*"), *objects.glob("*.dcm")])
    }
    received = {d.SOPInstanceUID: d for d in map(pydicom.dcmread, back.glob("*.dcm"))}
    assert received.keys() == sent.keys() and len(sent) == 50 + 2 + 4
    for uid, dataset in sent.items():
        if "PixelData" in dataset:
            assert received[uid].PixelData == dataset.PixelData
    said = "".join(capsys.readouterr())
    assert "Doe" not in said


@pytest.mark.slow
def test_an_unknown_number_is_not_found(
    orthanc: tuple[int, int, int], tmp_path: Path, capsys: pytest.CaptureFixture
) -> None:
    dimse, http, _ours = orthanc
    for node in (f"dicom://ORTHANC@127.0.0.1:{dimse}", f"http://127.0.0.1:{http}/dicom-web"):
        line = ["dicom", "fetch", "NOSUCH", "--from", node, "--out", str(tmp_path / "o")]
        assert main(line) == 2
        assert "got 0" in capsys.readouterr().err
