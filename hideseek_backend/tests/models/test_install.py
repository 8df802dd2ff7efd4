"""Downloads against a server on this machine: resume, redirect, and everything that goes wrong."""

from __future__ import annotations

import hashlib
import socket
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from reference_files import SMALL, write_reference_files

from hideseek_backend.errors import ModelError
from hideseek_backend.models import install as install_module
from hideseek_backend.models.download import RemoteFile, download
from hideseek_backend.models.install import FILES, fetch_sample, install, mirrored
from hideseek_backend.models.store import load_model

CONTENT = bytes(range(256)) * 2000
SHA256 = hashlib.sha256(CONTENT).hexdigest()


@dataclass
class Server:
    """Files by path; `cut` ends the next answer after so many bytes; `seen` keeps the requests."""

    url: str
    files: dict[str, bytes] = field(default_factory=dict)
    redirects: dict[str, str] = field(default_factory=dict)
    cut: int | None = None
    ranges: bool = True
    seen: list[tuple[str, str | None]] = field(default_factory=list)


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[Server]:
    state = Server("")

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            wanted = self.headers.get("Range")
            state.seen.append((self.path, wanted))
            if self.path in state.redirects:
                self.send_response(302)
                self.send_header("Location", state.url + state.redirects[self.path])
                self.end_headers()
                return
            if self.path not in state.files:
                self.send_error(404)
                return
            content, start = state.files[self.path], 0
            if wanted and state.ranges:
                start = int(wanted.removeprefix("bytes=").removesuffix("-"))
                if start >= len(content):
                    self.send_error(416)
                    return
                self.send_response(206)
                self.send_header(
                    "Content-Range", f"bytes {start}-{len(content) - 1}/{len(content)}"
                )
            else:
                self.send_response(200)
            self.send_header("Content-Length", str(len(content) - start))
            self.end_headers()
            stop = len(content) if state.cut is None else min(start + state.cut, len(content))
            state.cut = None
            self.wfile.write(content[start:stop])

        def log_message(self, *_: Any) -> None:
            return

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as http:
        state.url = f"http://127.0.0.1:{http.server_port}"
        monkeypatch.setenv("NO_PROXY", "127.0.0.1")
        thread = threading.Thread(target=http.serve_forever, daemon=True)
        thread.start()
        yield state
        http.shutdown()


def remote(server: Server, path: str = "/f.bin", sha256: str = SHA256) -> RemoteFile:
    return RemoteFile("f.bin", server.url + path, sha256, 10**7)


def test_fetches_with_progress_and_only_once(server: Server, tmp_path: Path) -> None:
    server.files["/f.bin"] = CONTENT
    seen: list[tuple[str, int, int | None]] = []
    path = download(remote(server), tmp_path, progress=lambda *a: seen.append(a))
    assert path.read_bytes() == CONTENT
    assert seen[-1] == ("f.bin", len(CONTENT), len(CONTENT))
    assert [done for _, done, _ in seen] == sorted(done for _, done, _ in seen)
    download(remote(server), tmp_path)
    assert len(server.seen) == 1
    assert list(tmp_path.iterdir()) == [path]


def test_an_interrupted_download_goes_on(server: Server, tmp_path: Path) -> None:
    server.files["/f.bin"] = CONTENT
    server.cut = 100_000
    with pytest.raises(ModelError, match=r"after 100000 of 512000 bytes.*go on"):
        download(remote(server), tmp_path)
    assert (tmp_path / "f.bin.part").stat().st_size == 100_000
    assert download(remote(server), tmp_path).read_bytes() == CONTENT
    assert server.seen[-1] == ("/f.bin", "bytes=100000-")


def test_starts_over_where_the_server_cannot_resume(server: Server, tmp_path: Path) -> None:
    server.files["/f.bin"] = CONTENT
    server.ranges = False
    (tmp_path / "f.bin.part").write_bytes(b"of something else")
    assert download(remote(server), tmp_path).read_bytes() == CONTENT


@pytest.mark.parametrize("part", [CONTENT, CONTENT + b"more"])
def test_a_part_that_is_not_shorter(server: Server, tmp_path: Path, part: bytes) -> None:
    server.files["/f.bin"] = CONTENT
    (tmp_path / "f.bin.part").write_bytes(part)
    assert download(remote(server), tmp_path).read_bytes() == CONTENT


def test_a_part_of_another_file_is_found_out(server: Server, tmp_path: Path) -> None:
    server.files["/f.bin"] = CONTENT
    (tmp_path / "f.bin.part").write_bytes(b"x" * 1000)
    with pytest.raises(ModelError, match="not the expected one"):
        download(remote(server), tmp_path)
    assert not (tmp_path / "f.bin.part").exists()
    assert download(remote(server), tmp_path).read_bytes() == CONTENT


