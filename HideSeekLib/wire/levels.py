"""Names of vertebral levels: the list of them, and the many ways in which they are written."""

from __future__ import annotations

import re
import unicodedata

# Cranio-caudal order; the same strings as the backend's.
LEVELS: tuple[str, ...] = (
    *(f"C{n}" for n in range(1, 8)),
    *(f"T{n}" for n in range(1, 14)),
    *(f"L{n}" for n in range(1, 7)),
)

LABEL_SCHEMES: tuple[str, ...] = ("verse", "totalsegmentator", "totalsegmentator-v1")

_ORDER = {level: index for index, level in enumerate(LEVELS)}

# German clinical shorthand (BWK = thoracic, LWK = lumbar, HWK = cervical) and "D" for dorsal are
# common in reports and so in segment names.
_PREFIX = {
    "c": "C", "hwk": "C", "hw": "C",
    "t": "T", "th": "T", "d": "T", "bwk": "T", "bw": "T",
    "l": "L", "lwk": "L", "lw": "L",
}  # fmt: skip
_TOKEN = re.compile(r"(?<![a-z0-9])(hwk|hw|bwk|bw|lwk|lw|th|c|t|d|l)\s?0?(\d{1,2})(?![0-9a-z])")

_BODY_WORDS = frozenset({"body", "bodies", "corpus", "wirbelkorper"})
# Words that may stand beside the level without changing what the segment is. Anything else
# ("lytic", "rib", "disc", "lesion") means that the segment is not the vertebra itself.
_NEUTRAL_WORDS = _BODY_WORDS | frozenset(
    [
        "vertebra",
        "vertebrae",
        "vertebral",
        "vert",
        "verts",
        "vertebre",
        "vertebres",
        "wirbel",
        "spine",
        "spinal",
        "level",
        "bone",
        "segment",
        "seg",
        "segmentation",
        "mask",
        "label",
        "thoracic",
        "dorsal",
        "lumbar",
        "cervical",
        "of",
        "the",
    ]
)


def order(level: str) -> int:
    """Position of a level from head to foot; unknown names come last."""
    return _ORDER.get(level, len(LEVELS))


def _plain(text: str) -> str:
    """Lower case, accents off, punctuation as blanks ("Wirbelkörper_T12" -> "wirbelkorper t12")."""
    decomposed = unicodedata.normalize("NFKD", text)
    letters = "".join(c for c in decomposed if not unicodedata.combining(c)).lower()
    return re.sub(r"[^a-z0-9]+", " ", letters).strip()


def parse_level(text: str) -> str | None:
    """Read a level from a segment's id or name, or None when it does not name one vertebra.

    "vertebrae_T12", "T12 vertebra", "Th12", "BWK 12" give "T12". A second level ("T12-L1 disc"), a
    word that names something else ("T10 lytic", "T12 rib") or a bare number gives None.
    """
    plain = _plain(text)
    found = {
        f"{_PREFIX[prefix]}{int(number)}" for prefix, number in _TOKEN.findall(plain)
    } & _ORDER.keys()
    rest = _TOKEN.sub(" ", plain).split()
    if len(found) != 1 or any(word not in _NEUTRAL_WORDS for word in rest):
        return None
    return found.pop()


def names_a_body(text: str) -> bool:
    """Tell whether a name is that of vertebral bodies only ("T12 body", "vertebrae_body")."""
    return bool(_BODY_WORDS.intersection(_plain(text).split()))


def is_sacrum(text: str) -> bool:
    """Tell whether a name is that of the sacrum or a sacral segment, which is not analysed."""
    return bool(re.search(r"(?<![a-z0-9])(sacrum|s[1-5])(?![a-z0-9])", _plain(text)))


def level_of_label(value: int, scheme: str) -> str | None:
    """Level of a label value in a named scheme; None for a value that is no vertebra in it.

    verse: 1-7 C1-C7, 8-19 T1-T12, 20-25 L1-L6, 28 T13. totalsegmentator (v2): 27-31 L5-L1,
    32-43 T12-T1, 44-50 C7-C1. totalsegmentator-v1: 18-22 L5-L1, 23-34 T12-T1, 35-41 C7-C1.
    Raises ValueError for an unknown scheme.
    """
    if scheme == "verse":
        if 1 <= value <= 7:
            return f"C{value}"
        if 8 <= value <= 19:
            return f"T{value - 7}"
        if 20 <= value <= 25:
            return f"L{value - 19}"
        return "T13" if value == 28 else None
    if scheme not in LABEL_SCHEMES:
        raise ValueError(f"expected a label scheme in {LABEL_SCHEMES}, got {scheme!r}")
    first = 27 if scheme == "totalsegmentator" else 18
    if first <= value < first + 5:
        return f"L{5 - (value - first)}"
    if first + 5 <= value < first + 17:
        return f"T{12 - (value - first - 5)}"
    if first + 17 <= value < first + 24:
        return f"C{7 - (value - first - 17)}"
    return None
