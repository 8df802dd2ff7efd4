"""What the panel remembers: choices in the scene, and settings of this computer.

Choices that belong to the case live in the parameter node and travel with the scene. Settings that
belong to the machine (which Python, which device, which model) live in Slicer's settings file and
never enter a scene that may be given away.
"""

from __future__ import annotations

import enum
import json
import shlex
from dataclasses import asdict, dataclass, fields
from typing import Any

from slicer import (
    vtkMRMLScalarVolumeNode,
    vtkMRMLSegmentationNode,
    vtkMRMLTextNode,
)
from slicer.parameterNodeWrapper import parameterNodeWrapper

from HideSeekLib.i18n import _

SETTINGS_KEY = "HideSeek/Backend"
DEVICES = ("auto", "cpu", "cuda")
"""What the backend's devices are called; "cuda:1" is the second card."""


class Polarity(enum.Enum):
    """Which lesions to look for."""

    AUTO = "auto"
    LYTIC = "lytic"
    BLASTIC = "blastic"
    BOTH = "both"

    def label(self) -> str:
        """Return the text for a combo box."""
        return {
            Polarity.AUTO: _("Automatic"),
            Polarity.LYTIC: _("Lytic"),
            Polarity.BLASTIC: _("Blastic"),
            Polarity.BOTH: _("Lytic and blastic"),
        }[self]


class RunProtocol(enum.Enum):
    """How the healthy edit is computed."""

    FAST = "fast"
    REFERENCE = "reference"

    def label(self) -> str:
        """Return the text for a combo box."""
        return {
            RunProtocol.FAST: _("Fast (for reading)"),
            RunProtocol.REFERENCE: _("Reference (as published, slow)"),
        }[self]


@parameterNodeWrapper
class HideSeekParameterNode:
    """Choices saved with the scene.

    levelOverrides: segment id -> level the user gave ("" means: not a vertebra).
    polarityByLevel: level -> value of Polarity where it differs from the patient's.
    case: hub node of the case under review.
    """

    ct: vtkMRMLScalarVolumeNode
    vertebrae: vtkMRMLSegmentationNode
    bodies: vtkMRMLSegmentationNode
    case: vtkMRMLTextNode
    polarity: Polarity = Polarity.AUTO
    protocol: RunProtocol = RunProtocol.FAST
    levelOverrides: dict[str, str] = {}
    polarityByLevel: dict[str, str] = {}


def repair(node: Any) -> None:
    """Forget choices that this version does not know, of a scene that a later one saved.

    Slicer's wrapper raises ValueError for them, and the panel would stay empty.
    """
    for name, kind in (("polarity", Polarity), ("protocol", RunProtocol)):
        stored = node.GetParameter(name)
        if stored and stored not in kind.__members__:
            node.UnsetParameter(name)


@dataclass
class BackendSettings:
    """How this computer reaches the backend.

    python: executable that has the backend; empty means Slicer's own.
    prefix: words before it, such as `ssh host`; empty means this computer.
    model: "bundled", or the name or folder of an installed model, as the backend sees it.
    device: "auto", "cpu", "cuda" or "cuda:1".
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
        names = {f.name: f.type for f in fields(cls)}
        known = {
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
        return shlex.split(self.prefix)

    def remote(self) -> bool:
        """Return whether the backend runs through a prefix, so on other files than ours."""
        return bool(self.prefix.strip())
