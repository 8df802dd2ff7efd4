"""Levels in free text, as readers write them: "T1, T2 T3", "Th12-L2", "T11 to L1"."""

from __future__ import annotations

import re

from hideseek_backend.wire.levels import LEVELS, order

_LEVEL = re.compile(r"(?<![A-Za-z0-9])(C|TH|T|L)\s?0?(\d{1,2})(?![0-9A-Za-z])", re.IGNORECASE)
_RANGE = re.compile(r"^\s*(?:-|–|to|through|until|thru)\s*(?:the\s+)?(sacrum)?", re.IGNORECASE)
_VARIANTS = ("T13", "L6")


def levels_in(text: str) -> tuple[str, ...]:
    """Return the levels that a text names, from head to foot; ranges are filled in."""
    found: set[str] = set()
    hits = [
        (hit, name)
        for hit in _LEVEL.finditer(text)
        if (name := f"{hit[1].upper().replace('TH', 'T')}{int(hit[2])}") in LEVELS
    ]
    for index, (hit, name) in enumerate(hits):
        found.add(name)
        until = _RANGE.match(text[hit.end() :])
        if until is None:
            continue
        following = hits[index + 1] if index + 1 < len(hits) else None
        end = "L5" if until[1] else ""
        if not end and following and following[0].start() <= hit.end() + until.end() + 1:
            end = following[1]
        if end:
            run = LEVELS[order(name) : order(end) + 1]
            found.update(one for one in run if one not in _VARIANTS or one in (name, end))
    return tuple(sorted(found, key=order))


def clauses(text: str) -> tuple[str, ...]:
    """Part a remark into clauses; a mere list of levels stays with what is said of it."""
    parts: list[str] = []
    for sentence in re.split(r"[.;]", text):
        first = True
        for piece in sentence.split(","):
            bare = not re.sub(r"[\s:?]", "", _LEVEL.sub("", piece))
            if bare and not first and parts:
                parts[-1] += f", {piece.strip()}"
            elif piece.strip():
                parts.append(piece.strip())
            first = False
    return tuple(parts)
