"""Stand-in for PythonQt's `qt` module, over PySide6.

Stands for: how Slicer's Python sees Qt. Properties are plain attributes (`button.text = "Go"`),
setters exist as methods too, setting an unknown name raises, signals are connected by signature
(`button.connect("clicked()", f)`), and enums are reached through the class.

No kinder than PythonQt: a name or signal that the inventory of any Slicer version (Testing/api)
does not have on the real class is refused, whatever the stand-in has.

Limits: Qt 6 instead of Slicer's Qt 5.15 or 6.8; PySide6 owns and destroys objects by its own
rules; PythonQt's conversions between C++ and Python types are not reproduced; a signal that does
not exist raises here, where PythonQt only prints. Exceptions in slots are collected in `escaped`
instead of being printed, so that tests can insist that there are none.
"""

from __future__ import annotations

import time
import traceback
from types import ModuleType
from typing import Any

from api.inventory import Inventory, inventories
from PySide6 import QtCore, QtGui, QtUiTools, QtWidgets

escaped: list[str] = []
"""Tracebacks of exceptions that left a slot; a test expects this list to stay empty."""

slot_seconds: list[tuple[float, float, str]] = []
"""Every slot that ran: processor seconds, clock seconds, name. How long the window was blocked; on
a machine that is busy with other things only the first says something about the slot."""

custom_widgets: list[type] = []
"""Widget classes that QUiLoader must know, filled by the ctk and qMRML stand-ins."""

_MODULES = (QtCore, QtGui, QtWidgets, QtUiTools)


def _judges(meta: QtCore.QMetaObject) -> list[tuple[Inventory, str]]:
    """The versions that know all of a class. A class that is in none, such as Slicer's own helpers
    use while they load a form, is not ours to judge."""
    name = str(meta.className())
    return [(i, name) for i in inventories() if i.has_qt and i.complete(name)]


def refuse_name(meta: QtCore.QMetaObject, name: str) -> None:
    """Raise AttributeError for a name that the real class does not show to Python."""
    for inventory, real in _judges(meta):
        member = inventory.member(real, name)
        if member is None:
            raise AttributeError(f"{real} has no {name} in Slicer {inventory.version}")
        if member.warning:
            raise AttributeError(f"{real}.{name} in Slicer {inventory.version}: {member.warning}")


def refuse_signal(meta: QtCore.QMetaObject, signature: str) -> None:
    """Raise AttributeError for a signal that the real class does not have."""
    for inventory, real in _judges(meta):
        if not inventory.has_signal(real, signature):
            raise AttributeError(f"{real} has no signal {signature} in Slicer {inventory.version}")


def wrap(value: Any) -> Any:
    """Return PySide objects as PythonQt would show them; other values unchanged."""
    if isinstance(value, QtCore.QObject):
        return Wrapped(value)
    if isinstance(value, (list, tuple)):
        return type(value)(wrap(item) for item in value)
    return value


def unwrap(value: Any) -> Any:
    """Return the PySide object behind a wrapped one; other values unchanged."""
    if isinstance(value, Wrapped):
        return value._cpp
    if isinstance(value, WrappedClass):
        return value._class
    if isinstance(value, (list, tuple)):
        return type(value)(unwrap(item) for item in value)
    return value


def guarded(function: Any, count: int | None = None) -> Any:
    """Return a slot that calls `function` with the first `count` arguments and keeps failures."""

    def slot(*arguments: Any) -> None:
        clock, processor = time.perf_counter(), time.thread_time()
        try:
            function(*(wrap(argument) for argument in arguments[:count]))
        except Exception:  # what a slot lets out is what the tests look for
            escaped.append(traceback.format_exc())
        name = getattr(function, "__qualname__", "?")
        took = time.perf_counter() - clock
        slot_seconds.append((time.thread_time() - processor, took, name))

    return slot


