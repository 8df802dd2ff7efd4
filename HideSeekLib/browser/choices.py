"""The choices that belong to a scene, in the node in which Slicer's panel keeps them."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import slicer

MODULE = "HideSeek"
ROLES = ("ct", "vertebrae", "bodies", "case")


class Choices:
    """Chosen nodes and options; attributes as in `panel.parameters.HideSeekParameterNode`.

    Nodes live in the scene's own parameter node, so that a scene begun here opens in Slicer with
    its inputs chosen, and the reverse. levelOverrides: segment id -> level.
    """

    def __init__(self, scene: Any) -> None:
        self._node = _parameter_node(scene)
        self.levelOverrides: dict[str, str] = {}
        self.polarityByLevel: dict[str, str] = {}
        self.polarity = SimpleNamespace(value="auto")
        self.protocol = SimpleNamespace(value="fast")

    def __getattr__(self, name: str) -> Any:
        if name in ROLES:
            return self._node.GetNodeReference(name)
        raise AttributeError(name)

    def __setattr__(self, name: str, value: Any) -> None:
        if name in ROLES:
            self._node.SetNodeReferenceID(name, value.GetID() if value is not None else None)
        else:
            super().__setattr__(name, value)


def _parameter_node(scene: Any) -> Any:
    for index in range(scene.GetNumberOfNodesByClass("vtkMRMLScriptedModuleNode")):
        node = scene.GetNthNodeByClass(index, "vtkMRMLScriptedModuleNode")
        if node.GetAttribute("ModuleName") == MODULE:
            return node
    node = slicer.vtkMRMLScriptedModuleNode()
    node.SetSingletonTag(MODULE)
    node.SetModuleName(MODULE)
    node.SetAttribute("ModuleName", MODULE)
    node.SetName(MODULE)
    return scene.AddNode(node)
