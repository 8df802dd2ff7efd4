"""Stand-ins for the qMRML widgets that the panel's .ui file names, on the real MRML scene.

Stands for: qMRMLWidget, qMRMLNodeComboBox and its sort filter.

No kinder than qMRML: a selector lists derived classes unless told otherwise
(`showChildNodeTypes`), shows nothing after `setCurrentNode(None)`, and takes by itself only what
comes first into an empty list (qMRMLNodeComboBox.cxx).

Limits: written from the widgets' public headers, for this panel only; no menu for creating and
renaming nodes, no attributes to filter by.
"""

from __future__ import annotations

from typing import Any

from PySide6.QtCore import Property, QObject, Signal
from PySide6.QtWidgets import QComboBox, QVBoxLayout, QWidget
from shiboken6 import isValid

from . import pythonqt


class qMRMLWidget(QWidget):
    """Widget that hands the scene to its children."""

    mrmlSceneChanged = Signal(object)

    def setMRMLScene(self, scene: Any) -> None:
        for child in self.findChildren(qMRMLNodeComboBox):
            child.setMRMLScene(scene)


class qMRMLSortFilterProxyModel(QObject):
    """What a node selector leaves out. Limit: `hiddenNodeIDs` alone."""

    def __init__(self, selector: qMRMLNodeComboBox) -> None:
        super().__init__(selector)
        self._selector = selector
        self._hidden: list[str] = []

    def _set_hidden(self, ids: list[str]) -> None:
        self._hidden = list(ids)
        self._selector._refresh()

    hiddenNodeIDs = Property("QStringList", lambda s: s._hidden, _set_hidden)


class qMRMLNodeComboBox(QWidget):
    """Selector of one node of some classes; follows additions and removals in the scene."""

    currentNodeChanged = Signal(object)

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._scene: Any = None
        self._tags: list[int] = []
        self._ids: list[str] = []
        self._options: dict[str, Any] = {
            "nodeTypes": [],
            "noneEnabled": False,
            "showChildNodeTypes": True,
        }
        self._proxy = qMRMLSortFilterProxyModel(self)
        self._combo = QComboBox(self)
        self._combo.setSizeAdjustPolicy(
            QComboBox.SizeAdjustPolicy.AdjustToMinimumContentsLengthWithIcon
        )
        box = QVBoxLayout(self)
        box.setContentsMargins(0, 0, 0, 0)
        box.addWidget(self._combo)
        self.setFocusProxy(self._combo)
        self._combo.currentIndexChanged.connect(
            lambda _: self.currentNodeChanged.emit(self.currentNode())
        )

    def setMRMLScene(self, scene: Any) -> None:
        if self._scene is not None:
            for tag in self._tags:
                self._scene.RemoveObserver(tag)
        self._scene = scene
        if scene is not None:
            self._tags = [
                scene.AddObserver(event, lambda *_: self._refresh())
                for event in (scene.NodeAddedEvent, scene.NodeRemovedEvent, scene.EndCloseEvent)
            ]
        self._refresh()

    def mrmlScene(self) -> Any:
        return self._scene

    def _refresh(self) -> None:
        if not isValid(self) or not isValid(self._combo):
            return  # deleted by Qt; the scene does not know yet
        before = self.currentNodeID
        nodes = []
        if self._scene is not None:
            for name in self._options["nodeTypes"]:
                found = self._scene.GetNodesByClass(name)
                nodes += [found.GetItemAsObject(i) for i in range(found.GetNumberOfItems())]
        self._combo.blockSignals(True)
        self._combo.clear()
        self._ids = []
        if self._options["noneEnabled"]:
            self._combo.addItem("None")
            self._ids.append("")
        for node in nodes:
            exact = node.GetClassName() in self._options["nodeTypes"]
            if not (exact or self._options["showChildNodeTypes"]):
                continue
            if node.GetID() in self._proxy.hiddenNodeIDs:
                continue
            if not node.GetHideFromEditors():
                self._combo.addItem(node.GetName())
                self._ids.append(node.GetID())
        if before in self._ids:
            self._combo.setCurrentIndex(self._ids.index(before))
        self._combo.blockSignals(False)
        if self.currentNodeID != before:
            self.currentNodeChanged.emit(self.currentNode())

    def sortFilterProxyModel(self) -> qMRMLSortFilterProxyModel:
        return self._proxy

    def currentNode(self) -> Any:
        return self._scene.GetNodeByID(self.currentNodeID) if self.currentNodeID else None

    def setCurrentNode(self, node: Any) -> None:
        self._set_id(node.GetID() if node is not None else "")

    def _get_id(self) -> str:
        index = self._combo.currentIndex()
        return self._ids[index] if 0 <= index < len(self._ids) else ""

    def _set_id(self, node_id: str) -> None:
        self._combo.setCurrentIndex(
            self._ids.index(node_id) if node_id in self._ids else (0 if "" in self._ids else -1)
        )

    def _option(name: str, kind: Any) -> Any:
        def write(self: Any, value: Any) -> None:
            self._options[name] = value
            self._refresh()

        return Property(kind, lambda s: s._options.get(name), write)

    currentNodeID = Property(str, _get_id, _set_id)
    nodeTypes = _option("nodeTypes", "QStringList")
    noneEnabled = _option("noneEnabled", bool)
    addEnabled = _option("addEnabled", bool)
    removeEnabled = _option("removeEnabled", bool)
    renameEnabled = _option("renameEnabled", bool)
    editEnabled = _option("editEnabled", bool)
    showChildNodeTypes = _option("showChildNodeTypes", bool)
    showHidden = _option("showHidden", bool)
    selectNodeUponCreation = _option("selectNodeUponCreation", bool)
    noneDisplay = _option("noneDisplay", str)


QMRML = (qMRMLWidget, qMRMLNodeComboBox)
pythonqt.custom_widgets.extend(QMRML)
