"""There and back in TLS, with a certificate authority of our own and a password from a keyring."""

from __future__ import annotations

import json
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import orthanc_node
import pytest
from dicom_case import write_study

from hideseek_backend.cli import main
from hideseek_backend.dicom import read_study
from hideseek_backend.errors import InputError
from hideseek_lab.network.nodes import find_node, headers

pytest.importorskip("pynetdicom", reason="needs the extra dicom-network")
pytest.importorskip("dicomweb_client", reason="needs the extra dicom-network")
keyring = pytest.importorskip("keyring", reason="needs the extra dicom-network")

USER, PASSWORD = "reader", "from the keyring"
EXTENSIONS = """basicConstraints=critical,CA:FALSE
keyUsage=critical,digitalSignature,keyEncipherment
extendedKeyUsage=serverAuth,clientAuth
authorityKeyIdentifier=keyid
subjectAltName=IP:127.0.0.1,DNS:localhost
"""


class InMemory(keyring.backend.KeyringBackend):
    """A keyring with one password."""

    priority = 1.0

    def __init__(self, service: str, user: str, password: str) -> None:
        super().__init__()
        self.known = {(service, user): password}

    def get_password(self, service: str, username: str) -> str | None:
        return self.known.get((service, username))

    def set_password(self, service: str, username: str, password: str) -> None:
        self.known[service, username] = password


class Broken(InMemory):
    def get_password(self, service: str, username: str) -> str | None:
        raise keyring.errors.KeyringLocked("the keyring is locked")


