"""Stand-ins for the Python side of the Slicer application around the real scene code.

Stands for: `slicer.i18n`, `slicer.ScriptedLoadableModule`, `slicer.parameterNodeWrapper`,
`slicer.app`, the qMRML classes on `slicer`, the message boxes of `slicer.util`, and the layout
manager with slice views that a click can be sent to.

Limits: the parameter node keeps typed values on a real MRML node but knows only the types and the
widgets that HideSeek uses; message boxes are recorded and answered from `answers`; slice views
have a real slice node and a bare VTK interactor but draw nothing.
"""

from __future__ import annotations

import enum
import os
import sys
import typing
from collections.abc import MutableMapping
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import slicer
import slicer.util
import vtk

from . import ctk_widgets, pythonqt

shown: list[str] = []
"""Texts of message boxes that would have been shown."""

answers: list[bool] = []
"""Answers to the next confirmations, first to be used first; empty means yes."""

PARAMETER_NAME = "SlicerParameterName"


class SliceView:
    """A slice view's node and interactor; `click` sends what a mouse click sends."""

    def __init__(self, scene: Any, name: str, orientation: str) -> None:
        self.node = slicer.vtkMRMLSliceNode()
        self.node.SetName(name)
        self.node.SetLayoutName(name)
        scene.AddNode(self.node)
        self.node.SetOrientation(orientation)
        self.node.SetDimensions(256, 256, 1)
        self.node.SetFieldOfView(256, 256, 1)
        self._interactor = vtk.vtkGenericRenderWindowInteractor()
        self._interactor.SetRenderWindow(vtk.vtkRenderWindow())

    def interactor(self) -> Any:
        return self._interactor

    def sliceView(self) -> SliceView:
        return self

    def mrmlSliceNode(self) -> Any:
        return self.node

    def convertDeviceToXYZ(self, xy: list[int]) -> list[float]:
        return [float(xy[0]), float(xy[1]), 0.0]

    def convertXYZToRAS(self, xyz: list[float]) -> list[float]:
        return list(self.node.GetXYToRAS().MultiplyPoint((*xyz, 1.0))[:3])

    def setDefaultViewCursor(self, cursor: Any) -> None:
        self.default_cursor = cursor

    def unsetViewCursor(self) -> None:
        """Show the default cursor again."""

    def click(self, x: int, y: int) -> None:
        self._interactor.SetEventPosition(x, y)
        self._interactor.InvokeEvent("LeftButtonPressEvent")
        self._interactor.InvokeEvent("LeftButtonReleaseEvent")


class LayoutManager:
    """Three slice views by name."""

    def __init__(self, scene: Any) -> None:
        slicer.vtkMRMLSliceNode.AddDefaultSliceOrientationPresets(scene)
        places = (("Red", "Axial"), ("Yellow", "Sagittal"), ("Green", "Coronal"))
        self.views = {name: SliceView(scene, name, kind) for name, kind in places}
        self._scene = scene
        self._slots: list[Any] = []

    def connect(self, signature: str, slot: Any) -> bool:
        if signature != "layoutChanged(int)":
            raise AttributeError(f"the stand-in's layout manager has no signal {signature}")
        self._slots.append(slot)
        return True

    def change(self, **views: str) -> None:
        """Show other views, each made anew, as another layout does: Name="Axial", ..."""
        self.views = {name: SliceView(self._scene, name, kind) for name, kind in views.items()}
        for slot in self._slots:
            slot(0)

    def sliceViewNames(self) -> tuple[str, ...]:
        return tuple(self.views)

    def sliceWidget(self, name: str) -> SliceView:
        return self.views[name]


class Application:
    """What the panel asks of `slicer.app`."""

    applicationName = "Slicer"
    majorVersion, minorVersion = 5, 12
    documentationBaseUrl = "https://slicer.readthedocs.io/"

    def __init__(self, scene: Any, settings_file: str) -> None:
        self._layout = LayoutManager(scene)
        self._settings_file = settings_file
        self.slicerHome = os.path.dirname(settings_file)
        self.temporaryPath = self.slicerHome
        launcher = Path(self.slicerHome) / "bin" / "PythonSlicer"
        launcher.parent.mkdir(exist_ok=True)
        launcher.write_text(f'#!/bin/sh\nexec "{sys.executable}" "$@"\n')
        launcher.chmod(0o755)
        self.startup: list[Any] = []

    def layoutManager(self) -> LayoutManager:
        return self._layout

    def userSettings(self) -> Any:
        import qt

        return qt.QSettings(self._settings_file, qt.QSettings.IniFormat)

    def processEvents(self) -> None:
        import qt

        qt.QApplication.processEvents()

    def testingEnabled(self) -> bool:
        return True

    def connect(self, signature: str, function: Any) -> bool:
        self.startup.append((signature, function))
        return True

    def moduleManager(self) -> Any:
        return SimpleNamespace(connect=lambda *_: True, disconnect=lambda *_: True)

    def moduleDocumentationUrl(self, name: str) -> str:
        return self.documentationBaseUrl + name

    def palette(self) -> Any:
        import qt

        return qt.QApplication.palette()


