"""Stand-in for PythonQt's `qt` module, over PySide6.

Stands for: how Slicer's Python sees Qt. Properties are plain attributes (`button.text = "Go"`),
setters exist as methods too, setting an unknown name raises, signals are connected by signature
(`button.connect("clicked()", f)`), and enums are reached through the class.

No kinder than PythonQt: a class, name, signal or number of arguments that the inventory of any
Slicer version (Testing/api) does not have is refused, whatever PySide6 has; so are keyword
arguments, and `widget.fontMetrics()`, which PythonQt cannot always return. `QTimer.singleShot` is
Slicer's own (slicerqt.py): each call leaves a timer with its closure, here in `left_timers`.

Limits: Qt 6 instead of Slicer's Qt 5.15 or 6.8; PySide6 owns and destroys objects by its own
rules; PythonQt's conversions between C++ and Python types are not reproduced; values such as
QColor and QTableWidgetItem are PySide6's own (only Testing/api/checker.py holds their names
against the inventory); a signal that does not exist raises here, where PythonQt only prints.
Exceptions in slots are collected in `escaped` instead of being printed, so that tests can insist
that there are none.
"""

from __future__ import annotations

import functools
import time
import traceback
from types import ModuleType
from typing import Any

from api.inventory import HOW_TO_ADD, NOT_IN_INVENTORY, Inventory, inventories, why_not
from PySide6 import QtCore, QtGui, QtUiTools, QtWidgets

escaped: list[str] = []
"""Tracebacks of exceptions that left a slot; a test expects this list to stay empty."""

slot_seconds: list[tuple[float, float, str]] = []
"""Every slot that ran: processor seconds, clock seconds, name. How long the window was blocked; on
a machine that is busy with other things only the first says something about the slot."""

left_timers: list[QtCore.QTimer] = []
"""Timers that `QTimer.singleShot` left behind, for as long as Slicer runs."""

custom_widgets: list[type] = []
"""Widget classes that QUiLoader must know, filled by the ctk and qMRML stand-ins."""

_MODULES = (QtCore, QtGui, QtWidgets, QtUiTools)

UNRETURNABLE = {"fontMetrics": "PythonQt cannot always return it; make a qt.QFontMetrics(font)"}
"""Methods whose value type has no default constructor in the PythonQt of some builds."""


@functools.cache
def _judges(name: str) -> tuple[tuple[Inventory, str], ...]:
    """The versions that know all of a class. A class that is in none, such as Slicer's own helpers
    use while they load a form, is not ours to judge."""
    return tuple((i, name) for i in inventories() if i.has_qt and i.complete(name))


@functools.cache
def refuse_name(class_name: str, name: str) -> None:
    """Raise AttributeError for a name that the real class does not show to Python."""
    if name in UNRETURNABLE:
        raise AttributeError(f"{class_name}.{name}: {UNRETURNABLE[name]}")
    for inventory, real in _judges(class_name):
        member = inventory.member(real, name)
        if member is None:
            raise AttributeError(f"{real} has no {name} in Slicer {inventory.version}")
        if member.warning:
            raise AttributeError(f"{real}.{name} in Slicer {inventory.version}: {member.warning}")


def refuse_call(class_name: str, name: str, count: int, keywords: dict[str, Any]) -> None:
    """Raise TypeError for arguments that no overload takes; "" is the constructor."""
    if keywords:
        raise TypeError(f"{class_name}.{name} takes no keyword arguments, got {list(keywords)}")
    for inventory, real in _judges(class_name):
        member = inventory.member(real, name) if name else None
        overloads = member.overloads if member is not None else ()
        reason = why_not(overloads if name else inventory.constructors(real), count, ())
        if reason:
            title = f"{real}.{name}" if name else real
            raise TypeError(f"{title}: {reason}, Slicer {inventory.version}")


def refuse_signal(class_name: str, signature: str) -> None:
    """Raise AttributeError for a signal that the real class does not have."""
    for inventory, real in _judges(class_name):
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
        real = str(cpp.metaObject().className())
        refuse_name(real, name)
        if cpp.metaObject().indexOfProperty(name) >= 0:
            return wrap(cpp.property(name))
        attribute = getattr(cpp, name)
        if not callable(attribute):
            return wrap(attribute)

        def method(*arguments: Any, **named: Any) -> Any:
            refuse_call(real, name, len(arguments), named)
            return wrap(attribute(*map(unwrap, arguments)))

        return method

    def __setattr__(self, name: str, value: Any) -> None:
        name = "objectName" if name == "name" else name
        meta = self._cpp.metaObject()
        refuse_name(str(meta.className()), name)
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
        asked = bytes(QtCore.QMetaObject.normalizedSignature(signature).data()).decode()
        refuse_signal(str(meta.className()), asked)
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
        self._name = cls.__name__

    def __call__(self, *arguments: Any, **named: Any) -> Any:
        refuse_call(self._name, "", len(arguments), named)
        return wrap(self._class(*map(unwrap, arguments)))

    def __getattr__(self, name: str) -> Any:
        refuse_name(self._name, name)
        attribute = getattr(self._class, name)
        if not callable(attribute) or isinstance(attribute, type):
            return attribute

        def static(*arguments: Any, **named: Any) -> Any:
            refuse_call(self._name, name, len(arguments), named)
            values = [
                guarded(a)
                if callable(a) and not isinstance(a, (Wrapped, WrappedClass))
                else unwrap(a)
                for a in arguments
            ]
            return wrap(attribute(*values))

        return static


class Loader(QtUiTools.QUiLoader):
    """QUiLoader that knows the registered stand-in widgets, as Slicer's knows the real ones."""

    def __init__(self) -> None:
        super().__init__()
        for cls in custom_widgets:
            self.registerCustomWidget(cls)


class TimerClass(WrappedClass):
    """QTimer with Slicer's `singleShot(msec, callable)`, which never lets go of its timer."""

    def singleShot(self, msec: int, function: Any) -> None:
        timer = QtCore.QTimer()
        timer.setSingleShot(True)
        timer.timeout.connect(guarded(function, 0))
        timer.start(msec)
        left_timers.append(timer)


def make_module() -> ModuleType:
    """Build the module that is imported as `qt`: the classes that every inventory has."""
    module = ModuleType("qt", __doc__)
    judges = [inventory for inventory in inventories() if inventory.has_qt]
    for source in _MODULES:
        for name in dir(source):
            if not all((i.facts(name) or {}).get("from") == "qt" for i in judges):
                continue
            value = getattr(source, name)
            if isinstance(value, type) and issubclass(value, QtCore.QObject):
                value = WrappedClass(value)
            setattr(module, name, value)
    module.QUiLoader = WrappedClass(Loader)  # type: ignore[attr-defined]
    module.QTimer = TimerClass(QtCore.QTimer)  # type: ignore[attr-defined]

    def absent(name: str) -> Any:
        raise AttributeError(f"qt.{name} {NOT_IN_INVENTORY}. {HOW_TO_ADD}")

    module.__getattr__ = absent  # type: ignore[method-assign]
    return module
