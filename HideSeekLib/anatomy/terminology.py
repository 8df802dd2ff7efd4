"""Coded meaning of segments: read a vertebra's level from it, write that of a lesion."""

from __future__ import annotations

import json
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import slicer

RESOURCES = Path(__file__).resolve().parent.parent / "Resources"
LESION_CONTEXT = "HideSeek vertebral lesions"
REGION_CONTEXT = "HideSeek vertebrae"
GENERAL_CONTEXT = "Segmentation category and type - 3D Slicer General Anatomy list"
"""Slicer's own terminology of structures. Ours: a terminology of lesions, a list of regions."""

# Red and blue, as in the report; also the recommended colours in the terminology file.
POLARITY_COLORS: dict[str, tuple[float, float, float]] = {
    "lytic": (220 / 255, 50 / 255, 47 / 255),
    "blastic": (38 / 255, 110 / 255, 230 / 255),
}
_MODIFIERS = {"lytic": ("LYTIC", "Osteolytic"), "blastic": ("BLASTIC", "Osteoblastic")}


@dataclass(frozen=True)
class Code:
    """A coded concept: scheme ("SCT"), value ("51282000"), meaning ("Vertebra")."""

    scheme: str
    value: str
    meaning: str


@dataclass(frozen=True)
class Entry:
    """The parts of a serialized terminology entry that say what a segment is."""

    category: Code
    type: Code
    modifier: Code
    region: Code


@lru_cache(maxsize=1)
def _codes() -> dict[str, Any]:
    loaded: dict[str, Any] = json.loads(
        (RESOURCES / "vertebra_codes.json").read_text(encoding="utf-8")
    )
    return loaded


@lru_cache(maxsize=1)
def _level_of_code() -> dict[str, str]:
    return {entry["code"]: level for level, entry in _codes()["levels"].items()}


def _code(text: str) -> Code:
    parts = (text.split("^") + ["", "", ""])[:3]
    return Code(*(part.strip() for part in parts))


def parse(serialized: str) -> Entry | None:
    """Split "context~category~type~modifier~regioncontext~region~..."; None if it is none."""
    parts = serialized.strip().rstrip("|").split("~")
    if len(parts) < 3:
        return None
    parts += [""] * (7 - len(parts))
    return Entry(_code(parts[1]), _code(parts[2]), _code(parts[3]), _code(parts[5]))


def level_of_entry(serialized: str) -> str | None:
    """Level that a terminology entry codes, or None when it does not code one vertebra.

    The level may be the type itself (TotalSegmentator) or the region of a bone or vertebra. A
    region alone is not enough: a tumour in T10 has that region and is not the vertebra.
    """
    entry = parse(serialized)
    if entry is None or entry.category.value == _codes()["lesion_category"]:
        return None
    if entry.type.scheme != "SCT":
        return None
    level = _level_of_code().get(entry.type.value)
    if level is None and entry.type.value in _codes()["bone"] and entry.region.scheme == "SCT":
        level = _level_of_code().get(entry.region.value)
    return level


def _triple(code: str, meaning: str, scheme: str = "SCT") -> str:
    return f"{scheme}^{code}^{meaning}"


def region_triple(level: str) -> str:
    """Coded region of a level; T13 and L6 have no code of their own and fall back to "Vertebra"."""
    entry = _codes()["levels"].get(level, _codes()["vertebra"])
    return _triple(entry["code"], entry["meaning"])


def lesion_entry(level: str, polarity: str) -> str:
    """Serialized terminology entry of a lesion segment: metastasis, lytic or blastic, its level.

    polarity: "lytic" or "blastic" (KeyError for another). The modifier has a private scheme,
    99HIDESEEK, because no registered code for it is confirmed.
    """
    code, meaning = _MODIFIERS[polarity]
    return "~".join(
        (
            LESION_CONTEXT,
            _triple("49755003", "Morphologically Altered Structure"),
            _triple("14799000", "Neoplasm, Secondary"),
            _triple(code, meaning, "99HIDESEEK"),
            REGION_CONTEXT,
            region_triple(level),
            "^^",
        )
    )


def body_entry(level: str) -> str:
    """Serialized terminology entry of a vertebra: an anatomical structure with its level's code."""
    return "~".join(
        (
            GENERAL_CONTEXT,
            _triple("123037004", "Anatomical Structure"),
            region_triple(level),
            "^^",
            REGION_CONTEXT,
            "^^",
            "^^",
        )
    )


def register(logic: Any) -> bool:
    """Load our two contexts into Slicer's terminologies logic, so that its selector shows them.

    Returns True when both were loaded.
    """
    lesions = logic.LoadTerminologyFromFile(str(RESOURCES / "HideSeekLesions.term.json"))
    regions = logic.LoadRegionContextFromFile(str(RESOURCES / "HideSeekVertebrae.region.json"))
    return bool(lesions) and bool(regions)


def register_in_slicer() -> bool:
    """Load our contexts into Slicer once; False where it has no terminologies module."""
    module = getattr(getattr(slicer, "modules", None), "terminologies", None)
    if module is None:
        return False
    logic = module.logic()
    return bool(logic.IsTerminologyContextLoaded(LESION_CONTEXT)) or register(logic)