class ScriptedLoadableModule:
    """Module information; `parent` is any object that takes attributes."""

    def __init__(self, parent: Any) -> None:
        self.parent = parent
        self.moduleName = type(self).__name__

    def getDefaultModuleDocumentationLink(self, page: str | None = None) -> str:
        return f"<p>{slicer.app.moduleDocumentationUrl(page or self.moduleName)}</p>"


class ScriptedLoadableModuleWidget:
    """Widget base: `parent` has a layout; `resourcePath` is beside the module file."""

    def __init__(self, parent: Any = None) -> None:
        self.parent = parent
        self.moduleName = type(self).__name__[: -len("Widget")]
        self.layout = parent.layout()
        self.reloads = 0

    def setup(self) -> None:
        """Build nothing: the developer section is Slicer's own."""

    def resourcePath(self, name: str) -> str:
        folder = os.path.dirname(sys.modules[type(self).__module__].__file__ or "")
        return os.path.join(folder, "Resources", name)

    def onReload(self) -> None:
        self.reloads += 1


class ScriptedLoadableModuleLogic:
    """Logic base: one parameter node in the scene."""

    def __init__(self) -> None:
        self.moduleName = type(self).__name__[: -len("Logic")]

    def getParameterNode(self) -> Any:
        scene = slicer.mrmlScene
        node = scene.GetSingletonNode(self.moduleName, "vtkMRMLScriptedModuleNode")
        if node is None:
            node = slicer.vtkMRMLScriptedModuleNode()
            node.SetSingletonTag(self.moduleName)
            node.SetAttribute("ModuleName", self.moduleName)
            node = scene.AddNode(node)
        return node


class ScriptedLoadableModuleTest:
    """Test base."""

    def delayDisplay(self, message: str, *_: Any) -> None:
        shown.append(message)


class ObservedDict(MutableMapping[Any, Any]):
    """What a dict parameter reads as; as in Slicer, `get` and `pop` take no default
    (parameterNodeWrapper/serializers.py, 5.10 to main). Limit: it does not write back."""

    def __init__(self, values: Any) -> None:
        self._values = dict(values)

    def __getitem__(self, key: Any) -> Any:
        return self._values[key]

    def __setitem__(self, key: Any, value: Any) -> None:
        raise TypeError("the stand-in's ObservedDict is read only: assign the whole parameter")

    __delitem__ = __setitem__  # type: ignore[assignment]

    def __iter__(self) -> Any:
        return iter(self._values)

    def __len__(self) -> int:
        return len(self._values)

    def __repr__(self) -> str:
        return repr(self._values)

    def get(self, key: Any) -> Any:  # type: ignore[override]
        return self._values.get(key)

    def pop(self, key: Any) -> Any:  # type: ignore[override]
        raise TypeError("the stand-in's ObservedDict is read only: assign the whole parameter")


def parameterNodeWrapper(cls: type) -> type:
    """Give a class typed properties that live on a parameter node, and `connectGui`."""
    hints = typing.get_type_hints(cls)
    defaults = {name: getattr(cls, name, None) for name in hints}
    for name, kind in hints.items():
        setattr(cls, name, property(_reader(name, kind, defaults[name]), _writer(name, kind)))

    def init(self: Any, node: Any) -> None:
        self.parameterNode = node
        self._connectors: dict[str, Any] = {}
        self._updating = False

    cls.__init__ = init  # type: ignore[misc]
    cls.connectGui = _connect_gui  # type: ignore[attr-defined]
    cls.disconnectGui = lambda self, tag: self._connectors.clear()  # type: ignore[attr-defined]
    for method in ("AddObserver", "RemoveObserver", "Modified", "StartModify", "EndModify"):
        setattr(cls, method, _forward(method))
    return cls


def _forward(method: str) -> Any:
    return lambda self, *arguments: getattr(self.parameterNode, method)(*arguments)


def _is_node(kind: Any) -> bool:
    return isinstance(kind, type) and issubclass(kind, slicer.vtkMRMLNode)


