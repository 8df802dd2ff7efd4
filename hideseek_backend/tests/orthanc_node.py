"""Debian's Orthanc on this machine, for as long as a test needs it."""

from __future__ import annotations

import json
import select
import shutil
import socket
import socketserver
import ssl
import subprocess
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

DICOMWEB = Path("/usr/share/orthanc/plugins/libOrthancDicomWeb.so")


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@contextmanager
def started(folder: Path, more: Mapping[str, Any]) -> Iterator[tuple[int, int]]:
    """Start an Orthanc that takes everything; yields its DICOM port and its HTTP port."""
    binary = shutil.which("Orthanc") or shutil.which("Orthanc", path="/usr/sbin")
    if binary is None or not DICOMWEB.exists():
        pytest.skip("Orthanc is absent (Debian: orthanc orthanc-dicomweb)")
    dimse, http = free_port(), free_port()
    settings = {
        "Name": "HS",
        "HttpPort": http,
        "RemoteAccessAllowed": False,
        "AuthenticationEnabled": False,
        "DicomPort": dimse,
        "DicomAet": "ORTHANC",
        "DicomAlwaysAllowStore": True,
        "DicomAlwaysAllowFind": True,
        "DicomAlwaysAllowGet": True,
        "DicomAlwaysAllowMove": True,
        "DicomCheckCalledAet": True,
        "StorageDirectory": str(folder / "store"),
        "IndexDirectory": str(folder / "store"),
        "Plugins": [str(DICOMWEB)],
        "DicomWeb": {"Enable": True, "Root": "/dicom-web/"},
        **more,
    }
    (folder / "orthanc.json").write_text(json.dumps(settings))
    with (folder / "log").open("w") as log:
        server = subprocess.Popen([binary, str(folder / "orthanc.json")], stdout=log, stderr=log)
        try:
            deadline = time.monotonic() + 120
            while not _answers(f"http://127.0.0.1:{http}/system"):
                assert server.poll() is None and time.monotonic() < deadline
                time.sleep(0.3)
            yield dimse, http
        finally:
            server.terminate()
            server.wait(timeout=60)


def _answers(url: str) -> bool:
    """Tell whether somebody answers, be it that a password is wanted."""
    try:
        urllib.request.urlopen(url, timeout=2).close()
    except urllib.error.HTTPError as error:
        return error.code == 401
    except OSError:
        return False
    return True


@contextmanager
def tls_in_front(certificate: Path, port: int) -> Iterator[int]:
    """End TLS before a server, as an nginx does; yields the port.

    Debian's Orthanc 1.10.1 crashes when it speaks TLS over HTTP itself (with OpenSSL 3).
    """
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate)

    class Front(socketserver.BaseRequestHandler):
        def handle(self) -> None:
            try:
                with (
                    context.wrap_socket(self.request, server_side=True) as outside,
                    socket.create_connection(("127.0.0.1", port)) as inside,
                ):
                    _pass_on(outside, inside)
            except OSError:
                return  # a client that does not trust us hangs up

    class Server(socketserver.ThreadingTCPServer):
        daemon_threads, allow_reuse_address = True, True

    with Server(("127.0.0.1", 0), Front) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield int(server.server_address[1])
        server.shutdown()


def _pass_on(outside: ssl.SSLSocket, inside: socket.socket) -> None:
    """Hand bytes both ways until one side hangs up; in one thread: a TLS socket has one state."""
    while True:
        ready, _, _ = select.select([outside, inside], [], [])
        for source, sink in ((outside, inside), (inside, outside)):
            if source in ready:
                piece = source.recv(1 << 16)
                if not piece:
                    return
                sink.sendall(piece)
                while isinstance(source, ssl.SSLSocket) and source.pending():
                    sink.sendall(source.recv(1 << 16))
