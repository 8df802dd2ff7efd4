"""Coded terms of a lesion segment, in Slicer's terminology notation.

Codes are SNOMED CT; the modifier osteolytic or osteoblastic is private (99HIDESEEK) until a
registered code is confirmed. The Slicer extension registers the two contexts named here and uses
the same entries for its own segments.
"""

from __future__ import annotations

CATEGORY_CONTEXT = "HideSeek vertebral lesions"
REGION_CONTEXT = "HideSeek vertebrae"
CATEGORY = ("SCT", "49755003", "Morphologically Altered Structure")
TYPE = ("SCT", "14799000", "Neoplasm, Secondary")
MODIFIER: dict[str, tuple[str, str, str]] = {
    "lytic": ("99HIDESEEK", "LYTIC", "Osteolytic"),
    "blastic": ("99HIDESEEK", "BLASTIC", "Osteoblastic"),
}
VERTEBRA_CODE = "51282000"
REGION_CODES = {
    "C1": "14806007",
    "C2": "39976000",
    "C3": "113205007",
    "C4": "5329002",
    "C5": "36978003",
    "C6": "36054005",
    "C7": "87391001",
    "T1": "64864005",
    "T2": "53733008",
    "T3": "1626008",
    "T4": "73071006",
    "T5": "56401006",
    "T6": "45296009",
    "T7": "62487009",
    "T8": "11068009",
    "T9": "82687006",
    "T10": "7610001",
    "T11": "12989004",
    "T12": "23215003",
    "L1": "66794005",
    "L2": "14293000",
    "L3": "36470004",
    "L4": "11994002",
    "L5": "49668003",
}

COLORS: dict[str, tuple[float, float, float]] = {
    "lytic": (220 / 255, 50 / 255, 47 / 255),
    "blastic": (38 / 255, 110 / 255, 230 / 255),
}
"""Red lytic and blue blastic, RGB in [0, 1], in every output."""


def terminology_entry(level: str, polarity: str) -> str:
    """Return Slicer's TerminologyEntry of a lesion: category, type, modifier and region.

    A level without a code of its own (T13, L6) is coded as vertebra.
    """
    if level in REGION_CODES:
        region = ("SCT", REGION_CODES[level], f"{level} vertebra")
    else:
        region = ("SCT", VERTEBRA_CODE, "Vertebra")
    fields = (
        CATEGORY_CONTEXT,
        "^".join(CATEGORY),
        "^".join(TYPE),
        "^".join(MODIFIER[polarity]),
        REGION_CONTEXT,
        "^".join(region),
        "^^",
    )
    return "~".join(fields)
