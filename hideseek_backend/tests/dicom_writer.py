"""Write small DICOM series for tests."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import SimpleITK as sitk


def write_dicom(
    folder: Path,
    hu: np.ndarray,
    *,
    spacing: tuple[float, float] = (2.0, 2.0),
    orientation: tuple[float, ...] = (1, 0, 0, 0, 1, 0),
    origin: tuple[float, float, float] = (-40.0, -50.0, 100.0),
    step: tuple[float, float, float] = (0.0, 0.0, 2.5),
    positions: list[tuple[float, float, float]] | None = None,
    series: str = "1.2.826.0.1.3680043.2.1125.1",
    intercept: float = -1024.0,
    slope: float = 1.0,
    tags: dict[str, str] | None = None,
    prefix: str = "slice",
) -> list[Path]:
    """Write hu (columns, rows, slices) as one series of CT slices; returns the files."""
    folder.mkdir(parents=True, exist_ok=True)
    files = []
    for n in range(hu.shape[2]):
        stored = hu[:, :, n].T.astype(np.int16)
        image = sitk.GetImageFromArray(stored)
        image.SetSpacing(spacing)
        place = positions[n] if positions else np.array(origin) + n * np.array(step)
        values = {
            "0008|0060": "CT",
            "0008|0008": "ORIGINAL\\PRIMARY\\AXIAL",
            "0008|103e": "bone 2.5",
            "0020|000d": "1.2.826.0.1.3680043.2.1125.9",
            "0020|000e": series,
            "0008|0018": f"{series}.{n + 1}",
            "0020|0013": str(n + 1),
            "0020|0032": "\\".join(f"{value:.6f}" for value in place),
            "0020|0037": "\\".join(f"{value:.6f}" for value in orientation),
            "0028|1052": str(intercept),
            "0028|1053": str(slope),
            **(tags or {}),
        }
        for key, value in values.items():
            image.SetMetaData(key, value)
        writer = sitk.ImageFileWriter()
        writer.KeepOriginalImageUIDOn()
        path = folder / f"{prefix}{hu.shape[2] - 1 - n:03d}.dcm"  # names in another order
        writer.SetFileName(str(path))
        writer.Execute(image)
        files.append(path)
    return files
