"""What stands for a lesion and a vertebra: values, colours, and coded terms in Slicer's notation.

Codes are SNOMED CT; the modifier osteolytic or osteoblastic is private (99HIDESEEK) until a
registered code is confirmed.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

POLARITIES = ("lytic", "blastic")
LESION_VALUES: Mapping[str, int] = {"lytic": 1, "blastic": 2}
"""Values of a lesion label map, in every output."""
COLORS: Mapping[str, tuple[float, float, float]] = {
    "lytic": (220 / 255, 50 / 255, 47 / 255),
    "blastic": (38 / 255, 110 / 255, 230 / 255),
}
"""Red lytic and blue blastic, RGB in [0, 1], in every output."""

LESION_CONTEXT = "HideSeek vertebral lesions"
REGION_CONTEXT = "HideSeek vertebrae"
GENERAL_CONTEXT = "Segmentation category and type - 3D Slicer General Anatomy list"
"""Slicer's own terminology of structures. Ours: a terminology of lesions, a list of regions."""
_LESION_CATEGORY = ("SCT", "49755003", "Morphologically Altered Structure")
_STRUCTURE_CATEGORY = ("SCT", "123037004", "Anatomical Structure")
_LESION_TYPE = ("SCT", "14799000", "Neoplasm, Secondary")
_MODIFIERS = {
    "lytic": ("99HIDESEEK", "LYTIC", "Osteolytic"),
    "blastic": ("99HIDESEEK", "BLASTIC", "Osteoblastic"),
}
_VERTEBRA = "51282000"
_BONES = (_VERTEBRA, "272673000")

LEVEL_CODES: Mapping[str, str] = {
    "C1": "14806007", "C2": "39976000", "C3": "113205007", "C4": "5329002", "C5": "36978003",
    "C6": "36054005", "C7": "87391001", "T1": "64864005", "T2": "53733008", "T3": "1626008",
    "T4": "73071006", "T5": "56401006", "T6": "45296009", "T7": "62487009", "T8": "11068009",
    "T9": "82687006", "T10": "7610001", "T11": "12989004", "T12": "23215003", "L1": "66794005",
    "L2": "14293000", "L3": "36470004", "L4": "11994002", "L5": "49668003",
}  # fmt: skip
"""SNOMED CT codes as TotalSegmentator and Slicer write them; T13 and L6 have none."""
_LEVEL_OF = {code: level for level, code in LEVEL_CODES.items()}


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


def parse_entry(serialized: str) -> Entry | None:
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
    entry = parse_entry(serialized)
    if entry is None or entry.category.value == _LESION_CATEGORY[1]:
        return None
    if entry.type.scheme not in ("SCT", "SRT"):
        return None
    level = _LEVEL_OF.get(entry.type.value)
    if level is None and entry.type.value in _BONES:
        level = _LEVEL_OF.get(entry.region.value)
    return level


def region_code(level: str) -> tuple[str, str, str]:
    """Scheme, value and meaning of a level; T13 and L6 fall back to "Vertebra"."""
    if level in LEVEL_CODES:
        return "SCT", LEVEL_CODES[level], f"{level} vertebra"
    return "SCT", _VERTEBRA, "Vertebra"


def lesion_entry(level: str, polarity: str) -> str:
    """Terminology entry of a lesion segment: metastasis, lytic or blastic, in its level.

    polarity: "lytic" or "blastic" (KeyError for another).
    """
    return "~".join(
        (
            LESION_CONTEXT,
            "^".join(_LESION_CATEGORY),
            "^".join(_LESION_TYPE),
            "^".join(_MODIFIERS[polarity]),
            REGION_CONTEXT,
            "^".join(region_code(level)),
            "^^",
        )
    )


def vertebra_entry(level: str) -> str:
    """Terminology entry of a vertebra: an anatomical structure with its level's code."""
    return "~".join(
        (
            GENERAL_CONTEXT,
            "^".join(_STRUCTURE_CATEGORY),
            "^".join(region_code(level)),
            "^^",
            REGION_CONTEXT,
            "^^",
            "^^",
        )
    )


def _code(text: str) -> Code:
    parts = (text.split("^") + ["", "", ""])[:3]
    return Code(*(part.strip() for part in parts))
