"""Stand-ins for the base classes of `slicer.ScriptedLoadableModule`, with Slicer's signatures.

Limits: no developer section, no reloading of the module file, no screenshots; the logic has one
parameter node, and a test's message is only kept in `shown`.
"""

from __future__ import annotations

import os
import sys
import unittest
from typing import Any

import slicer

shown: list[str] = []
"""Texts of messages and message boxes that would have been shown."""


def _beside(thing: object, filename: str) -> str:
    folder = os.path.dirname(sys.modules[type(thing).__module__].__file__ or "")
    return os.path.join(folder, "Resources", filename)


class ScriptedLoadableModule:
    """Module information; `parent` is any object that takes attributes."""

    def __init__(self, parent: Any) -> None:
        self.parent = parent
        self.moduleName = type(self).__name__

    def resourcePath(self, filename: str) -> str:
        return _beside(self, filename)

    def getDefaultModuleDocumentationLink(self, docPage: str | None = None) -> str:
        return f"<p>{slicer.app.moduleDocumentationUrl(docPage or self.moduleName)}</p>"

    def runTest(self, msec: int = 100, **kwargs: Any) -> None:
        raise NotImplementedError("the stand-in runs no module tests")


class ScriptedLoadableModuleWidget:
    """Widget base: `parent` has a layout; `resourcePath` is beside the module file."""

    def __init__(self, parent: Any = None) -> None:
        self.parent = parent
        self.moduleName = type(self).__name__[: -len("Widget")]
        self.layout = parent.layout()
        self.developerMode = False

    def resourcePath(self, filename: str) -> str:
        return _beside(self, filename)

    def cleanup(self) -> None:
        """Nothing of the base's own to let go of."""

    def setupDeveloperSection(self) -> None:
        """Not in developer mode."""

    def setup(self) -> None:
        self.setupDeveloperSection()

    def onReload(self) -> None:
        shown.append(f"reload {self.moduleName}")

    def onTest(self, **kwargs: Any) -> None:
        raise NotImplementedError("the stand-in runs no module tests")

    def onReloadAndTest(self, **kwargs: Any) -> None:
        self.onReload()
        self.onTest(**kwargs)

    def onEditSource(self) -> None:
        raise NotImplementedError("the stand-in opens no editor")


class ScriptedLoadableModuleLogic:
    """Logic base: one parameter node in the scene."""

    def __init__(self, parent: Any = None) -> None:
        self.moduleName = type(self).__name__[: -len("Logic")]
        self.isSingletonParameterNode = True

    def getParameterNode(self) -> Any:
        found = slicer.mrmlScene.GetSingletonNode(self.moduleName, "vtkMRMLScriptedModuleNode")
        return found or slicer.mrmlScene.AddNode(self.createParameterNode())

    def getAllParameterNodes(self) -> list[Any]:
        nodes = slicer.util.getNodesByClass("vtkMRMLScriptedModuleNode")
        return [n for n in nodes if n.GetAttribute("ModuleName") == self.moduleName]

    def createParameterNode(self) -> Any:
        node = slicer.vtkMRMLScriptedModuleNode()
        node.SetSingletonTag(self.moduleName)
        node.SetAttribute("ModuleName", self.moduleName)
        return node


class ScriptedLoadableModuleTest(unittest.TestCase):
    """Test base."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)

    def delayDisplay(self, message: str, requestedDelay: Any = None, msec: Any = None) -> None:
        shown.append(message)

    def takeScreenshot(self, name: str, description: str, type: int = -1) -> None:
        raise NotImplementedError("the stand-in takes no screenshots")

    def setUp(self) -> None:
        slicer.mrmlScene.Clear()

    def tearDown(self) -> None:
        """Nothing to let go of."""

    def runTest(self) -> None:
        """Slicer's runs what `moduleTestNames` lists."""


CLASSES = (
    ScriptedLoadableModule,
    ScriptedLoadableModuleWidget,
    ScriptedLoadableModuleLogic,
    ScriptedLoadableModuleTest,
)
