"""Tell a vertebra's level from what a file calls it: terminology code, segment id, or name."""

from __future__ import annotations

import re
from dataclasses import dataclass

from hideseek_backend.volumes.levels import LEVELS

# SNOMED CT codes of the vertebrae, as TotalSegmentator and Slicer's terminologies write them.
SNOMED_LEVELS: dict[str, str] = {
    "14806007": "C1", "39976000": "C2", "113205007": "C3", "5329002": "C4", "36978003": "C5",
    "36054005": "C6", "87391001": "C7", "64864005": "T1", "53733008": "T2", "1626008": "T3",
    "73071006": "T4", "56401006": "T5", "45296009": "T6", "62487009": "T7", "11068009": "T8",
    "82687006": "T9", "7610001": "T10", "12989004": "T11", "23215003": "T12", "66794005": "L1",
    "14293000": "L2", "36470004": "L3", "11994002": "L4", "49668003": "L5",
}  # fmt: skip

_LEVEL = re.compile(r"(?<![A-Za-z0-9])(C|Th|T|L)[ _-]?0?(\d{1,2})(?![0-9])", re.IGNORECASE)
# Structures named after a level that are not the vertebra itself.
_OTHER = re.compile(
    r"dis[ck]|\bribs?\b|(?<![a-z])rib_|nerve|endplate|cord|canal|lesion|lytic|blastic|sacr|muscle",
    re.IGNORECASE,
)
_LATIN = {"TH": "T"}


@dataclass(frozen=True)
class SegmentName:
    """What a file says about one label value: name, segment id and Slicer tags."""

    name: str = ""
    identifier: str = ""
    tags: str = ""

    @property
    def level(self) -> str | None:
        """The vertebra level, by code first, then id, then name; None if it names none."""
        return (
            level_of_tags(self.tags) or level_of_name(self.identifier) or level_of_name(self.name)
        )

    def __str__(self) -> str:
        return self.name or self.identifier


def level_of_tags(tags: str) -> str | None:
    """Return the level whose SNOMED CT code occurs in Slicer's terminology tag, or None."""
    found = {
        SNOMED_LEVELS[code]
        for code in re.findall(r"(?:SCT|SRT)\^(\d+)\^", tags)
        if code in SNOMED_LEVELS
    }
    return found.pop() if len(found) == 1 else None


def level_of_name(text: str) -> str | None:
    """Return the level in a name such as "vertebrae_T12", "T12 vertebra" or "Th12", or None.

    Names of discs, ribs and lesions, and names with two levels, give None.
    """
    if _OTHER.search(text):
        return None
    # Underscores count as word characters, so they would hide the level from the pattern.
    found = {
        _LATIN.get(letter.upper(), letter.upper()) + str(int(number))
        for letter, number in _LEVEL.findall(text.replace("_", " "))
    }
    if len(found) != 1:
        return None
    level = found.pop()
    return level if level in LEVELS else None
