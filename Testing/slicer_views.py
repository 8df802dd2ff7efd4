"""Slicer's slice and 3D views without a window: its own displayable managers draw off-screen.

In Slicer, Qt widgets hold these pieces together. Here small classes do: the slice image, which in
Slicer is drawn by a Qt-side renderer, is put into the same renderer as Slicer's overlays.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import slicer
import vtk
from vtk.util.numpy_support import vtk_to_numpy

SLICE_MANAGERS = (
    "vtkMRMLModelSliceDisplayableManager",
    "vtkMRMLSegmentationsDisplayableManager2D",
    "vtkMRMLCrosshairDisplayableManager",
    "vtkMRMLOrientationMarkerDisplayableManager",
    "vtkMRMLRulerDisplayableManager",
)
THREED_MANAGERS = (
    "vtkMRMLCameraDisplayableManager",
    "vtkMRMLViewDisplayableManager",
    "vtkMRMLModelDisplayableManager",
    "vtkMRMLSegmentationsDisplayableManager3D",
    "vtkMRMLOrientationMarkerDisplayableManager",
)


def can_render() -> bool:
    """Tell whether off-screen OpenGL works on this machine."""
    window = vtk.vtkRenderWindow()
    window.SetOffScreenRendering(True)
    works = bool(window.SupportsOpenGL())
    window.Finalize()
    return works


class _View:
    """A window, a renderer and a group of displayable managers."""

    def __init__(self, size: tuple[int, int]) -> None:
        self.renderer = vtk.vtkRenderer()
        self.window = vtk.vtkRenderWindow()
        self.window.SetOffScreenRendering(True)
        self.window.SetMultiSamples(0)
        self.window.SetSize(*size)
        self.window.AddRenderer(self.renderer)
        self.interactor = vtk.vtkRenderWindowInteractor()
        self.interactor.SetRenderWindow(self.window)
        self.group = slicer.vtkMRMLDisplayableManagerGroup()

    def _manage(self, factory: Any, app_logic: Any, managers: tuple[str, ...]) -> None:
        factory.SetMRMLApplicationLogic(app_logic)
        for name in managers:
            if not factory.IsDisplayableManagerRegistered(name):
                factory.RegisterDisplayableManager(name)
        self.group.Initialize(factory, self.renderer)

    def render(self) -> np.ndarray:
        """Draw; returns (height, width, 3) uint8, first row at the top."""
        self.window.Render()
        grab = vtk.vtkWindowToImageFilter()
        grab.SetInput(self.window)
        grab.SetInputBufferTypeToRGB()
        grab.ReadFrontBufferOff()
        grab.Update()
        image = grab.GetOutput()
        width, height, _depth = image.GetDimensions()
        pixels = vtk_to_numpy(image.GetPointData().GetScalars())
        return pixels.reshape(height, width, 3)[::-1].copy()


class SliceView(_View):
    """One slice view. name: "Red" and so on; orientation: "Axial", "Sagittal" or "Coronal"."""

    def __init__(
        self, app: Any, name: str, orientation: str, size: tuple[int, int] = (400, 400)
    ) -> None:
        super().__init__(size)
        self.renderer.GetActiveCamera().ParallelProjectionOn()
        self._mapper = vtk.vtkImageMapper()
        self._mapper.SetColorWindow(255)
        self._mapper.SetColorLevel(127.5)
        self._actor = vtk.vtkActor2D()
        self._actor.SetMapper(self._mapper)
        # The image has a layer of its own beneath the overlays: in one layer it would be drawn
        # after them, and what is half transparent would blend with black.
        self._below = vtk.vtkRenderer()
        self._below.AddViewProp(self._actor)
        self.window.SetNumberOfLayers(2)
        self.window.AddRenderer(self._below)
        self.renderer.SetLayer(1)
        self._manage(
            slicer.vtkMRMLSliceViewDisplayableManagerFactory.GetInstance(),
            app.app_logic,
            SLICE_MANAGERS,
        )
        self.logic = slicer.vtkMRMLSliceLogic()
        self.logic.SetMRMLApplicationLogic(app.app_logic)
        self.logic.SetMRMLScene(app.scene)
        self.node = app.scene.GetSingletonNode(name, "vtkMRMLSliceNode")
        if self.node is None:
            self.node = self.logic.AddSliceNode(name)
        self.logic.SetSliceNode(self.node)
        self.group.SetMRMLDisplayableNode(self.node)
        self.node.SetOrientation(orientation)
        self.logic.ResizeSliceNode(*size)
        self.composite = self.logic.GetSliceCompositeNode()

    def fit(self) -> None:
        """Show the whole background volume."""
        self.logic.FitSliceToBackground(True)

    def zoom(self, width_mm: float) -> None:
        """Set the width of what is shown."""
        width, height = self.window.GetSize()
        self.node.SetFieldOfView(width_mm, width_mm * height / width, self.node.GetFieldOfView()[2])

    def render(self) -> np.ndarray:
        """Draw the slice image with the overlays on it."""
        connection = self.logic.GetImageDataConnection()
        if connection is not None:
            self._mapper.SetInputConnection(connection)
        return super().render()

    def xy_of(self, ras: tuple[float, float, float]) -> tuple[float, float]:
        """Place in the view (pixels from the lower left) of a point in world RAS."""
        inverse = vtk.vtkMatrix4x4()
        vtk.vtkMatrix4x4.Invert(self.node.GetXYToRAS(), inverse)
        x, y, _z, _w = inverse.MultiplyPoint((*ras, 1.0))
        return x, y


class ThreeDView(_View):
    """A 3D view."""

    def __init__(self, app: Any, size: tuple[int, int] = (500, 500)) -> None:
        super().__init__(size)
        self.renderer.SetUseDepthPeeling(True)
        self._manage(
            slicer.vtkMRMLThreeDViewDisplayableManagerFactory.GetInstance(),
            app.app_logic,
            THREED_MANAGERS,
        )
        self.logic = slicer.vtkMRMLViewLogic()
        self.logic.SetMRMLApplicationLogic(app.app_logic)
        self.logic.SetMRMLScene(app.scene)
        self.node = app.scene.GetSingletonNode("1", "vtkMRMLViewNode")
        if self.node is None:
            self.node = self.logic.AddViewNode("1")
        self.node.SetBoxVisible(False)
        self.node.SetAxisLabelsVisible(False)
        self.group.SetMRMLDisplayableNode(self.node)

    def look_from(self, direction: tuple[float, float, float]) -> None:
        """Look at everything from a direction in RAS, superior up."""
        self.window.Render()
        camera = self.renderer.GetActiveCamera()
        bounds = self.renderer.ComputeVisiblePropBounds()
        center = [(bounds[2 * a] + bounds[2 * a + 1]) / 2 for a in range(3)]
        camera.SetFocalPoint(*center)
        camera.SetPosition(*(c + 100 * d for c, d in zip(center, direction, strict=True)))
        camera.SetViewUp(0, 0, 1)
        self.renderer.ResetCamera(bounds)


def write_png(pixels: np.ndarray, path: Path) -> None:
    """Write (height, width, 3) uint8 as PNG."""
    from vtk.util.numpy_support import numpy_to_vtk

    height, width, _channels = pixels.shape
    image = vtk.vtkImageData()
    image.SetDimensions(width, height, 1)
    flat = np.ascontiguousarray(pixels[::-1]).reshape(-1, 3)
    image.GetPointData().SetScalars(numpy_to_vtk(flat, deep=True))
    writer = vtk.vtkPNGWriter()
    writer.SetFileName(str(path))
    writer.SetInputData(image)
    writer.Write()
