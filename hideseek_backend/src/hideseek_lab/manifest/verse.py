"""Import VerSe: BIDS folders, or the names of the MICCAI release."""

from __future__ import annotations

import re
from pathlib import Path

from hideseek_backend.errors import InputError
from hideseek_lab.manifest.rows import Row

_MASK = re.compile(r"_seg(-vert_msk)?\.nii(\.gz)?$")
_CT = re.compile(r"(_ct)?\.nii(\.gz)?$")
_FOLDER_SPLITS = {"training": "train", "validation": "validation", "test": "test"}


def import_verse(root: Path, label: str = "unknown") -> tuple[list[Row], list[str]]:
    """Return one row a scan; VerSe says nothing of tumours, so `label` is the user's word.

    The folders' names give the split where they tell.
    Raises InputError where no CT with its mask lies below `root`.
    """
    files = sorted(p for p in root.rglob("*.nii*") if p.is_file())
    masks = {_key(p, _MASK): p for p in files if _MASK.search(p.name)}
    rows, remarks = [], []
    for ct in (p for p in files if not _MASK.search(p.name) and _CT.search(p.name)):
        key = _key(ct, _CT)
        if key not in masks:
            remarks.append(f"{ct.name}: left out, no mask")
            continue
        patient = re.sub(r"_(split|dir)-.*$|_CT-\w+$", "", key)
        rows.append(
            Row(patient, key, str(ct), str(masks[key]), scheme="verse", label=label,
                split=_split(ct, root), source="verse")
        )  # fmt: skip
    if not rows:
        raise InputError(
            f"Expected VerSe scans below {root} (…_ct.nii.gz and …_seg-vert_msk.nii.gz), got none.",
            "Give the folder that holds rawdata and derivatives.",
        )
    return rows, remarks


def _key(path: Path, ending: re.Pattern[str]) -> str:
    return re.sub(r"_CT-\w+$", "", ending.sub("", path.name))


def _split(path: Path, root: Path) -> str:
    parts = " ".join(path.relative_to(root).parts[:-1]).lower()
    return next((split for word, split in _FOLDER_SPLITS.items() if word in parts), "train")
