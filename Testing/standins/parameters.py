"""Stand-in for `slicer.parameterNodeWrapper`, on a real MRML node.

No kinder than Slicer: a `dict` member reads as ObservedDict, whose `get` and `pop` take no default
(serializers.py, 5.10 to main); an enum's text that the class does not know raises ValueError
(EnumSerializer.read); `connectGui` writes each parameter into its widget, so that a node selector
loses its choice for None (wrapper.py); only the very widget classes that Slicer has a connector for
are joined, none derived from them (guiConnectors.py, `type(widget)`); `disconnectGui` leaves its
observer on the node, as in 5.10; types without a serializer are refused.

Limits: parameters are nodes, enums, bool, int, float, str and dict of str; the widgets joined are
QComboBox and qMRMLNodeComboBox; no validators, no packs, no cache.
"""

from __future__ import annotations

import ast
import enum
import typing
from collections.abc import MutableMapping
from typing import Any

import slicer
import vtk
from api.inventory import inventories

PARAMETER_NAME = "SlicerParameterName"


class ObservedDict(MutableMapping[Any, Any]):
    """What a dict parameter reads as; writes back whatever changes it."""

    def __init__(
        self, parameterNode: Any, dictSerializer: Any, name: str, startingValue: Any
    ) -> None:
        self._node, self._serializer, self._name = parameterNode, dictSerializer, name
        self._values = dict(startingValue)

    def _written(self) -> None:
        self._serializer.write(self._node, self._name, self._values)

    def __getitem__(self, key: Any) -> Any:
        return self._values[key]

    def __setitem__(self, key: Any, value: Any) -> None:
        self._values[key] = value
        self._written()

    def __delitem__(self, key: Any) -> None:
        del self._values[key]
        self._written()

    def __contains__(self, key: Any) -> bool:
        return key in self._values

    def __iter__(self) -> Any:
        return iter(self._values)

    def __len__(self) -> int:
        return len(self._values)

    def __repr__(self) -> str:
        return repr(self._values)

    __str__ = __repr__

    def get(self, key: Any) -> Any:  # type: ignore[override]
        return self._values.get(key)

    def pop(self, key: Any) -> Any:  # type: ignore[override]
        value = self._values.pop(key)
        self._written()
        return value


class DictText:
    """A dict as text of a parameter."""

    @staticmethod
    def write(parameterNode: Any, name: str, value: Any) -> None:
        parameterNode.SetParameter(name, repr(dict(value)))
        parameterNode.Modified()


class Wrapper:
    """What a class decorated with `parameterNodeWrapper` gets."""

    def __init__(self, parameterNode: Any, prefix: str | None = None) -> None:
        self.parameterNode = parameterNode
        self._prefix = prefix or ""
        self._connectors: dict[str, Any] = {}
        self._updating = False

    def default(self, paramName: str) -> Any:
        return type(self)._defaults[paramName]  # type: ignore[attr-defined]

    def isCached(self, paramName: str) -> bool:
        return False

    def dataType(self, membername: str) -> Any:
        return type(self)._hints[membername]  # type: ignore[attr-defined]

    def getValue(self, name: str) -> Any:
        return getattr(self, name)

    def setValue(self, name: str, value: Any) -> None:
        setattr(self, name, value)

    def connectGui(self, gui: Any) -> int:
        import qt

        hints = type(self)._hints  # type: ignore[attr-defined]
        for child in gui.findChildren(qt.QWidget):
            name = child.property(PARAMETER_NAME)
            if not name:
                continue
            if name not in hints:
                raise ValueError(f"{child.name} asks for the unknown parameter {name!r}")
            self._connectors[name] = _connect(self, name, child, hints[name])

        def show(*_: Any) -> None:
            if self._updating:
                return
            self._updating = True
            for connected, write in self._connectors.items():
                write(getattr(self, connected))
            self._updating = False

        show()
        self.parameterNode.AddObserver(vtk.vtkCommand.ModifiedEvent, show)
        return 1

    def connectParametersToGui(self, mapping: Any) -> int:
        raise NotImplementedError("the stand-in joins widgets by their names alone")

    def disconnectGui(self, guiTag: int) -> None:
        self._connectors.clear()

    def StartModify(self) -> Any:
        return self.parameterNode.StartModify()

    def EndModify(self, wasModified: Any) -> Any:
        return self.parameterNode.EndModify(wasModified)

    def AddObserver(self, event: Any, callback: Any, priority: float = 0.0) -> Any:
        return self.parameterNode.AddObserver(event, callback, priority)

    def RemoveObserver(self, tag: Any) -> None:
        self.parameterNode.RemoveObserver(tag)

    def Modified(self) -> None:
        self.parameterNode.Modified()


