"""Write images and label maps on the CT's grid, whole or not at all."""

from __future__ import annotations

import errno
import shutil
import tempfile
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
from numpy.typing import NDArray

from hideseek_backend.files import output_errors, whole_file
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
    with whole_file(path) as part:
        nib.save(image, part)
    return path


def check_writable(folder: str | Path, needed_bytes: int = 0) -> Path:
    """Make `folder` and check, before long work, that files can be written there.

    Raises OutputError when it cannot be made or written, or has less than `needed_bytes` free.
    """
    folder = Path(folder)
    with output_errors(folder):
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.NamedTemporaryFile(dir=folder, prefix=".hideseek."):
            pass
        free = shutil.disk_usage(folder).free
        if free < needed_bytes:
            need, have = needed_bytes / 1e6, free / 1e6
            raise OSError(errno.ENOSPC, f"{need:.0f} MB are needed, {have:.0f} MB are free")
    return folder


def _storable(data: NDArray[Any], dtype: Any) -> NDArray[Any]:
    if dtype is not None:
        data = data.astype(dtype)
    if data.dtype == bool:
        return data.astype(np.uint8)
    if data.dtype == np.int64:  # few readers take 64-bit integers
        return data.astype(np.int32)
    return data
