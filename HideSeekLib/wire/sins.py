"""The Spinal Instability Neoplastic Score as a worksheet that a reader fills and signs.

Items and points: Fisher et al., Spine 2010;35:E1221-E1229. What the images show is suggested; the
sum exists only once a reader has chosen every item and signed.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

from .errors import WireError
from .levels import LEVELS, order
from .tables import carried

ITEMS: Mapping[str, Mapping[str, int]] = {
    "location": {"junctional": 3, "mobile": 2, "semirigid": 1, "rigid": 0},
    "pain": {"mechanical": 3, "occasional": 1, "none": 0},
    "lesion": {"lytic": 2, "mixed": 1, "blastic": 0},
    "alignment": {"subluxation": 4, "deformity": 2, "normal": 0},
    "collapse": {"over half": 3, "under half": 2, "half involved": 1, "none": 0},
    "posterolateral": {"both sides": 3, "one side": 1, "none": 0},
}
"""Item -> its choices with their points."""
_JUNCTIONS = ("C1", "C2", "C7", "T1", "T2", "T11", "T12", "T13", "L1", "L5", "L6")


@dataclass(frozen=True)
class Suggestion:
    """What the images show of one item. choice: one of the item's, "" where nothing is suggested.
    value, unit: the number behind it, NaN where there is none. because: in words."""

    item: str = carried()
    choice: str = carried()
    because: str = carried()
    value: float = carried(default=math.nan)
    unit: str = carried(default="")


@dataclass(frozen=True)
class Sheet:
    """The worksheet of one vertebra. entries: (item, the reader's choice). reader, signed: whoever
    read the images and answers for the entries.

    Raises WireError for items or choices that do not exist.
    """

    level: str = carried()
    suggestions: tuple[Suggestion, ...] = carried(default=())
    entries: tuple[tuple[str, str], ...] = carried(default=())
    reader: str = carried(default="")
    signed: bool = carried(default=False)

    def __post_init__(self) -> None:
        named = [(s.item, s.choice) for s in self.suggestions if s.choice]
        for item, choice in [*named, *self.entries]:
            if item not in ITEMS or choice not in ITEMS[item]:
                raise WireError(f"expected a choice of the worksheet, got {item}: {choice}")
        if self.level not in LEVELS:
            raise WireError(f"expected a vertebral level, got {self.level!r}")

    @property
    def chosen(self) -> dict[str, str]:
        """Item -> the reader's choice."""
        return dict(self.entries)

    @property
    def complete(self) -> bool:
        """Whether a reader chose every item and signed with a name."""
        return set(self.chosen) == set(ITEMS) and self.signed and bool(self.reader.strip())

    @property
    def total(self) -> int | None:
        """The sum of the reader's entries, None before the sheet is complete."""
        if not self.complete:
            return None
        return sum(ITEMS[item][choice] for item, choice in self.chosen.items())


def location(level: str) -> str:
    """The choice for a level: junctional, mobile, semirigid (rigid is the sacrum below S1)."""
    if level in _JUNCTIONS:
        return "junctional"
    return "semirigid" if order("T3") <= order(level) <= order("T10") else "mobile"


def meaning(total: int) -> str:
    """What a sum stands for."""
    return "stable" if total <= 6 else "potentially unstable" if total <= 12 else "unstable"