def parameterNodeWrapper(classtype: Any = None) -> Any:
    """Give a class typed properties that live on a parameter node."""
    hints = typing.get_type_hints(classtype)
    defaults = {name: getattr(classtype, name, None) for name in hints}
    for name, kind in hints.items():
        _refuse_type(name, kind)
        read = _reader(name, kind, defaults[name])
        setattr(classtype, name, property(read, _writer(name, kind)))
    for name, value in vars(Wrapper).items():
        if not name.startswith("__") or name == "__init__":
            setattr(classtype, name, value)
    classtype._hints, classtype._defaults = hints, defaults
    return classtype


def _refuse_type(name: str, kind: Any) -> None:
    plain = typing.get_origin(kind) or kind
    for inventory in inventories():
        if getattr(plain, "__name__", "") in inventory.wrapper["no_serializer_for"]:
            raise RuntimeError(f"Unable to create serializer for {kind} ({name})")


def _is_node(kind: Any) -> bool:
    return isinstance(kind, type) and issubclass(kind, slicer.vtkMRMLNode)


def _reader(name: str, kind: Any, default: Any) -> Any:
    def read(self: Any) -> Any:
        node = self.parameterNode
        if _is_node(kind):
            return node.GetNodeReference(name)
        text = node.GetParameter(name)
        if typing.get_origin(kind) is dict:
            values = ast.literal_eval(text) if text else default or {}
            return ObservedDict(node, DictText, name, values)
        if not text:
            return default
        if isinstance(kind, type) and issubclass(kind, enum.Enum):
            if text not in kind.__members__:
                raise ValueError(f"{text} is not a {kind.__name__}")
            return kind[text]
        return text == "True" if kind is bool else kind(text)

    return read


def _writer(name: str, kind: Any) -> Any:
    def write(self: Any, value: Any) -> None:
        node = self.parameterNode
        if typing.get_origin(kind) is dict:
            DictText.write(node, name, value)
            return
        if _is_node(kind):
            if value is not None and not isinstance(value, kind):
                raise TypeError(f"{name} takes a {kind.__name__}, got {type(value).__name__}")
            node.SetNodeReferenceID(name, value.GetID() if value is not None else None)
        else:
            node.SetParameter(name, value.name if isinstance(value, enum.Enum) else str(value))
        node.Modified()

    return write


def _connector(child: Any, kind: Any) -> str:
    """Return the name of Slicer's connector from a widget's very class to a type."""
    if _is_node(kind):
        wanted = "slicer.vtkMRMLNode"
    else:
        wanted = "enum.Enum" if issubclass(kind, enum.Enum) else kind.__name__
    for name, facts in inventories()[0].wrapper["connectors"].items():
        classes = {widget.rpartition(".")[2] for widget in facts["widgets"]}
        if child.className() in classes and wanted in facts["types"]:
            return str(name)
    raise RuntimeError(f"No connector from {kind} to {child.className()} ({child.name})")


def _connect(self: Any, name: str, child: Any, kind: Any) -> Any:
    def store(value: Any) -> None:
        if not self._updating and name in self._connectors:
            setattr(self, name, value)

    connector = _connector(child, kind)
    if connector == "qMRMLNodeComboBoxToNodeConnector":
        child.connect("currentNodeChanged(vtkMRMLNode*)", lambda *_: store(child.currentNode()))
        return child.setCurrentNode
    if connector == "QComboBoxToEnumConnector":
        members = list(kind)
        child.clear()
        for member in members:
            child.addItem(kind.label(member))
        child.connect("currentIndexChanged(int)", lambda index: store(members[index]))
        return lambda value: setattr(child, "currentIndex", members.index(value))
    raise NotImplementedError(f"the stand-in has no {connector}")
