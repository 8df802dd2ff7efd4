"""Slicer's scene, logics and views in this process, where HideSeekLib expects them."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import slicer
from trame.widgets import html
from trame_slicer.app.ui import create_vertical_slice_view_gutter_ui
from trame_slicer.core import LayoutManager, SlicerApp
from trame_slicer.rca_view import register_rca_factories
from trame_slicer.views import (
    Layout,
    LayoutDirection,
    SliceView,
    ThreeDView,
    ViewLayoutDefinition,
)

from HideSeekLib.anatomy import terminology
from HideSeekLib.browser.turns import Turns

LAYOUT = "Review"
FPS = 30.0
QUALITY = 90
"""Of the pictures, in JPEG's percent. trame's quality of a view at rest is the same, so each change
is drawn once: a poor picture first and a good one later would be drawn twice."""

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
        # Views that the mouse is not over are drawn as often as the others: a click on a row moves
        # all of them.
        register_rca_factories(
            self.core.view_manager,
            server,
            target_fps=FPS,
            blur_fps=FPS,
            interactive_quality=QUALITY,
            slice_view_ui_f=_slice_view_ui,
        )
        self.layouts = LayoutManager(self.scene, self.core.view_manager, server)
        self.layouts.register_layout(LAYOUT, _layout())
        self.layouts.set_layout(LAYOUT)
        self._make_views_quick()

    def _make_views_quick(self) -> None:
        """Leave out what costs a processor most: many samples a pixel (a slice view is drawn in
        half the time without) and depth peeling (translucent surfaces in a fifth)."""
        self.turns = turns = Turns()
        for view in self.slice_views():
            view.render_window().SetMultiSamples(0)
            turns.take(view, surfaces=False)
        for view in self.threed_views():
            view.render_window().SetMultiSamples(0)
            view.renderer().SetUseDepthPeeling(False)
            turns.take(view, surfaces=True)

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


# Where each direction of the patient is in a slice view: left, right, top, bottom.
_SIDES = {"Axial": "RLAP", "Coronal": "RLSI", "Sagittal": "APSI"}
_PLACES = (
    "left: 6px; top: 50%",
    "right: 22px; top: 50%",
    "left: 50%; top: 4px",
    "left: 50%; bottom: 34px",
)


def _slice_view_ui(server: Any, view_id: str, view: SliceView) -> None:
    """Put the tools and the directions of the patient over a slice view."""
    create_vertical_slice_view_gutter_ui(server, view_id, view)
    for side, place in zip(_SIDES[view.get_orientation()], _PLACES, strict=True):
        html.Div(side, classes="hs-side", style=place)


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
