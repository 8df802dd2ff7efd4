"""Write images and label maps on the CT's grid, whole or not at all."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
from numpy.typing import NDArray

from hideseek_backend.errors import OutputError
from hideseek_backend.volumes.volume import Volume


def write_nifti(volume: Volume, path: str | Path, dtype: Any = None) -> Path:
    """Write a volume (I, J, K) as NIfTI with qform and sform set to its affine (scanner, mm).

    dtype: voxel type on disk; the array's own by default. HU that are floats stay floats.
    The file appears under its name only when it is complete.
    Raises OutputError when it cannot be written.
    """
    path = Path(path)
    data = _storable(volume.data, dtype)
    image = nib.Nifti1Image(data, volume.affine)
    image.header.set_data_dtype(data.dtype)
    image.header.set_xyzt_units("mm")
    image.set_qform(volume.affine, code=1)
    image.set_sform(volume.affine, code=1)
    suffix = ".nii.gz" if path.name.endswith(".gz") else ".nii"
    return write_whole(path, lambda temporary: nib.save(image, temporary), suffix)


def write_whole(path: str | Path, write: Callable[[Path], object], suffix: str = "") -> Path:
    """Call `write(temporary path)` and move the result to `path` in one step.

    On any failure, Ctrl-C included, the temporary file is removed and `path` is as before.
    Raises OutputError when the disk is full, read-only or the folder is missing and cannot be made.
    """
    path = Path(path)
    with output_errors(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        if path.is_dir():
            raise IsADirectoryError(21, "a folder of this name exists", str(path))
        handle, name = tempfile.mkstemp(prefix=f".{path.name}.", suffix=suffix, dir=path.parent)
        os.close(handle)
        temporary = Path(name)
        try:
            write(temporary)
            # mkstemp makes files that only their owner may read.
            temporary.chmod(0o666 & ~_umask())
            os.replace(temporary, path)
        finally:
            temporary.unlink(missing_ok=True)
    return path


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


def check_writable(folder: str | Path, needed_bytes: int = 0) -> Path:
    """Make `folder` and check, before long work, that files can be written there.

    Raises OutputError when it cannot be made or written, or has less than `needed_bytes` free.
    """
    folder = Path(folder)
    with output_errors(folder):
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.NamedTemporaryFile(dir=folder, prefix=".hideseek."):
            pass
        if hasattr(os, "statvfs"):
            status = os.statvfs(folder)
            free = status.f_bavail * status.f_frsize
            if free < needed_bytes:
                raise OSError(
                    28, f"{needed_bytes / 1e6:.0f} MB are needed, {free / 1e6:.0f} MB are free"
                )
    return folder


def _umask() -> int:
    current = os.umask(0)
    os.umask(current)
    return current


def _storable(data: NDArray[Any], dtype: Any) -> NDArray[Any]:
    if dtype is not None:
        data = data.astype(dtype)
    if data.dtype == bool:
        return data.astype(np.uint8)
    if data.dtype == np.int64:  # few readers take 64-bit integers
        return data.astype(np.int32)
    return data
