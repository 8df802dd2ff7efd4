"""Take a model from a local folder or .zip file into this user's models, verified by its hash."""

from __future__ import annotations

import shutil
import tempfile
import zipfile
from pathlib import Path

from hideseek_backend.errors import ModelError, OutputError
from hideseek_backend.models.places import (
    CARD_FILE,
    SPEC_FILE,
    WEIGHTS_FILE,
    check_name,
    models_folder,
)
from hideseek_backend.models.store import verify_folder

PARTS = (SPEC_FILE, WEIGHTS_FILE, CARD_FILE)
MAX_BYTES = 8 << 30
"""Unpacked size that a packed model may have: far above any network of this kind."""


def add_model(source: Path, *, replace: bool = False) -> tuple[str, str, Path]:
    """Copy a model folder, a file inside one, or a .zip of one; return (name, hash, folder).

    The copy is verified before it takes its place, so what is used is what was checked.
    Raises ModelError when it is no whole model, OutputError when the name is taken (unless
    `replace`) or nothing can be written.
    """
    target_root = models_folder()
    try:
        target_root.mkdir(parents=True, exist_ok=True)
        part = Path(tempfile.mkdtemp(prefix=".adding-", dir=target_root))
    except OSError as error:
        raise OutputError(
            f"{target_root} cannot be written: {error}.", "Free some room."
        ) from error
    try:
        _fill(part, source)
        spec, digest = verify_folder(part)
        target = target_root / check_name(spec.name)
        if target.exists():
            if not replace and _same(target, digest):
                return spec.name, digest, target
            if not replace:
                raise OutputError(
                    f"Another model named {spec.name} is installed.", "Add --replace to replace it."
                )
            shutil.rmtree(target)
        part.chmod(0o755)
        part.rename(target)
        return spec.name, digest, target
    except OSError as error:
        raise OutputError(
            f"{target_root} cannot be written: {error}.", "Free some room."
        ) from error
    finally:
        shutil.rmtree(part, ignore_errors=True)


def _fill(part: Path, source: Path) -> None:
    """Copy the parts of a model, and nothing else, into a folder."""
    if source.is_file() and zipfile.is_zipfile(source):
        _unpack(part, source)
        return
    folder = source if source.is_dir() else source.parent
    if not source.exists() or not (folder / SPEC_FILE).is_file():
        raise ModelError(
            f"{source} is no model: expected a folder with {SPEC_FILE} and {WEIGHTS_FILE}, a file "
            "in it, or a .zip of it.",
            "For the authors' checkpoints use `hideseek models import-reference`.",
        )
    for name in PARTS:
        if (folder / name).is_file():
            shutil.copyfile(folder / name, part / name)


def _unpack(part: Path, source: Path) -> None:
    """Take the known parts out of an archive by their last name: no other path is ever written."""
    try:
        with zipfile.ZipFile(source) as archive:
            members = {Path(i.filename).name: i for i in archive.infolist() if not i.is_dir()}
            found = [members[name] for name in PARTS if name in members]
            if sum(member.file_size for member in found) > MAX_BYTES:
                raise ModelError(f"{source} unpacks to more than any model.", "Check the file.")
            for member in found:
                with (
                    archive.open(member) as stream,
                    (part / Path(member.filename).name).open("wb") as out,
                ):
                    shutil.copyfileobj(stream, out, 1 << 20)
    except (zipfile.BadZipFile, RuntimeError, NotImplementedError) as error:
        raise ModelError(f"{source} cannot be unpacked: {error}.", "Get the file again.") from error


def _same(folder: Path, digest: str) -> bool:
    try:
        return verify_folder(folder)[1] == digest
    except ModelError:
        return False
