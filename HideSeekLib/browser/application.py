"""Slicer's scene, logics and views in this process, where HideSeekLib expects them."""

from __future__ import annotations

import asyncio
import contextlib
import time
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
    ScheduledRenderStrategy,
    SliceView,
    ThreeDView,
    ViewLayoutDefinition,
)

from HideSeekLib.anatomy import terminology

LAYOUT = "Review"
FPS = 30.0
QUALITY = 90
"""Of the pictures, in JPEG's percent. trame's quality of a view at rest is the same, so each change
is drawn once: a poor picture first and a good one later would be drawn twice."""

SLICES_FIRST_S = 0.08
"""Surfaces take a processor longer than all slices; they wait until none was drawn for so long."""

BREATH_S = 0.002
"""Between two views: time to encode and send the one before."""

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
        turns = _Turns()
        for view in [*self.slice_views(), *self.threed_views()]:
            surfaces = isinstance(view, ThreeDView)
            view.render_window().SetMultiSamples(0)
            view.render_window().AddObserver("EndEvent", turns.drawn)
            view.set_scheduled_render(_Turn(view._scheduled_render, turns, surfaces))
            if surfaces:
                view.renderer().SetUseDepthPeeling(False)

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


class _Turns:
    """Draws views one after the other, each sent before the next is drawn.

    Left to itself, every view that a click moves is drawn before the event loop sends anything.
    Like this the page shows the choice while the first view is drawn, and a view while the next is.
    """

    def __init__(self) -> None:
        self._slices: list[_Turn] = []
        self._surfaces: list[_Turn] = []
        self._slice_s = 0.0
        self._drawn = asyncio.Event()
        self._task: asyncio.Task[None] | None = None

    def drawn(self, *_event: object) -> None:
        """Take note that a view was drawn."""
        self._drawn.set()

    def ask(self, turn: _Turn) -> None:
        """Have a view drawn when its turn comes."""
        if turn.surfaces:
            waiting = self._surfaces
        else:
            waiting, self._slice_s = self._slices, time.monotonic()
        if turn not in waiting:
            waiting.append(turn)
        if self._task is None or self._task.done():
            self._task = asyncio.get_running_loop().create_task(self._draw())

    async def _draw(self) -> None:
        while self._slices or self._surfaces:
            await asyncio.sleep(BREATH_S)  # what was said or drawn goes out
            if self._slices:
                # The largest first: the page unpacks it while the others are drawn.
                turn = max(self._slices, key=_Turn.pixels)
                self._slices.remove(turn)
            else:
                left = self._slice_s + SLICES_FIRST_S - time.monotonic()
                if left > 0:
                    await asyncio.sleep(left)
                    continue
                turn = self._surfaces.pop(0)
            self._drawn.clear()
            turn.own.schedule_render()
            # A view that is not shown, such as one without a size, is not waited for.
            with contextlib.suppress(asyncio.TimeoutError):
                await asyncio.wait_for(self._drawn.wait(), 2 / FPS)
            if not turn.surfaces:
                self._slice_s = time.monotonic()


class _Turn(ScheduledRenderStrategy):
    """Draws a view as `own` does, when its turn comes. surfaces: it is the 3D view."""

    def __init__(self, own: ScheduledRenderStrategy, turns: _Turns, surfaces: bool) -> None:
        super().__init__()
        self.own, self._turns, self.surfaces = own, turns, surfaces

    def pixels(self) -> int:
        """Size of the view's picture."""
        view = self.own.abstract_view
        width, height = view.render_window().GetSize() if view is not None else (0, 0)
        return int(width * height)

    def schedule_render(self) -> None:
        try:
            asyncio.get_running_loop()
        except RuntimeError:  # before the server runs
            self.own.schedule_render()
        else:
            self._turns.ask(self)


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
