"""How this computer reaches the backend: settings of the machine, never part of a scene."""

from __future__ import annotations

import json
import os
import shlex
from dataclasses import asdict, dataclass, fields
from typing import Any

SETTINGS_KEY = "HideSeek/Backend"


@dataclass
class BackendSettings:
    """How this computer reaches the backend.

    python: executable that has the backend; empty means Slicer's own.
    prefix: words before it, such as `ssh host`; empty means this computer.
    model: "bundled", or the name or folder of an installed model, as the backend sees it.
    device: one of `wire.words.DEVICES`, or a card such as "cuda:1".
    """

    python: str = ""
    prefix: str = ""
    model: str = "bundled"
    device: str = "auto"
    offline: bool = False

    @classmethod
    def load(cls, settings: Any) -> BackendSettings:
        """Read from a QSettings; anything unreadable gives the defaults."""
        try:
            stored = json.loads(str(settings.value(SETTINGS_KEY, "") or "{}"))
        except json.JSONDecodeError:
            stored = {}
        if not isinstance(stored, dict):
            stored = {}
        names = {f.name for f in fields(cls)}
        known: dict[str, Any] = {
            k: v
            for k, v in stored.items()
            if k in names and isinstance(v, bool if k == "offline" else str)
        }
        return cls(**known)

    def store(self, settings: Any) -> None:
        """Write to a QSettings."""
        settings.setValue(SETTINGS_KEY, json.dumps(asdict(self)))

    def prefix_words(self) -> list[str]:
        """Return the prefix as words; raises ValueError for an unclosed quote."""
        if os.name == "nt":  # where a backslash is a part of paths
            return [word.strip('"') for word in shlex.split(self.prefix, posix=False)]
        return shlex.split(self.prefix)

    def remote(self) -> bool:
        """Return whether the backend runs through a prefix, so on other files than ours."""
        return bool(self.prefix.strip())

    def slicers_own(self) -> bool:
        """Return whether it runs in Slicer's own Python."""
        return not self.python and not self.remote()
