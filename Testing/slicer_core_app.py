"""A real MRML scene on the `slicer-core` package, with the logics a data scene needs.

In Slicer the application builds these at start. Without Qt there is no application, so the tests
and the demo build the same objects here: one scene, one application logic, and the module logics
that register node classes and labelmap converters. Nothing in this file is a stand-in for MRML
itself; only the small `slicer.modules.<name>.logic()` look-up is imitated.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from types import SimpleNamespace
from typing import Any

os.environ.setdefault("VTK_DEFAULT_OPENGL_WINDOW", "vtkEGLRenderWindow")

import slicer
import vtk


@contextmanager
def quiet() -> Iterator[None]:
    """Keep VTK's log off the console.

    For what `slicer-core` complains of by itself: it has neither Slicer's colour tables nor its
    terminologies, and says so whenever a scene is made or closed. What our code does is not quiet.
    """
    before = vtk.vtkLogger.GetCurrentVerbosityCutoff()
    vtk.vtkLogger.SetStderrVerbosity(vtk.vtkLogger.VERBOSITY_OFF)
    try:
        yield
    finally:
        vtk.vtkLogger.SetStderrVerbosity(before)


class CoreApp:
    """One scene with its logics; `close()` lets go of all of it."""

    def __init__(self) -> None:
        with quiet():
            self._build()

    def _build(self) -> None:
        self.scene = slicer.vtkMRMLScene()
        self.cache = slicer.vtkCacheManager()
        self.scene.SetCacheManager(self.cache)
        self.io_manager = slicer.vtkDataIOManager()
        self.io_manager.SetCacheManager(self.cache)
        self.scene.SetDataIOManager(self.io_manager)

        self.app_logic = slicer.vtkSlicerApplicationLogic()
        self.app_logic.SetMRMLScene(self.scene)
        self.logics: dict[str, Any] = {}
        for name, logic_class in (
            ("colors", slicer.vtkSlicerColorLogic),
            ("terminologies", slicer.vtkSlicerTerminologiesModuleLogic),
            ("subjecthierarchy", slicer.vtkSlicerSubjectHierarchyModuleLogic),
            ("volumes", slicer.vtkSlicerVolumesLogic),
            ("segmentations", slicer.vtkSlicerSegmentationsModuleLogic),
            ("markups", slicer.vtkSlicerMarkupsLogic),
            ("tables", slicer.vtkSlicerTablesLogic),
            ("texts", slicer.vtkSlicerTextsLogic),
            ("transforms", slicer.vtkSlicerTransformLogic),
            ("models", slicer.vtkSlicerModelsLogic),
        ):
            logic = logic_class()
            logic.SetMRMLApplicationLogic(self.app_logic)
            logic.SetMRMLScene(self.scene)
            self.app_logic.SetModuleLogic(name.capitalize(), logic)
            self.logics[name] = logic
        slicer.mrmlScene = self.scene
        slicer.modules = SimpleNamespace(
            **{
                name: SimpleNamespace(logic=lambda one=logic: one)
                for name, logic in self.logics.items()
            }
        )

    def close(self) -> None:
        """Empty the scene and forget the logics, so that a later app starts clean."""
        with quiet():
            self.scene.Clear(True)
            for logic in self.logics.values():
                logic.SetMRMLScene(None)
        self.logics.clear()
        slicer.mrmlScene = None
