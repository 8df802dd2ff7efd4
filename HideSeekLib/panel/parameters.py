"""What the panel remembers with the scene: the choices that belong to a case.

Settings of the machine (which Python, which device) never enter a scene that may be given away:
see `worker.settings`.
"""

from __future__ import annotations

import enum
from typing import Any

from slicer import (
    vtkMRMLScalarVolumeNode,
    vtkMRMLSegmentationNode,
    vtkMRMLTextNode,
)
from slicer.parameterNodeWrapper import parameterNodeWrapper

from HideSeekLib.i18n import _


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
