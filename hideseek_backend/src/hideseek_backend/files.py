"""Files and folders that appear whole or not at all, and their hashes."""

from __future__ import annotations

import hashlib
import os
import secrets
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from hideseek_backend.errors import OutputError


@contextmanager
def whole_file(path: str | os.PathLike[str]) -> Iterator[Path]:
    """Give a name beside `path` to write under; what was written takes its place at the end.

    On any failure, Ctrl-C included, nothing is left and `path` is as before. The name is this
    process's own and ends as `path` does, for writers that choose a format by it.

    Raises OutputError when the disk is full, read-only, or the folder cannot be made.
    """
    path = Path(path)
    with output_errors(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        if path.is_dir():
            raise IsADirectoryError(21, "a folder of this name exists", str(path))
        part = _beside(path)
        try:
            yield part
            os.replace(part, path)
        finally:
            part.unlink(missing_ok=True)


@contextmanager
def whole_folder(folder: str | os.PathLike[str]) -> Iterator[Path]:
    """Give a new folder beside `folder` to fill; it takes the place of what was there at the end.

    On any failure nothing is left and `folder` is as before.

    Raises OutputError as `whole_file`.
    """
    folder = Path(folder)
    with output_errors(folder):
        folder.parent.mkdir(parents=True, exist_ok=True)
        part = _beside(folder)
        part.mkdir()
        try:
            yield part
            if folder.exists():
                shutil.rmtree(folder)
            part.rename(folder)
        finally:
            shutil.rmtree(part, ignore_errors=True)


@contextmanager
def output_errors(path: Path) -> Iterator[None]:
    """Turn the operating system's errors while writing `path` into OutputError."""
    try:
        yield
    except OSError as error:
        reason = error.strerror or str(error) or type(error).__name__
        raise OutputError(
            f"Expected to write {path}, but: {reason}.",
            "Free some room, check permissions, or choose another folder.",
        ) from error


def sha256(path: str | os.PathLike[str]) -> str:
    """Return the sha256 of a file in lower-case hexadecimal."""
    digest = hashlib.sha256()
    with open(path, "rb") as stream:
        while piece := stream.read(1 << 20):
            digest.update(piece)
    return digest.hexdigest()


def _beside(path: Path) -> Path:
    return path.with_name(f".{secrets.token_hex(4)}-{path.name}")
