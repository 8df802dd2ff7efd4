"""The files of a study as somebody handed it over: a folder tree, a CD with DICOMDIR, or a zip."""

from __future__ import annotations

import os
import shutil
import stat
import tempfile
import zipfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path, PurePosixPath

from hideseek_backend.errors import InputError

MAX_FILES = 20_000
"""More are no study: a whole disk was named, or an archive is a trap."""
MAX_UNPACKED_BYTES = 32 << 30
_ZIP_MAGIC = (b"PK\x03\x04", b"PK\x05\x06")
_PIECE = 1 << 20


def is_dicom_file(path: Path) -> bool:
    """Say whether a file has DICOM's preamble, or starts like one that was stored without it."""
    try:
        with path.open("rb") as stream:
            head = stream.read(132)
    except OSError:
        return False
    # Without a preamble the first element is one of group 0002 or 0008, little endian.
    return head[128:] == b"DICM" or (len(head) > 8 and head[:4] in _BARE_STARTS)


_BARE_STARTS = tuple(
    group + element
    for group, elements in ((b"\x02\x00", (0, 1)), (b"\x08\x00", (0, 1, 5, 8)))
    for element in (bytes((n, 0)) for n in elements)
)


def is_zip(path: Path) -> bool:
    """Say whether a file is a zip archive."""
    try:
        with path.open("rb") as stream:
            return stream.read(4) in _ZIP_MAGIC
    except OSError:
        return False


def is_study(path: Path) -> bool:
    """Say whether a path may hold DICOM: a folder, a zip, a DICOMDIR or a DICOM file."""
    return path.is_dir() or is_zip(path) or is_dicom_file(path)


StudyPath = Path | Sequence[Path]
"""Where a study is: a folder, a zip, a DICOMDIR, a file, or a list of its files."""


def shown(path: StudyPath) -> str:
    """How a study is called in messages."""
    return path.name if isinstance(path, Path) else "the files given"


@contextmanager
def opened(path: StudyPath) -> Iterator[list[Path]]:
    """Yield the DICOM files under `path`; a zip is unpacked for as long as the block lasts.

    path: a folder (searched in depth), a zip, a DICOMDIR (its folder is searched, so that files
    it forgot are found as well), one DICOM file, or a list of files.
    Raises InputError when there are none, too many, or the archive cannot be trusted.
    """
    if not isinstance(path, Path):
        files = [one for one in path[: MAX_FILES + 1] if is_dicom_file(one)]
        if len(files) < len(path) or not files:
            raise InputError(
                f"Expected {len(path)} DICOM files, got {len(files)} that are there and readable.",
                "Give the folder of the study instead.",
            )
        yield files
        return
    if path.is_file() and is_zip(path):
        with tempfile.TemporaryDirectory(prefix="hideseek-study-") as name:
            _unpack(path, Path(name))
            yield _found(Path(name), path.name)
    elif path.is_file() and path.name.upper() == "DICOMDIR":
        yield _found(path.parent, path.parent.name)
    elif path.is_file():
        if not is_dicom_file(path):
            raise InputError(
                f"Expected a DICOM study at {path.name}, got a file of another kind.",
                "Give the folder, zip or DICOMDIR that the export wrote.",
            )
        yield [path]
    elif path.is_dir():
        yield _found(path, path.name)
    else:
        raise InputError(f"Expected a DICOM study at {path}, got nothing.", "Check the path.")


def _found(root: Path, shown: str) -> list[Path]:
    """DICOM files under a folder, links to other places left out, in a fixed order."""
    files: list[Path] = []
    seen = 0
    for folder, folders, names in os.walk(root, followlinks=False):
        folders.sort()
        for name in sorted(names):
            seen += 1
            if seen > MAX_FILES:
                raise InputError(
                    f"Expected one study in {shown}, got more than {MAX_FILES:,} files.",
                    "Give the folder of the study itself.",
                )
            path = Path(folder, name)
            if name.upper() != "DICOMDIR" and path.is_file() and is_dicom_file(path):
                files.append(path)
    if not files:
        raise InputError(
            f"Expected DICOM files in {shown}, got a folder without DICOM"
            + (f" ({seen} other files)." if seen else "."),
            "Give the folder, zip or DICOMDIR that the export wrote, or a NIfTI or NRRD file.",
        )
    return files


def _unpack(archive: Path, target: Path) -> None:
    """Unpack a zip into an empty folder, never outside it and never more than it declares."""
    try:
        with zipfile.ZipFile(archive) as packed:
            entries = [entry for entry in packed.infolist() if not entry.is_dir()]
            _check_entries(archive, entries, shutil.disk_usage(target).free)
            for number, entry in enumerate(entries):
                # Names inside serve nobody here: a number cannot lead out of the folder.
                _copy(packed, entry, target / f"{number:05d}")
    except (zipfile.BadZipFile, EOFError, OSError, NotImplementedError) as error:
        raise InputError(
            f"Expected a readable zip in {archive.name}, but it is damaged or cut short.",
            "Copy or export it again.",
        ) from error
    except RuntimeError as error:  # what zipfile raises for an encrypted entry
        raise InputError(
            f"Expected an open zip in {archive.name}, but it is protected by a password.",
            "Unpack it first and give the folder.",
        ) from error


def _check_entries(archive: Path, entries: list[zipfile.ZipInfo], free: int) -> None:
    if len(entries) > MAX_FILES:
        raise InputError(
            f"Expected one study in {archive.name}, got {len(entries):,} files.",
            "Pack the study alone.",
        )
    for entry in entries:
        parts = PurePosixPath(entry.filename.replace("\\", "/"))
        if parts.is_absolute() or ".." in parts.parts or ":" in parts.parts[0]:
            raise InputError(
                f"The zip {archive.name} names a file outside itself and is not to be trusted.",
                "Ask for a new export, or unpack it where it can do no harm and give the folder.",
            )
        if stat.S_ISLNK(entry.external_attr >> 16):
            raise InputError(
                f"The zip {archive.name} holds a link instead of a file and is not to be trusted.",
                "Ask for a new export.",
            )
    size = sum(entry.file_size for entry in entries)
    if size > min(MAX_UNPACKED_BYTES, free):
        raise InputError(
            f"The zip {archive.name} unpacks to {size / 1e9:.1f} GB, more than a study or than "
            f"the {free / 1e9:.1f} GB that are free.",
            "Unpack it yourself where there is room and give the folder.",
        )


def _copy(packed: zipfile.ZipFile, entry: zipfile.ZipInfo, path: Path) -> None:
    left = entry.file_size
    with packed.open(entry) as source, path.open("wb") as sink:
        while piece := source.read(_PIECE):
            left -= len(piece)
            if left < 0:
                raise zipfile.BadZipFile("an entry is larger than it says")
            sink.write(piece)
