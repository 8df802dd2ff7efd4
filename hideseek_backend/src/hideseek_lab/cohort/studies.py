"""Where a case's CT and vertebra mask lie: a folder, a DICOM tree, or a zip as a PACS gives it."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from hideseek_backend.dicom import media
from hideseek_backend.errors import HideSeekError, InputError

_MASKS = ("vertebrae", "seg", "vert", "mask", "total")
_TABLES = (".csv", ".tsv", ".json", ".txt", ".html", ".xlsx")
_LOOKED_AT = 1000


@dataclass(frozen=True)
class Scan:
    """Paths of a case. vertebrae: None for the segmentation within the study. ct: may be one."""

    ct: Path
    vertebrae: Path | None = None
    bodies: Path | None = None


def find_scan(path: Path) -> Scan | None:
    """Return the scan that a folder or a zip holds, None where it holds none.

    A folder: `ct.*` or `ct/`, else one zip, else the DICOM files in and below it; the mask beside
    it is a file or folder whose name begins with vertebrae, seg, vert, mask or total. A zip: the
    mask is beside it and begins with its name, as study_vertebrae.nii.gz. Without a mask, a study
    must hold a segmentation of the vertebrae itself.
    """
    if path.is_dir():
        return _in_folder(path)
    if path.is_file() and media.is_zip(path):
        beside = [
            p for p in sorted(path.parent.glob("*")) if p.name.startswith(path.stem) and p != path
        ]
        return Scan(
            path,
            _first(beside, _MASKS, skip=len(path.stem)),
            _first(beside, ("bodies",), skip=len(path.stem)),
        )
    return None


def is_study(path: Path) -> bool:
    """Whether a CT is a DICOM study, which may hold its own mask and takes results as DICOM."""
    return media.is_study(path)


@contextmanager
def vertebra_mask(ct: Path, vertebrae: str) -> Iterator[Path]:
    """Give the mask's path; that of the study's own segmentation where `vertebrae` is "".

    Raises InputError where the study holds none of vertebrae, or several.
    """
    if vertebrae:
        yield Path(vertebrae)
        return
    from hideseek_backend.dicom.segmentation import is_segmentation

    with media.opened(ct) as files:
        found = [path for path in files if is_segmentation(path)]
        chosen = found if len(found) == 1 else [path for path in found if _names_levels(path)]
        if len(chosen) != 1:
            raise InputError(
                f"Expected one segmentation of the vertebrae in the study, got {len(chosen)} "
                f"(of {len(found)} segmentations).",
                "Put the mask beside the study, or name it in a manifest.",
            )
        yield chosen[0]


def _names_levels(path: Path) -> bool:
    from hideseek_backend.dicom.segmentation import read_segmentation

    try:
        names = read_segmentation(path)[1]
    except HideSeekError:
        return False
    return any(name.level is not None for name in names.values())


def _in_folder(folder: Path) -> Scan | None:
    named = [p for p in sorted(folder.iterdir()) if not p.name.startswith(".")]
    ct = next((p for p in named if p.name.lower().partition(".")[0] == "ct"), None)
    if ct is None:
        zips = [p for p in named if p.is_file() and media.is_zip(p)]
        if len(zips) == 1:
            ct = zips[0]
        elif _has_dicom(folder):
            ct = folder
    # A series' folder may be called SEG: its files are the study's, not one mask for each level.
    masks = [p for p in named if not (p.is_dir() and _has_dicom(p))]
    vertebrae = _first(masks, _MASKS)
    if ct is None or (vertebrae is None and not is_study(ct)):
        return None
    return Scan(ct, vertebrae, _first(masks, ("bodies",)))


def _first(paths: list[Path], words: tuple[str, ...], skip: int = 0) -> Path | None:
    """The first image whose name, after so many characters, begins with one of the words."""
    images = [p for p in paths if p.suffix.lower() not in _TABLES]
    return next((p for p in images if p.name[skip:].lower().lstrip(" ._-").startswith(words)), None)


def _has_dicom(folder: Path) -> bool:
    """Whether one of the first files in or below a folder is DICOM."""
    seen = 0
    for where, folders, names in os.walk(folder):
        folders.sort()
        for name in sorted(names):
            seen += 1
            if seen > _LOOKED_AT:
                return False
            if media.is_dicom_file(Path(where, name)):
                return True
    return False