def test_follows_redirects(server: Server, tmp_path: Path) -> None:
    server.files["/real"] = CONTENT
    server.redirects["/f.bin"] = "/real"
    assert download(remote(server), tmp_path).read_bytes() == CONTENT


def test_a_missing_file(server: Server, tmp_path: Path) -> None:
    with pytest.raises(ModelError, match=r"answered 404.*import-reference"):
        download(remote(server), tmp_path)


def test_a_wrong_checksum(server: Server, tmp_path: Path) -> None:
    server.files["/f.bin"] = CONTENT[:-1] + b"!"
    with pytest.raises(ModelError, match="sha256"):
        download(remote(server), tmp_path)
    assert not list(tmp_path.iterdir())


def test_a_file_larger_than_announced(server: Server, tmp_path: Path) -> None:
    server.files["/f.bin"] = CONTENT
    with pytest.raises(ModelError, match="more than the 1000"):
        download(replace(remote(server), max_bytes=1000), tmp_path)


def test_offline(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    file = RemoteFile("f.bin", f"http://127.0.0.1:{port}/f.bin", "", 10)
    with pytest.raises(ModelError, match=r"(?s)could not be fetched.*Offline"):
        download(file, tmp_path, timeout=2)


def test_goes_through_the_proxy_of_the_environment(
    server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    address = "http://models.invalid/f.bin"
    server.files[address] = CONTENT
    monkeypatch.delenv("NO_PROXY")
    monkeypatch.delenv("no_proxy", raising=False)
    monkeypatch.setenv("http_proxy", server.url)
    path = download(RemoteFile("f.bin", address, SHA256, 10**7), tmp_path)
    assert path.read_bytes() == CONTENT
    assert server.seen[0][0] == address


def test_installs_what_it_downloads(
    server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = write_reference_files(tmp_path / "released", replace(SMALL, z_channels=512))["dae"]
    server.files["/last.ckpt"] = path.read_bytes()
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    files = {"dae": RemoteFile(path.name, f"{server.url}/last.ckpt", digest, 10**8)}
    monkeypatch.setenv("HIDESEEK_MODELS", str(tmp_path / "models"))
    spec, folder = install("dae-verts", files=files, half=True)
    assert spec.weights_dtype == "float16"
    assert folder == tmp_path / "models" / "dae-verts"
    model = load_model("dae-verts", "cpu")
    assert model.spec == spec
    assert model.classifier.bias == pytest.approx(-0.00077485, abs=1e-8)
    assert not (tmp_path / "models" / "downloads" / "dae-verts").exists()
    asked = len(server.seen)
    assert install("dae-verts", files=files)[0] == spec
    assert len(server.seen) == asked


def test_a_checkpoint_that_moved_is_refused(
    server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = write_reference_files(tmp_path / "released", replace(SMALL, z_channels=512))["dae"]
    server.files["/last.ckpt"] = path.read_bytes()
    files = {"dae": RemoteFile(path.name, f"{server.url}/last.ckpt", "", 10**8)}
    monkeypatch.setenv("HIDESEEK_MODELS", str(tmp_path / "models"))
    with pytest.raises(ModelError, match="not the expected one"):
        install("dae-verts", files=files, sha256="0" * 64)
    spec, _ = install("dae-verts", files=files)
    assert install("dae-verts", files=files, replace_installed=True)[0].source == spec.source
    moved = path.read_bytes() + b"moved"
    server.files["/last.ckpt"] = moved
    with pytest.raises(ModelError, match="not the expected one"):
        install("dae-verts", files=files, replace_installed=True)
    assert load_model("dae-verts", "cpu").spec == spec


def test_only_published_models(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="dae-verts"):
        install("another")


def test_places_are_pinned() -> None:
    assert all(file.url.startswith("https://") for file in FILES.values())
    assert mirrored("http://here/x")["dae"].url == "http://here/x/last.ckpt"


def test_fetches_the_sample(
    server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(install_module, "models_folder", lambda: tmp_path)
    files = {
        part: RemoteFile(f"{part}.nii", f"{server.url}/{part}.nii", "", 1000)
        for part in ("ct", "body")
    }
    server.files |= {"/ct.nii": b"a", "/body.nii": b"b"}
    ct, body = fetch_sample(files=files)
    assert (ct.read_bytes(), body.read_bytes()) == (b"a", b"b")