class Wrapped:
    """One QObject seen through PythonQt's eyes."""

    __slots__ = ("_cpp",)

    def __init__(self, cpp: QtCore.QObject) -> None:
        object.__setattr__(self, "_cpp", cpp)

    def __getattr__(self, name: str) -> Any:
        name = "objectName" if name == "name" else name
        cpp = self._cpp
        refuse_name(cpp.metaObject(), name)
        if cpp.metaObject().indexOfProperty(name) >= 0:
            return wrap(cpp.property(name))
        attribute = getattr(cpp, name)
        if not callable(attribute):
            return wrap(attribute)

        def method(*arguments: Any, **named: Any) -> Any:
            return wrap(attribute(*map(unwrap, arguments), **named))

        return method

    def __setattr__(self, name: str, value: Any) -> None:
        name = "objectName" if name == "name" else name
        meta = self._cpp.metaObject()
        refuse_name(meta, name)
        index = meta.indexOfProperty(name)
        if index < 0:
            raise AttributeError(f"{meta.className()} has no property {name!r}")
        if not meta.property(index).isWritable():
            raise AttributeError(f"{meta.className()}.{name} is read-only")
        if not self._cpp.setProperty(name, unwrap(value)):
            raise TypeError(f"{meta.className()}.{name} does not take {value!r}")

    def className(self) -> str:
        return str(self._cpp.metaObject().className())

    def connect(self, signature: str, function: Any) -> bool:
        meta = self._cpp.metaObject()
        refuse_signal(
            meta, bytes(QtCore.QMetaObject.normalizedSignature(signature).data()).decode()
        )
        signature = signature.replace("vtkMRMLNode*", "PyObject")  # the stand-ins' name for it
        normal = bytes(QtCore.QMetaObject.normalizedSignature(signature).data()).decode()
        if meta.indexOfSignal(normal) < 0:
            raise ValueError(f"{meta.className()} has no signal {signature!r}")
        name, _, types = normal.partition("(")
        count = 0 if types == ")" else types.count(",") + 1
        getattr(self._cpp, name).connect(guarded(function, count))
        return True

    def disconnect(self, signature: str, function: Any = None) -> bool:
        getattr(self._cpp, signature.partition("(")[0]).disconnect()
        return True

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Wrapped) and other._cpp is self._cpp

    def __hash__(self) -> int:
        return hash(self._cpp)

    def __repr__(self) -> str:
        return f"{self.className()}({self._cpp.objectName()!r})"


class WrappedClass:
    """One QObject class: constructor, enums and static functions."""

    def __init__(self, cls: type) -> None:
        self._class = cls

    def __call__(self, *arguments: Any, **named: Any) -> Any:
        return wrap(self._class(*map(unwrap, arguments), **named))

    def __getattr__(self, name: str) -> Any:
        attribute = getattr(self._class, name)
        if not callable(attribute) or isinstance(attribute, type):
            return attribute

        def static(*arguments: Any, **named: Any) -> Any:
            values = [
                guarded(a)
                if callable(a) and not isinstance(a, (Wrapped, WrappedClass))
                else unwrap(a)
                for a in arguments
            ]
            return wrap(attribute(*values, **named))

        return static


class Loader(QtUiTools.QUiLoader):
    """QUiLoader that knows the registered stand-in widgets, as Slicer's knows the real ones."""

    def __init__(self) -> None:
        super().__init__()
        for cls in custom_widgets:
            self.registerCustomWidget(cls)


def make_module() -> ModuleType:
    """Build the module that is imported as `qt`."""
    module = ModuleType("qt", __doc__)
    for source in _MODULES:
        for name in dir(source):
            if name.startswith("_"):
                continue
            value = getattr(source, name)
            if isinstance(value, type) and issubclass(value, QtCore.QObject):
                value = WrappedClass(value)
            setattr(module, name, value)
    module.QUiLoader = WrappedClass(Loader)  # type: ignore[attr-defined]
    return module
