"""Fabricated patients as Spine-Mets-CT-SEG lays them out: CT series, DICOM SEG and a table."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from dicom_writer import write_dicom
from toy_spine import toy_spine

ROOT = "1.2.826.0.1.3680043.2.1125"
LEVELS = ("T12", "L1", "L2")


def write_patient(root: Path, number: int, diseased: dict[str, str]) -> None:
    """Write one patient; diseased levels get a hole (lytic) or a dense centre (blastic)."""
    import highdicom
    import pydicom
    from pydicom.sr.codedict import codes
    from pydicom.sr.coding import Code

    spine = toy_spine(LEVELS, noise=12.0 + number)
    hu = spine.ct.data.copy()
    for level, kind in diseased.items():
        ras = spine.ct.ras(np.moveaxis(np.indices(hu.shape), 0, -1)) - spine.centres[level]
        hu[np.linalg.norm(ras, axis=-1) < 9] = 700 if kind == "blastic" else 20
    # A grid of LPS axes: i and j of the array run against R and A.
    hu, labels = hu[::-1, ::-1], spine.labels.data[::-1, ::-1]
    origin = spine.ct.ras([hu.shape[0] - 1, hu.shape[1] - 1, 0]) * [-1, -1, 1]
    study = root / f"P{number}" / "04-04-2009-NA-Spine-1"
    series = f"{ROOT}.{number}.2"
    tags = {
        "0010|0010": f"P{number}^Made", "0010|0020": f"P{number}",
        "0010|0030": "", "0010|0040": "O",
        "0008|0020": "20090404", "0008|0030": "101010", "0008|0050": "", "0008|0090": "",
        "0020|0010": "1", "0020|0052": f"{ROOT}.{number}.9", "0018|0050": "2",
        "0020|000d": f"{ROOT}.{number}",
    }  # fmt: skip
    spacing = tuple(spine.ct.spacing[:2].tolist())
    step = (0.0, 0.0, float(spine.ct.spacing[2]))
    files = write_dicom(
        study / "2.000000-bone", hu, spacing=spacing, origin=tuple(origin), step=step,
        series=series, intercept=0.0, tags=tags,
    )  # fmt: skip
    source = [pydicom.dcmread(path) for path in files]
    pixels = np.stack([labels[:, :, k].T for k in range(labels.shape[2])])
    array = np.zeros(pixels.shape, np.uint8)
    descriptions = []
    for segment, level in enumerate(LEVELS, 1):
        array[pixels == np.unique(pixels)[segment]] = segment
        descriptions.append(
            highdicom.seg.SegmentDescription(
                segment, f"{level} vertebra", codes.SCT.AnatomicalStructure,
                Code("51282000", "SCT", "Vertebra"),
                highdicom.seg.SegmentAlgorithmTypeValues.MANUAL,
            )
        )  # fmt: skip
    segmentation = highdicom.seg.Segmentation(
        source, array, highdicom.seg.SegmentationTypeValues.BINARY, descriptions,
        f"{ROOT}.{number}.300", 300, f"{ROOT}.{number}.300.1", 1, "HideSeek", "test", "1", "0",
    )  # fmt: skip
    target = study / "300.000000-Spine Segmentation-1"
    target.mkdir()
    segmentation.save_as(target / "1-1.dcm")


def write_table(path: Path, diseased: dict[int, dict[str, str]]) -> None:
    """Write the table of diseased levels."""
    lines = ["Case,Primary cancer,Vertebrae with Lesions,Blastic,Lytic,Mixed,Comments/Fractures"]
    for number, own in diseased.items():
        cells = [
            '"' + ", ".join(lv for lv, kind in own.items() if kind == name) + '"'
            for name in ("blastic", "lytic", "mixed")
        ]
        lines.append(f"P{number},Lung,,{','.join(cells)},")
    path.write_text("\n".join(lines) + "\n")
