"""Vertebral levels: the list of them, the many ways to write them, and the numbers of schemes.

A name is read by a whitelist: beside the level only words may stand that do not change what the
segment is. "T12 vertebra" is T12; "T12 metastasis", "L1 screw" and "L5/S1" are no vertebra, because
to take one for the vertebra would be a wrong analysis without a warning.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Mapping, Sequence

LEVELS: tuple[str, ...] = (
    *(f"C{n}" for n in range(1, 8)),
    *(f"T{n}" for n in range(1, 14)),
    *(f"L{n}" for n in range(1, 7)),
)
"""Every level, from head to foot; T13 and L6 are variants."""

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
_NEUTRAL_WORDS = _BODY_WORDS | {
    "vertebra", "vertebrae", "vertebral", "vert", "verts", "vertebre", "vertebres", "wirbel",
    "spine", "spinal", "level", "bone", "segment", "seg", "segmentation", "mask", "label",
    "thoracic", "dorsal", "lumbar", "cervical", "of", "the",
}  # fmt: skip


def order(level: str) -> int:
    """Position of a level from head to foot; unknown names come last."""
    return _ORDER.get(level, len(LEVELS))


VARIANTS = ("T13", "L6")
"""Levels that most spines do not have."""


def oddities(names: Sequence[str], heights: Mapping[str, float] | None = None) -> tuple[str, ...]:
    """Say what is odd about the levels of a spine; a wrong level is a wrong report.

    names: levels that are there. heights: of their middles, mm towards the head, as far as known.
    T13 or L6 (a transitional vertebra, or a count that is off by one), levels missing between two
    others, and an order that contradicts anatomy.
    """
    odd = []
    ordered = sorted(set(names), key=order)
    variants = [level for level in ordered if level in VARIANTS]
    if variants:
        odd.append(f"{' and '.join(variants)} is present: a transitional vertebra, or a miscount.")
    usual = [level for level in ordered if level not in VARIANTS]
    if usual:
        run = [level for level in LEVELS if level not in VARIANTS]
        between = run[run.index(usual[0]) : run.index(usual[-1])]
        gap = [level for level in between if level not in usual]
        if gap:
            odd.append(f"{', '.join(gap)} is missing between {usual[0]} and {usual[-1]}.")
    placed = [level for level in ordered if level in (heights or {})]
    for upper, lower in zip(placed, placed[1:], strict=False):
        if heights is not None and heights[upper] <= heights[lower]:
            odd.append(f"{upper} lies below {lower}.")
    return tuple(odd)


def parse_level(text: str) -> str | None:
    """Read the level from a name, or None when it does not name one vertebra.

    "vertebrae_T12", "T12 vertebra", "Th12", "BWK 12", "D12" give "T12". A second level
    ("T12-L1 disc"), a word that names something else ("T10 lytic", "L1 screw") or a bare number
    gives None.
    """
    plain = _plain(text)
    tokens = _TOKEN.findall(plain)
    found = {f"{_PREFIX[prefix]}{int(number)}" for prefix, number in tokens}
    rest = _TOKEN.sub(" ", plain).split()
    if len(found) != 1 or not found <= _ORDER.keys() or not _NEUTRAL_WORDS.issuperset(rest):
        return None
    return found.pop()


def names_a_body(text: str) -> bool:
    """Tell whether a name is that of vertebral bodies only ("T12 body", "vertebrae_body")."""
    return bool(_BODY_WORDS.intersection(_plain(text).split()))


def is_sacrum(text: str) -> bool:
    """Tell whether a name is that of the sacrum or a sacral segment, which is not analysed."""
    return bool(re.search(r"(?<![a-z0-9])(sacrum|s[1-5])(?![a-z0-9])", _plain(text)))


def _plain(text: str) -> str:
    """Lower case, accents off, punctuation as blanks ("Wirbelkörper_T12" -> "wirbelkorper t12")."""
    decomposed = unicodedata.normalize("NFKD", text)
    letters = "".join(c for c in decomposed if not unicodedata.combining(c)).lower()
    return re.sub(r"[^a-z0-9]+", " ", letters).strip()


_CERVICAL, _THORACIC, _LUMBAR = LEVELS[:7], LEVELS[7:19], LEVELS[20:25]
_UPWARDS = (*_CERVICAL, *_THORACIC, *_LUMBAR)[::-1]

LABEL_SCHEMES: Mapping[str, Mapping[int, str]] = {
    # VerSe, SPINEPS; vertebrae_pp numbers C1…L5 as 1…24, which is the same.
    "verse": {**dict(enumerate((*_CERVICAL, *_THORACIC, *_LUMBAR, "L6"), 1)), 28: "T13"},
    "totalsegmentator": dict(enumerate(_UPWARDS, 27)),  # v2
    "totalsegmentator-v1": dict(enumerate(_UPWARDS, 18)),
}
"""Scheme -> label value -> level."""

VERSE_VALUES: Mapping[str, int] = {level: v for v, level in LABEL_SCHEMES["verse"].items()}
"""Level -> VerSe's label value, for every level."""
