"""Import the Excel list of the method's authors: image, seg_msk, label."""

from __future__ import annotations

import json
import re
from pathlib import Path

from hideseek_backend.errors import InputError
from hideseek_backend.files import whole_file
from hideseek_lab.manifest.rows import Row
from hideseek_lab.manifest.table import read_table

_LABELS = {"0": "healthy", "1": "malignant"}
CROP_LEVEL = "L1"
"""Their crops hold one vertebra of unsaid level; its mask's only value needs a name."""


def import_authors(path: Path, scheme: Path, patient: str = r"(.+)") -> tuple[list[Row], list[str]]:
    """Return one row a crop (64³ at 0.8 mm with a body mask of 0 and 1).

    scheme: JSON file to write, which says what the masks' value is called.
    patient: pattern searched in the image's path, whose first group is the patient.
    Raises InputError for other columns or labels, each with its row.
    """
    table = read_table(path)
    if missing := {"image", "seg_msk", "label"} - set(table.columns):
        raise InputError(
            f"Expected the columns image, seg_msk and label in {table.name}, "
            f"got no {', '.join(sorted(missing))}.",
            "Give the list that the authors' training reads.",
        )
    rows = []
    with whole_file(scheme) as part:
        part.write_text(json.dumps({CROP_LEVEL: 1}) + "\n", encoding="utf-8")
    for number, cells in table.rows:
        hit = re.search(patient, re.sub(r"\.nii(\.gz)?$", "", Path(cells["image"]).name))
        if cells["label"] not in _LABELS or hit is None:
            raise InputError(
                f"{table.name}, row {number}: label '{cells['label']}' is not 0 or 1, or no "
                "patient is found in the image's name.",
                "Correct the row, or give another --patient pattern.",
            )
        rows.append(
            Row(hit[1], f"crop{number:05d}", str(path.parent / cells["image"]),
                str(path.parent / cells["seg_msk"]), str(path.parent / cells["seg_msk"]),
                str(scheme), label=_LABELS[cells["label"]], source="authors")
        )  # fmt: skip
    remarks = [f"each mask's value 1 is called {CROP_LEVEL}, for the list names no levels"]
    if patient == r"(.+)":
        remarks.append("every image counts as a patient of its own: --patient PATTERN mends that")
    return rows, remarks
