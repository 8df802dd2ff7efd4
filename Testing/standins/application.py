"""Stand-ins for `slicer.app`: settings, the layout manager, and slice views that can be clicked.

No kinder than Slicer: another layout makes new slice widgets (qMRMLLayoutManager); signals that the
real class does not have are refused. `FOR_TESTS` of each class names what only tests use.

Limits: slice views have a real slice node and a bare VTK interactor but draw nothing, and show one
slice, never a light box; PythonSlicer is a script that starts this Python.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import slicer
import vtk

from . import pythonqt


class SliceView:
    """A slice view's interactor, cursor and conversions."""

    REAL = "qMRMLSliceView"
    FOR_TESTS = ("default_cursor",)

    def __init__(self, node: Any) -> None:
        self._node = node
        self._interactor = vtk.vtkGenericRenderWindowInteractor()
        self._interactor.SetRenderWindow(vtk.vtkRenderWindow())
        self.default_cursor: Any = None

    def interactor(self) -> Any:
        return self._interactor

    def mrmlSliceNode(self) -> Any:
        return self._node

    def convertDeviceToXYZ(self, xy: Any) -> list[float]:
        return [float(xy[0]), float(xy[1]), 0.0]

    def convertXYZToRAS(self, xyz: Any) -> list[float]:
        return list(self._node.GetXYToRAS().MultiplyPoint((*xyz, 1.0))[:3])

    def setDefaultViewCursor(self, cursor: Any) -> None:
        self.default_cursor = cursor

    def unsetViewCursor(self) -> None:
        """Show the default cursor again."""


class SliceWidget:
    """A slice widget with its node and view; `click` sends what a mouse click sends."""

    REAL = "qMRMLSliceWidget"
    FOR_TESTS = ("click",)

    def __init__(self, scene: Any, name: str, orientation: str) -> None:
        node = slicer.vtkMRMLSliceNode()
        node.SetName(name)
        node.SetLayoutName(name)
        scene.AddNode(node)
        node.SetOrientation(orientation)
        node.SetDimensions(256, 256, 1)
        node.SetFieldOfView(256, 256, 1)
        self._node, self._view = node, SliceView(node)

    def sliceView(self) -> SliceView:
        return self._view

    def mrmlSliceNode(self) -> Any:
        return self._node

    def click(self, x: int, y: int) -> None:
        self._view.interactor().SetEventPosition(x, y)
        self._view.interactor().InvokeEvent("LeftButtonPressEvent")
        self._view.interactor().InvokeEvent("LeftButtonReleaseEvent")


class LayoutManager:
    """Three slice views by name."""

    REAL = "qSlicerLayoutManager"
    FOR_TESTS = ("views", "change")

    def __init__(self, scene: Any) -> None:
        slicer.vtkMRMLSliceNode.AddDefaultSliceOrientationPresets(scene)
        places = (("Red", "Axial"), ("Yellow", "Sagittal"), ("Green", "Coronal"))
        self.views = {name: SliceWidget(scene, name, kind) for name, kind in places}
        self._scene = scene
        self._slots: list[Any] = []

    def connect(self, signature: str, slot: Any) -> bool:
        pythonqt.refuse_signal(self.REAL, signature)
        if signature != "layoutChanged(int)":
            raise NotImplementedError(f"the stand-in sends no {signature}")
        self._slots.append(slot)
        return True

    def disconnect(self, signature: str, slot: Any) -> bool:
        pythonqt.refuse_signal(self.REAL, signature)
        self._slots.remove(slot)
        return True

    def change(self, **views: str) -> None:
        """Show other views, each made anew, as another layout does: Name="Axial", ..."""
        self.views = {name: SliceWidget(self._scene, name, kind) for name, kind in views.items()}
        for slot in self._slots:
            slot(0)

    def sliceViewNames(self) -> tuple[str, ...]:
        return tuple(self.views)

    def sliceWidget(self, name: str) -> SliceWidget:
        return self.views[name]


class DicomDatabase:
    """Slicer's DICOM database: knows the file of an instance, "" for one that it does not know."""

    REAL = "ctkDICOMDatabase"
    FOR_TESTS = ("files",)

    def __init__(self) -> None:
        self.files: dict[str, str] = {}

    def instanceValue(self, sopInstanceUID: str, tag: str) -> str:
        """The value in the instance's file; "" where file or attribute is absent."""
        import pydicom

        file = self.files.get(sopInstanceUID, "")
        if not file:
            return ""
        group, element = (int(part, 16) for part in tag.split(","))
        found = pydicom.dcmread(file, stop_before_pixels=True).get((group, element))
        value = None if found is None else found.value
        several = isinstance(value, (list, pydicom.multival.MultiValue))
        return "\\".join(map(str, value)) if several else str(value or "")

    def fileForInstance(self, sopInstanceUID: str) -> str:
        return self.files.get(sopInstanceUID, "")


class Application:
    """What the panel asks of `slicer.app`."""

    REAL = "qSlicerApplication"
    FOR_TESTS = ("startup", "testing")

    applicationName = "Slicer"
    applicationVersion = "5.12.0"
    majorVersion, minorVersion = 5, 12

    def __init__(self, scene: Any, settings_file: str) -> None:
        self._layout = LayoutManager(scene)
        self._database = DicomDatabase()
        self._settings_file = settings_file
        self.slicerHome = os.path.dirname(settings_file)
        self.temporaryPath = self.slicerHome
        launcher = Path(self.slicerHome) / "bin" / "PythonSlicer"
        launcher.parent.mkdir(exist_ok=True)
        launcher.write_text(f'#!/bin/sh\nexec "{sys.executable}" "$@"\n')
        launcher.chmod(0o755)
        self.startup: list[Any] = []
        self.testing = True

    def dicomDatabase(self) -> DicomDatabase:
        return self._database

    def layoutManager(self) -> LayoutManager:
        return self._layout

    def userSettings(self) -> Any:
        import qt

        return qt.QSettings(self._settings_file, qt.QSettings.IniFormat)

    def processEvents(self) -> None:
        import qt

        qt.QApplication.processEvents()

    def testingEnabled(self) -> bool:
        return self.testing

    def connect(self, signature: str, slot: Any) -> bool:
        pythonqt.refuse_signal(self.REAL, signature)
        self.startup.append((signature, slot))
        return True

    def moduleManager(self) -> Any:
        return SimpleNamespace(connect=lambda *_: True, disconnect=lambda *_: True)

    def moduleDocumentationUrl(self, moduleName: str) -> str:
        return f"https://slicer.readthedocs.io/{moduleName}"
