"""Rows of text for a terminal."""

from __future__ import annotations

from collections.abc import Mapping, Sequence


def text_table(columns: Sequence[str], rows: Sequence[Mapping[str, str]]) -> str:
    """Return rows as aligned text for a terminal; numbers to the right, words to the left."""
    cells = [[row[c] for c in columns] for row in rows]
    widths = [max([len(c), *(len(r[i]) for r in cells)]) for i, c in enumerate(columns)]
    right = [bool(cells) and all(_is_number(r[i]) for r in cells) for i in range(len(columns))]
    lines = [[*columns], ["─" * w for w in widths], *cells]
    return "\n".join(
        "  ".join(
            cell.rjust(width) if to_right else cell.ljust(width)
            for cell, width, to_right in zip(line, widths, right, strict=True)
        ).rstrip()
        for line in lines
    )


def _is_number(text: str) -> bool:
    if not text:
        return True
    try:
        float(text)
    except ValueError:
        return False
    return True
