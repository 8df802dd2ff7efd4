"""A results folder that appears whole or not at all."""

from __future__ import annotations

import errno
import json
import os
import shutil
import signal
import tempfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType
from typing import Any

from hideseek_backend.errors import OutputError
from hideseek_backend.files import sha256

STAGING_PREFIX = ".hideseek-partial-"
MANIFEST = ".hideseek-files.json"
"""Names and sha256 of the files of the last run, so that a later one knows them as its own."""


class OutputFolder:
    """Collect files in a hidden folder beside the target and move them into place at the end.

    Use as a context manager: files written under `.staging` become visible in `.target` when the
    block ends without an exception; otherwise nothing remains, parents made on the way included.
    Files of an earlier run are replaced together, never mixed. A folder that holds anything else,
    or a result that was edited since, is refused unless `overwrite`; then files of the same name
    are replaced and others stay as they are.

    Raises OutputError when the target is in use, is a file, or cannot be written to.
    """

    def __init__(self, target: str | Path, *, overwrite: bool = False) -> None:
        self.target = Path(target).expanduser().absolute()
        self.staging = self.target
        self._earlier: dict[str, str] = {}
        self._made_parents: list[Path] = []
        with writing(self.target):
            self._check(overwrite)

    def __enter__(self) -> OutputFolder:
        with writing(self.target):
            # Inside an existing target: it may be a mount point, where a rename from beside fails.
            home = self.target if self.target.is_dir() else self._make_parents()
            self.staging = Path(tempfile.mkdtemp(prefix=STAGING_PREFIX, dir=home))
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        with _signals_held():
            try:
                if error is None:
                    with writing(self.target):
                        self._move_into_place()
            finally:
                shutil.rmtree(self.staging, ignore_errors=True)
                if not self.target.exists():
                    for parent in reversed(self._made_parents):
                        _remove_if_empty(parent)

    def _check(self, overwrite: bool) -> None:
        if self.target.exists() and not self.target.is_dir():
            raise OutputError(
                f"Expected a folder for the results, got the file {self.target}.",
                "Give --out a folder name.",
            )
        if not self.target.is_dir():
            return
        self._earlier = _read_manifest(self.target)
        present = sorted(p for p in self.target.iterdir() if not p.name.startswith(STAGING_PREFIX))
        foreign = [p.name for p in present if p.name not in {*self._earlier, MANIFEST}]
        if foreign and not overwrite:
            shown = ", ".join(foreign[:3]) + (" …" if len(foreign) > 3 else "")
            raise OutputError(
                f"The folder {self.target} is not empty: it holds {shown}.",
                "Choose a new or empty folder, or add --overwrite to write beside these files.",
            )
        edited = [p.name for p in present if p.name in self._earlier and self._was_edited(p)]
        if edited and not overwrite:
            raise OutputError(
                f"{', '.join(edited)} in {self.target} changed since HideSeek wrote it.",
                "Choose another folder to keep the changes, or add --overwrite to replace them.",
            )

    def _was_edited(self, path: Path) -> bool:
        return not path.is_file() or sha256(path) != self._earlier[path.name]

    def _make_parents(self) -> Path:
        missing = []
        folder = self.target.parent
        while not folder.exists():
            missing.append(folder)
            folder = folder.parent
        for folder in reversed(missing):
            folder.mkdir()
            self._made_parents.append(folder)
        return self.target.parent

    def _move_into_place(self) -> None:
        # mkdtemp makes private folders; results follow the user's umask like any other file.
        os.chmod(self.staging, 0o777 & ~_umask())
        hashes = {p.name: sha256(p) for p in sorted(self.staging.iterdir()) if p.is_file()}
        (self.staging / MANIFEST).write_text(json.dumps(hashes, indent=1) + "\n", encoding="utf-8")
        if not self.target.exists():
            os.rename(self.staging, self.target)
            return
        old = self.staging / ".replaced"
        old.mkdir()
        new = [p for p in self.staging.iterdir() if p != old]
        replaced = [self.target / n for n in {*self._earlier, *(p.name for p in new)}]
        moved: list[tuple[Path, Path]] = []
        try:
            for path in (p for p in replaced if p.exists()):
                moved.append((old / path.name, path))
                os.rename(path, old / path.name)
            for path in new:
                moved.append((self.target / path.name, path))
                os.rename(path, self.target / path.name)
        except OSError:
            for now, before in reversed(moved):
                if now.exists():
                    os.rename(now, before)
            raise


@contextmanager
def writing(target: Path) -> Iterator[None]:
    """Turn a failure of the file system while writing to `target` into an OutputError."""
    try:
        yield
    except OSError as error:
        raise _output_error(target, error) from error


def _output_error(target: Path, error: OSError) -> OutputError:
    if error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG):
        return OutputError(
            f"No room left on the disk of {target} while writing the results.",
            "Free some space or choose --out on another disk; nothing was left behind.",
        )
    if error.errno in (errno.EACCES, errno.EPERM, errno.EROFS):
        return OutputError(
            f"No permission to write to {target}.", "Choose a folder you may write to with --out."
        )
    return OutputError(
        f"The results could not be written to {target}: {error.strerror or error}.",
        "Check the disk and the path, or choose another folder with --out.",
    )


@contextmanager
def _signals_held() -> Iterator[None]:
    """Postpone Ctrl-C and termination for the moment in which files are moved or removed."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    arrived: list[int] = []
    before: dict[signal.Signals, Any] = {}
    for number in (signal.SIGINT, signal.SIGTERM):
        before[number] = signal.signal(number, lambda got, _frame: arrived.append(got))
    try:
        yield
    finally:
        for number, handler in before.items():
            if handler is not None:  # None: installed outside Python, and not ours to restore
                signal.signal(number, handler)
        for late in arrived:
            signal.raise_signal(late)


def _umask() -> int:
    current = os.umask(0o022)
    os.umask(current)
    return current


def _remove_if_empty(folder: Path) -> None:
    try:
        folder.rmdir()
    except OSError:
        return  # someone else uses it by now


def _read_manifest(folder: Path) -> dict[str, str]:
    """Return name -> sha256 of the files an earlier run wrote; empty where there was none."""
    try:
        manifest = json.loads((folder / MANIFEST).read_text(encoding="utf-8"))
    except (FileNotFoundError, ValueError):
        return {}
    if not isinstance(manifest, dict):
        return {}
    return {
        name: digest
        for name, digest in manifest.items()
        # A manifest is a file like any other: never follow it out of its folder.
        if isinstance(digest, str) and name == Path(name).name and name not in ("", ".", "..")
    }
