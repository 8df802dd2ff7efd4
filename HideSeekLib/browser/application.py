"""Slicer's scene, logics and views in this process, where HideSeekLib expects them."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import slicer
from trame_slicer.core import LayoutManager, SlicerApp
from trame_slicer.rca_view import register_rca_factories
from trame_slicer.views import Layout, LayoutDirection, SliceView, ThreeDView, ViewLayoutDefinition

from HideSeekLib.anatomy import terminology

LAYOUT = "Review"
# Logics that trame-slicer does not make; they register the node classes a case is made of.
_MORE = {
    "tables": "vtkSlicerTablesLogic",
    "texts": "vtkSlicerTextsLogic",
    "transforms": "vtkSlicerTransformLogic",
    "models": "vtkSlicerModelsLogic",
}


class Application:
    """One scene with its views, drawn here and shown in the page of `server`."""

    def __init__(self, server: Any) -> None:
        self.core = SlicerApp()
        self.scene = self.core.scene
        logics = {
            "colors": self.core.color_logic,
            "terminologies": self.core.terminologies_logic,
            "subjecthierarchy": self.core.subject_hierarchy_logic,
            "volumes": self.core.volumes_logic,
            "segmentations": self.core.segmentations_logic,
        }
        for name, class_name in _MORE.items():
            logic = getattr(slicer, class_name)()
            logics[name] = self.core.register_module_logic(logic, logic_name=name.capitalize())
        slicer.mrmlScene = self.scene
        slicer.modules = SimpleNamespace(
            **{name: SimpleNamespace(logic=lambda one=logic: one) for name, logic in logics.items()}
        )
        terminology.register_in_slicer()
        register_rca_factories(self.core.view_manager, server)
        self.layouts = LayoutManager(self.scene, self.core.view_manager, server)
        self.layouts.register_layout(LAYOUT, _layout())
        self.layouts.set_layout(LAYOUT)

    def slice_views(self) -> list[SliceView]:
        """The slice views: axial, sagittal and coronal."""
        return list(self.core.view_manager.get_slice_views())

    def threed_views(self) -> list[ThreeDView]:
        """The 3D view."""
        return list(self.core.view_manager.get_threed_views())

    def fit(self) -> None:
        """Show the whole of what is there in every view."""
        for view in [*self.slice_views(), *self.threed_views()]:
            view.reset_view()


def _layout() -> Layout:
    """Sagittal large on the left, axial above coronal and 3D on the right."""
    return Layout(
        LayoutDirection.Horizontal,
        [
            ViewLayoutDefinition.sagittal_view(),
            Layout(
                LayoutDirection.Vertical,
                [
                    ViewLayoutDefinition.axial_view(),
                    Layout(
                        LayoutDirection.Horizontal,
                        [
                            ViewLayoutDefinition.coronal_view(),
                            ViewLayoutDefinition.threed_view(),
                        ],
                    ),
                ],
            ),
        ],
    )
