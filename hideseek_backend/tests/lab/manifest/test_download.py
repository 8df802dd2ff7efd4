"""The download against a server of S3's answers on this machine; one patient, two series."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from urllib.parse import parse_qs, urlparse

import pytest

pd = pytest.importorskip("pandas")
index = pytest.importorskip("idc_index.index", reason="needs the extra data")

from hideseek_lab.cli import data_spine_mets as command  # noqa: E402
from hideseek_lab.manifest import download  # noqa: E402


@dataclass
class Bucket:
    """Objects by key; `refuse` answers for keys that hold it with an error."""

    url: str = ""
    objects: dict[str, bytes] = field(default_factory=dict)
    refuse: str = ""
    sent: list[str] = field(default_factory=list)


@pytest.fixture
def bucket(monkeypatch: pytest.MonkeyPatch) -> Iterator[Bucket]:
    state = Bucket()

    class Handler(BaseHTTPRequestHandler):
        def do_HEAD(self) -> None:
            self.answer(b"", head=True)

        def do_GET(self) -> None:
            self.answer(b"")

        def answer(self, body: bytes, head: bool = False) -> None:
            parsed = urlparse(self.path)
            key = parsed.path.strip("/").partition("/")[2]
            query = parse_qs(parsed.query)
            status = 200
            if key and state.refuse and state.refuse in key:
                status = 403
            elif key in state.objects:
                body = state.objects[key]
                if not head:
                    state.sent.append(key)
            elif key:
                status = 404
            elif "list-type" in query or "prefix" in query:
                prefix = query.get("prefix", [""])[0]
                entries = "".join(
                    f"<Contents><Key>{name}</Key><Size>{len(data)}</Size>"
                    "<LastModified>2024-01-01T00:00:00.000Z</LastModified><ETag>&quot;x&quot;</ETag>"
                    "<StorageClass>STANDARD</StorageClass></Contents>"
                    for name, data in state.objects.items()
                    if name.startswith(prefix)
                )
                body = (
                    '<?xml version="1.0" encoding="UTF-8"?><ListBucketResult><Name>idc-open-data'
                    f"</Name><Prefix>{prefix}</Prefix><KeyCount>{entries.count('<Key>')}</KeyCount>"
                    f"<IsTruncated>false</IsTruncated>{entries}</ListBucketResult>"
                ).encode()
            whole = len(body)
            wanted = self.headers.get("Range")
            if wanted and status == 200:
                first, _, last = wanted.removeprefix("bytes=").partition("-")
                end = min(int(last or whole - 1), whole - 1)
                status, body = 206, body[int(first) : end + 1]
            self.send_response(status)
            if status == 206:
                self.send_header("Content-Range", f"bytes {first}-{end}/{whole}")
            self.send_header("Content-Length", str(len(body)))
            self.send_header("Last-Modified", "Mon, 01 Jan 2024 00:00:00 GMT")
            self.end_headers()
            if not head:
                self.wfile.write(body)

        def log_message(self, *_: Any) -> None:
            return

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as http:
        state.url = f"http://127.0.0.1:{http.server_port}"
        monkeypatch.setenv("NO_PROXY", "127.0.0.1")
        thread = threading.Thread(target=http.serve_forever, daemon=True)
        thread.start()
        yield state
        http.shutdown()
        thread.join()


def _client(monkeypatch: pytest.MonkeyPatch) -> tuple[Any, Any]:
    """The real client, its index cut to the collection: all of it takes 15 s to read."""
    real = pd.read_parquet

    def cut(path: Any, **options: Any) -> Any:
        if Path(str(path)).name == "idc_index.parquet":
            options["filters"] = [("collection_id", "=", download.SPINE_METS)]
        return real(path, **options)

    monkeypatch.setattr(index.pd, "read_parquet", cut)
    return index.IDCClient(), index


def test_the_set_is_listed_asked_for_fetched_and_resumed(
    bucket: Bucket, tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    client, module = _client(monkeypatch)
    monkeypatch.setattr(module, "aws_endpoint_url", bucket.url)
    monkeypatch.setattr(download, "open_client", lambda endpoint: client)
    table = client.index
    assert len(table) == 110 and table.PatientID.nunique() == 55
    # Small stand-ins for the files: two of a CT, one of a SEG.
    client.index.loc[client.index.Modality == "CT", "instanceCount"] = 2
    client.index["series_size_MB"] = 0.01
    for row in client.index[client.index.PatientID == "10352"].itertuples():
        folder = row.series_aws_url.split("/")[3]
        for n in range(int(row.instanceCount)):
            bucket.objects[f"{folder}/{n}.dcm"] = f"{row.Modality}{n}".encode()
    args = SimpleNamespace(out=tmp_path, patient=["10352"], yes=False, endpoint=bucket.url)
    assert command.main(args) == 2 and not bucket.sent  # nobody agreed
    said = capsys.readouterr().out
    assert "CC BY 4.0" in said and "2 series of 1 patients; 0 are there" in said
    args.yes = True
    bucket.refuse = next(key for key in bucket.objects if key.endswith("1.dcm"))
    with pytest.raises(download.OutputError, match="did not come whole"):
        command.main(args)
    had = list(bucket.sent)
    bucket.refuse = ""
    assert command.main(args) == 0
    assert "goes on" not in capsys.readouterr().out
    files = {p.read_bytes() for p in tmp_path.rglob("*.dcm")}
    assert files == {b"CT0", b"CT1", b"SEG0"}
    assert len(had) >= 1 and all(bucket.sent.count(key) == 1 for key in had)
    bucket.sent.clear()
    assert command.main(args) == 0 and not bucket.sent
    assert "2 are there" in capsys.readouterr().out


def test_an_unknown_patient_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    client, _ = _client(monkeypatch)
    with pytest.raises(download.InputError, match="99999"):
        download.list_series(client, download.SPINE_METS, ["99999"])
