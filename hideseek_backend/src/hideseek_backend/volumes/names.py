"""Tell a vertebra's level from what a file calls it: terminology code, segment id, or name."""

from __future__ import annotations

import re
from dataclasses import dataclass

from hideseek_backend.wire.codes import level_of_entry
from hideseek_backend.wire.levels import parse_level


@dataclass(frozen=True)
class SegmentName:
    """What a file says about one label value: name, segment id and Slicer tags."""

    name: str = ""
    identifier: str = ""
    tags: str = ""

    @property
    def level(self) -> str | None:
        """The vertebra level, by code first, then id, then name; None if it names none."""
        return level_of_tags(self.tags) or parse_level(self.identifier) or parse_level(self.name)

    def __str__(self) -> str:
        return self.name or self.identifier


def level_of_tags(tags: str) -> str | None:
    """Return the level that Slicer's terminology tag codes, or None; a lesion's tag gives None."""
    entry = re.search(r"TerminologyEntry:([^|]*)", tags)
    return level_of_entry(entry[1]) if entry else None