def _reader(name: str, kind: Any, default: Any) -> Any:
    def read(self: Any) -> Any:
        node = self.parameterNode
        if _is_node(kind):
            return node.GetNodeReference(name)
        text = node.GetParameter(name)
        if not text:
            return ObservedDict(default) if isinstance(default, dict) else default
        if isinstance(kind, type) and issubclass(kind, enum.Enum):
            if text not in kind.__members__:  # EnumSerializer.read, all versions
                raise ValueError(f"{text} is not a {kind.__name__}")
            return kind[text]
        if kind is bool:
            return text == "True"
        if typing.get_origin(kind) is dict:
            return ObservedDict(eval(text, {}))
        return kind(text)

    return read


def _writer(name: str, kind: Any) -> Any:
    def write(self: Any, value: Any) -> None:
        node = self.parameterNode
        if _is_node(kind):
            if value is not None and not isinstance(value, kind):
                raise TypeError(f"{name} takes a {kind.__name__}, got {type(value).__name__}")
            node.SetNodeReferenceID(name, value.GetID() if value is not None else None)
        elif isinstance(value, enum.Enum):
            node.SetParameter(name, value.name)
        else:
            node.SetParameter(name, repr(value) if typing.get_origin(kind) is dict else str(value))
        node.Modified()

    return write


def _connect_gui(self: Any, widget: Any) -> int:
    import qt

    hints = typing.get_type_hints(type(self))
    for child in widget.findChildren(qt.QWidget):
        name = child.property(PARAMETER_NAME)
        if not name:
            continue
        if name not in hints:
            raise ValueError(f"{child.name} asks for the unknown parameter {name!r}")
        self._connectors[name] = _connect_widget(self, name, child, hints[name])

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


def _connect_widget(self: Any, name: str, child: Any, kind: Any) -> Any:
    def store(value: Any) -> None:
        if not self._updating:
            setattr(self, name, value)

    if child.className() == "qMRMLNodeComboBox":
        child.connect("currentNodeChanged(vtkMRMLNode*)", lambda *_: store(child.currentNode()))
        return child.setCurrentNode
    if child.className() == "QComboBox" and issubclass(kind, enum.Enum):
        members = list(kind)
        child.clear()
        for member in members:
            child.addItem(kind.label(member))
        child.connect("currentIndexChanged(int)", lambda index: store(members[index]))
        return lambda value: setattr(child, "currentIndex", members.index(value))
    raise RuntimeError(f"No connector from {kind} to {child.className()} ({child.name})")


def install_modules() -> None:
    """Put the stand-ins where `qt`, `ctk` and Slicer's Python modules would be imported from."""
    sys.modules["qt"] = pythonqt.make_module()
    sys.modules["ctk"] = ctk_widgets.make_module()
    i18n = ModuleType("slicer.i18n", __doc__)
    i18n.tr = lambda text: text  # type: ignore[attr-defined]
    i18n.translate = lambda context, text: text  # type: ignore[attr-defined]
    scripted = ModuleType("slicer.ScriptedLoadableModule", __doc__)
    for cls in (
        ScriptedLoadableModule,
        ScriptedLoadableModuleWidget,
        ScriptedLoadableModuleLogic,
        ScriptedLoadableModuleTest,
    ):
        setattr(scripted, cls.__name__, cls)
    wrapper = ModuleType("slicer.parameterNodeWrapper", __doc__)
    wrapper.parameterNodeWrapper = parameterNodeWrapper  # type: ignore[attr-defined]
    for module in (i18n, scripted, wrapper):
        sys.modules[module.__name__] = module
        setattr(slicer, module.__name__.rpartition(".")[2], module)
    for widget in ctk_widgets.QMRML:
        setattr(slicer, widget.__name__, pythonqt.WrappedClass(widget))


def install(app: Any, settings_file: str) -> Application:
    """Put a stand-in application around `app`, a CoreApp with its scene."""
    install_modules()
    application = Application(app.scene, settings_file)
    slicer.app = application
    slicer.util.errorDisplay = lambda text, *_, **__: shown.append(text)
    slicer.util.warningDisplay = lambda text, *_, **__: shown.append(text)
    slicer.util.infoDisplay = lambda text, *_, **__: shown.append(text)
    slicer.util.confirmOkCancelDisplay = _confirm
    slicer.util.confirmYesNoDisplay = _confirm
    slicer.util.mainWindow = lambda *_, **__: None
    slicer.util.startupEnvironment = lambda: dict(os.environ)
    slicer.util.selectModule = _select_module
    return application


def _select_module(name: str) -> None:
    """Slicer asks the main window's module selector, and raises without one (util.py)."""
    if slicer.util.mainWindow() is None:
        raise RuntimeError("Could not find main window")
    shown.append(f"module {name}")


def _confirm(text: str, *_: Any, **__: Any) -> bool:
    shown.append(text)
    return answers.pop(0) if answers else True
