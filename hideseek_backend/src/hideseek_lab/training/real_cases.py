"""Real CTs without known metastases, as the user describes them: where they are, whose, and how
they may be used."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hideseek_backend.errors import InputError
from hideseek_backend.volumes.crops import VertebraBlock, cut_block
from hideseek_backend.volumes.vertebrae import load_case

CASE_FILE = "case.json"
_BESIDE = {
    "ct": "ct.nii.gz",
    "vertebrae": "bodies.nii.gz",
    "bodies": "bodies.nii.gz",
    "labels": "verse",
}


@dataclass(frozen=True)
class RealCase:
    """A CT that shows no known metastasis.

    name, patient: cases of one patient share the latter and always lie in one split.
    levels: those that are complete; exclude: those of them that are not to pass for normal.
    licence, attribution: of the CT, for the model card.
    """

    name: str
    patient: str
    ct: Path
    vertebrae: Path
    bodies: Path | None
    labels: str | None
    levels: tuple[str, ...]
    exclude: tuple[str, ...] = ()
    licence: str = ""
    attribution: str = ""

    @property
    def healthy_levels(self) -> tuple[str, ...]:
        """The levels that are taken for free of disease."""
        return tuple(level for level in self.levels if level not in self.exclude)

    def credit(self) -> dict[str, Any]:
        """What a model's record and card say of the case."""
        return {
            "case": self.name,
            "patient": self.patient,
            "levels": list(self.healthy_levels),
            "licence": self.licence,
            "attribution": self.attribution,
        }

    def blocks(self) -> list[VertebraBlock]:
        """Cut the block of every healthy level."""
        case = load_case(self.ct, self.vertebrae, bodies_path=self.bodies, labels=self.labels)
        return [cut_block(case.ct, case.vertebrae, level) for level in self.healthy_levels]


def read_cases(paths: Sequence[Path]) -> list[RealCase]:
    """Read cases from JSON files, and from folders of folders that hold a `case.json` each.

    A file gives "levels", and "ct", "vertebrae", "bodies" relative to itself (where they are left
    out: ct.nii.gz and bodies.nii.gz beside it, with VerSe's values); optional are "id",
    "patient", "labels", "exclude", "licence" and "attribution".

    Raises InputError when a file is missing or lacks something.
    """
    files: list[Path] = []
    for path in paths:
        if path.is_dir():
            found = sorted(path.glob(f"*/{CASE_FILE}")) or sorted(path.glob(CASE_FILE))
            if not found:
                raise InputError(
                    f"No {CASE_FILE} in {path} or in its folders.",
                    "Give a folder of cases, or the JSON file of one.",
                )
            files += found
        else:
            files.append(path)
    return [_read(path) for path in files]


def _read(path: Path) -> RealCase:
    try:
        given = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise InputError(
            f"{path} is not readable JSON: {error}.",
            'Give an object with "ct", "vertebrae" and "levels".',
        ) from error
    if "ct" not in given and (path.parent / "ct.nii.gz").is_file():
        given = {**given, **_BESIDE}
    missing = [key for key in ("ct", "vertebrae", "levels") if key not in given]
    if missing:
        raise InputError(f"{path} lacks {', '.join(missing)}.", "Add them to the file.")

    def file(key: str) -> Path | None:
        return (path.parent / given[key]).resolve() if given.get(key) else None

    ct, vertebrae = file("ct"), file("vertebrae")
    for key, found in (("ct", ct), ("vertebrae", vertebrae), ("bodies", file("bodies"))):
        if found is not None and not found.exists():
            raise InputError(f"{path}: {key} {found} does not exist.", "Correct the path.")
    assert ct is not None and vertebrae is not None
    name = str(given.get("id") or (path.parent.name if path.name == CASE_FILE else path.stem))
    return RealCase(
        name=name,
        patient=str(given.get("patient") or name),
        ct=ct,
        vertebrae=vertebrae,
        bodies=file("bodies"),
        labels=given.get("labels"),
        levels=tuple(given["levels"]),
        exclude=tuple(given.get("exclude") or ()),
        licence=str(given.get("licence") or ""),
        attribution=str(given.get("attribution") or ""),
    )