@pytest.fixture(name="memory")
def keyring_in_memory(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    before = keyring.get_keyring()
    keyring.set_keyring(InMemory("hideseek-dicom:127.0.0.1", USER, PASSWORD))
    for name in ("PASSWORD", "TOKEN"):
        monkeypatch.delenv(f"HIDESEEK_DICOM_{name}", raising=False)
    monkeypatch.setenv("HIDESEEK_DICOM_USER", USER)
    yield
    keyring.set_keyring(before)


def test_a_password_comes_from_the_keyring(memory: None, monkeypatch: pytest.MonkeyPatch) -> None:
    ours = headers(find_node("https://127.0.0.1/dicom-web"))
    assert ours["Authorization"].startswith("Basic ")
    assert headers(find_node("https://other.example/dicom-web")) == {}, "one of another host"
    monkeypatch.setenv("HIDESEEK_DICOM_USER", "somebody else")
    assert headers(find_node("https://127.0.0.1/dicom-web")) == {}
    keyring.set_keyring(Broken("", "", ""))
    with pytest.raises(InputError, match="KeyringLocked") as caught:
        headers(find_node("https://127.0.0.1/dicom-web"))
    assert "HIDESEEK_DICOM_PASSWORD" in caught.value.remedy


def authority(folder: Path) -> None:
    """Make a certificate authority, and certificates of it for the server and for us."""
    if shutil.which("openssl") is None:
        pytest.skip("openssl is absent")
    (folder / "ext").write_text(EXTENSIONS)

    def openssl(*words: str) -> None:
        subprocess.run(["openssl", *words], check=True, capture_output=True, cwd=folder)

    openssl(
        *("req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=test ca"),
        *("-keyout", "ca.key", "-out", "ca.pem"),
        *("-addext", "keyUsage=critical,keyCertSign,cRLSign"),
    )
    for name in ("server", "client"):
        openssl(
            *("req", "-newkey", "rsa:2048", "-nodes", "-subj", f"/CN={name}"),
            *("-keyout", f"{name}.key", "-out", f"{name}.csr"),
        )
        openssl(
            *("x509", "-req", "-in", f"{name}.csr", "-CA", "ca.pem", "-CAkey", "ca.key"),
            *("-CAcreateserial", "-days", "2", "-extfile", "ext", "-out", f"{name}.pem"),
        )
    both = (folder / "server.pem").read_text() + (folder / "server.key").read_text()
    (folder / "web.pem").write_text(both)


@pytest.fixture(scope="module", name="secure")
def orthanc_in_tls(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """An Orthanc that wants a certificate by DIMSE and a password by DICOMweb; its nodes file."""
    folder = tmp_path_factory.mktemp("tls")
    authority(folder)
    more = {
        "DicomTlsEnabled": True,
        "DicomTlsCertificate": str(folder / "server.pem"),
        "DicomTlsPrivateKey": str(folder / "server.key"),
        "DicomTlsTrustedCertificates": str(folder / "ca.pem"),
        "DicomTlsRemoteCertificateRequired": True,
        "AuthenticationEnabled": True,
        "RegisteredUsers": {USER: PASSWORD},
    }
    with (
        orthanc_node.started(folder, more) as (dimse, plain),
        orthanc_node.tls_in_front(folder / "web.pem", plain) as http,
    ):
        ca, cert, key = (str(folder / n) for n in ("ca.pem", "client.pem", "client.key"))
        dicoms, https = f"dicoms://ORTHANC@127.0.0.1:{dimse}", f"https://127.0.0.1:{http}/dicom-web"
        nodes = {
            "dimse": {"url": dicoms, "ca": ca, "cert": cert, "key": key},
            "dimse without a certificate": {"url": dicoms, "ca": ca},
            "dimse of an unknown authority": {"url": dicoms, "cert": cert, "key": key},
            "web": {"url": https, "ca": ca},
            "web of an unknown authority": {"url": https},
        }
        (folder / "nodes.json").write_text(json.dumps(nodes))
        yield folder / "nodes.json"


@pytest.mark.slow
@pytest.mark.parametrize("node", ["dimse", "web"])
def test_a_study_goes_there_and_back_in_tls(
    secure: Path,
    memory: None,
    tmp_path: Path,
    node: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture,
) -> None:
    monkeypatch.setenv("HIDESEEK_DICOM_NODES", str(secure))
    write_study(tmp_path / "study", accession=f"TLS{node}")
    assert main(["dicom", "send", str(tmp_path / "study"), "--to", node]) == 0
    line = ["dicom", "fetch", f"TLS{node}", "--from", node, "--out", str(tmp_path / "back")]
    assert main(line) == 0
    sent, back = read_study(tmp_path / "study").volume, read_study(tmp_path / "back").volume
    np.testing.assert_array_equal(back.data, sent.data)
    np.testing.assert_array_equal(back.affine, sent.affine)
    said = "".join(capsys.readouterr())
    assert "Doe" not in said and PASSWORD not in said


@pytest.mark.slow
@pytest.mark.parametrize(
    ("node", "words"),
    [
        ("dimse without a certificate", "No connection"),
        ("dimse of an unknown authority", "No connection"),
        ("web of an unknown authority", "SSLError"),
    ],
)
def test_who_is_not_trusted_gets_nothing(
    secure: Path,
    memory: None,
    tmp_path: Path,
    node: str,
    words: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture,
) -> None:
    monkeypatch.setenv("HIDESEEK_DICOM_NODES", str(secure))
    write_study(tmp_path / "study")
    assert main(["dicom", "send", str(tmp_path / "study"), "--to", node]) == 2
    said = capsys.readouterr().err
    assert words in said and "Doe" not in said


@pytest.mark.slow
def test_a_wrong_password_is_told_and_not_shown(
    secure: Path,
    memory: None,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture,
) -> None:
    monkeypatch.setenv("HIDESEEK_DICOM_NODES", str(secure))
    monkeypatch.setenv("HIDESEEK_DICOM_PASSWORD", "a wrong one")
    write_study(tmp_path / "study")
    assert main(["dicom", "send", str(tmp_path / "study"), "--to", "web"]) == 2
    said = capsys.readouterr().err
    assert "answered 401" in said and "wrong one" not in said
