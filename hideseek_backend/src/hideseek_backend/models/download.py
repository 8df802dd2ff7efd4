"""Fetch one file over HTTP: progress, resume, size limit, checksum."""

from __future__ import annotations

import os
import urllib.error
import urllib.request
from collections.abc import Callable
from dataclasses import dataclass
from http.client import HTTPException, HTTPResponse
from pathlib import Path

from hideseek_backend.errors import ModelError
from hideseek_backend.files import sha256

TIMEOUT_S = 30.0
_CHUNK = 2**18

DownloadProgress = Callable[[str, int, int | None], None]
"""(file name, bytes so far, bytes in all if known)."""


@dataclass(frozen=True)
class RemoteFile:
    """A file at a public place.

    sha256: lower-case hexadecimal where it is known, "" where it is not; without it the file is
    still only ever read by the restricted readers. max_bytes: more than this is refused.
    """

    name: str
    url: str
    sha256: str
    max_bytes: int


def download(
    file: RemoteFile,
    folder: Path,
    *,
    progress: DownloadProgress | None = None,
    timeout: float = TIMEOUT_S,
) -> Path:
    """Fetch `file` into `folder` and return its path; a finished download is not repeated.

    An interrupted one goes on from its `.part` file where the server allows. Proxies come from the
    environment (HTTPS_PROXY, NO_PROXY). Redirects are followed.

    Raises ModelError, naming the address and what to do by hand, when the place cannot be reached,
    answers with an error, stops early, or sends other content than expected.
    """
    target, part = folder / file.name, folder / f"{file.name}.part"
    if target.is_file() and _fits(target, file):
        return target
    try:
        folder.mkdir(parents=True, exist_ok=True)
        have = part.stat().st_size if part.is_file() else 0
        expected = _receive(file, part, have, progress, timeout)
        size = part.stat().st_size
    except urllib.error.HTTPError as error:
        raise _failure(file, f"the server answered {error.code} {error.reason}") from error
    except (OSError, HTTPException) as error:
        # URLError, timeouts and broken connections are all OSError.
        reason = getattr(error, "reason", None) or error
        raise _failure(file, str(reason) or type(error).__name__) from error
    if expected is not None and size != expected:
        raise _failure(file, f"the connection ended after {size} of {expected} bytes", resume=True)
    if not _fits(part, file):
        got = sha256(part)
        part.unlink()
        raise _failure(file, f"its content is not the expected one (sha256 {got})")
    os.replace(part, target)
    return target


def _receive(
    file: RemoteFile, part: Path, have: int, progress: DownloadProgress | None, timeout: float
) -> int | None:
    """Append what is missing to `part`; return the size that the whole file should have."""
    headers = {"User-Agent": "hideseek-backend", "Accept-Encoding": "identity"}
    if have:
        headers["Range"] = f"bytes={have}-"
    request = urllib.request.Request(file.url, headers=headers)
    try:
        # An opener of its own: the shared one keeps the proxies of its first use.
        response: HTTPResponse = urllib.request.build_opener().open(request, timeout=timeout)
    except urllib.error.HTTPError as error:
        if error.code != 416 or not have:
            raise
        # Nothing is missing, or the part is not of this file: the checksum or a fresh start tells.
        if file.sha256 and sha256(part) == file.sha256:
            return have
        part.unlink()
        return _receive(file, part, 0, progress, timeout)
    with response:
        resumed = response.status == 206 and _starts_at(response, have)
        if have and response.status == 206 and not resumed:
            part.unlink()
            return _receive(file, part, 0, progress, timeout)
        done = have if resumed else 0
        length = response.headers.get("Content-Length")
        total = done + int(length) if length and length.isdigit() else None
        if (total or 0) > file.max_bytes:
            raise _failure(file, f"it has {total} bytes, more than the {file.max_bytes} expected")
        with part.open("ab" if resumed else "wb") as stream:
            while chunk := response.read(_CHUNK):
                done += len(chunk)
                if done > file.max_bytes:
                    raise _failure(file, f"it sends more than the {file.max_bytes} bytes expected")
                stream.write(chunk)
                if progress is not None:
                    progress(file.name, done, total)
        return total


def _starts_at(response: HTTPResponse, have: int) -> bool:
    return str(response.headers.get("Content-Range", "")).startswith(f"bytes {have}-")


def _fits(path: Path, file: RemoteFile) -> bool:
    return path.stat().st_size > 0 and (not file.sha256 or sha256(path) == file.sha256)


def _failure(file: RemoteFile, reason: str, resume: bool = False) -> ModelError:
    again = " Run the command again to go on from there." if resume else ""
    return ModelError(
        f"{file.name} could not be fetched from {file.url}: {reason}.{again}",
        "Behind a proxy set HTTPS_PROXY. Offline, fetch the file with a browser elsewhere and use "
        "`hideseek models import-reference`.",
    )
