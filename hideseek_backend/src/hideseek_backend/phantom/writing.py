"""Write a phantom to a folder: four NIfTI volumes, two truth tables, and how it was made."""

from __future__ import annotations

import csv
import json
import os
import shutil
import tempfile
from collections.abc import Callable, Iterable
from dataclasses import asdict
from pathlib import Path

import nibabel as nib
import numpy as np

from hideseek_backend.errors import OutputError
from hideseek_backend.volumes.volume import Volume

from .full import Phantom
from .options import PHANTOM_VERSION

LESION_COLUMNS = (
    "level",
    "lesion",
    "polarity",
    "kind",
    "volume_mm3",
    "centroid_r_mm",
    "centroid_a_mm",
    "centroid_s_mm",
    "touches_cortex",
    "crosses_centre",
)
VERTEBRA_COLUMNS = (
    "level", "malignant", "phenotype", "benign", "anterior_mm", "middle_mm", "posterior_mm"
)  # fmt: skip


def write_phantom(phantom: Phantom, directory: str | os.PathLike[str]) -> dict[str, Path]:
    """Write all files of `phantom` and return their paths by name.

    Every file is written beside its place and moved there once all are complete, so an interrupted
    run leaves no partial file. Raises OutputError when the folder cannot be written.
    """
    folder = Path(directory)
    volumes: dict[str, tuple[Volume, type[np.generic]]] = {
        "ct.nii.gz": (phantom.ct, np.int16),
        "vertebrae.nii.gz": (phantom.vertebrae, np.uint8),
        "bodies.nii.gz": (phantom.bodies, np.uint8),
        "truth.nii.gz": (phantom.truth, np.uint8),
    }
    writers: dict[str, Callable[[Path], None]] = {
        name: _volume_writer(volume, dtype) for name, (volume, dtype) in volumes.items()
    }
    writers["lesions.csv"] = _table_writer(LESION_COLUMNS, _lesion_rows(phantom))
    writers["vertebrae_truth.csv"] = _table_writer(VERTEBRA_COLUMNS, _vertebra_rows(phantom))
    writers["phantom.json"] = _record_writer(phantom)
    fresh = not folder.exists()
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=folder, prefix=".phantom-") as name:
            temporary = Path(name)
            for file, write in writers.items():
                write(temporary / file)
            for file in writers:
                os.replace(temporary / file, folder / file)
    except BaseException as error:
        # Also on Ctrl-C: a folder made for this run goes again, the temporary one already has.
        if fresh and folder.is_dir():
            shutil.rmtree(folder, ignore_errors=True)
        if not isinstance(error, OSError):
            raise
        raise OutputError(
            f"The phantom could not be written to {folder}: {error.strerror or error}.",
            "Choose a folder that can be written and has some 60 MB of room.",
        ) from error
    return {file: folder / file for file in writers}


def _volume_writer(volume: Volume, dtype: type[np.generic]) -> Callable[[Path], None]:
    def write(path: Path) -> None:
        image = nib.Nifti1Image(np.asarray(volume.data, dtype=dtype), volume.affine)
        image.header.set_xyzt_units("mm")
        image.set_qform(volume.affine, code=1)
        image.set_sform(volume.affine, code=1)
        image.header["descrip"] = b"HideSeek phantom: synthetic, no patient"
        nib.save(image, path)

    return write


def _table_writer(
    columns: tuple[str, ...], rows: Iterable[tuple[object, ...]]
) -> Callable[[Path], None]:
    def write(path: Path) -> None:
        with path.open("w", newline="", encoding="utf-8") as file:
            table = csv.writer(file)
            table.writerow(columns)
            table.writerows(rows)

    return write


def _record_writer(phantom: Phantom) -> Callable[[Path], None]:
    scan = {
        name: value.tolist() if isinstance(value, np.ndarray) else value
        for name, value in asdict(phantom.scan).items()
    }
    record = {
        "kind": "HideSeek phantom (synthetic, no patient data)",
        "version": PHANTOM_VERSION,
        "seed": phantom.seed,
        "options": asdict(phantom.options),
        "scan": scan,
        "labels": {"vertebrae": "VerSe", "truth": {"1": "lytic", "2": "blastic"}},
    }

    def write(path: Path) -> None:
        path.write_text(json.dumps(record, indent=2) + "\n", encoding="utf-8")

    return write


def _lesion_rows(phantom: Phantom) -> list[tuple[object, ...]]:
    return [
        (
            row.level,
            row.lesion,
            row.polarity,
            row.kind,
            round(row.volume_mm3, 2),
            *(round(c, 2) for c in row.centroid_ras),
            int(row.touches_cortex),
            int(row.crosses_centre),
        )
        for row in phantom.lesions
    ]


def _vertebra_rows(phantom: Phantom) -> list[tuple[object, ...]]:
    return [
        (
            row.level,
            int(row.malignant),
            row.phenotype,
            ";".join(row.benign),
            *(round(mm, 2) for mm in row.heights_mm or ()),
        )
        for row in phantom.vertebra_truth
    ]
