"""Pick mode: a click in a slice view finds the vertebra under the cursor and analyses it."""

from __future__ import annotations

from collections.abc import Generator
from typing import TYPE_CHECKING, Any

import qt
import slicer

from .. import pick
from ..errors import SceneError
from ..i18n import _
from ..jobs import PickedBody
from ..levels import LEVELS
from . import tables

if TYPE_CHECKING:
    from ..widget import HideSeekPanel

PRIORITY = 10.0  # before the slice view's own window/level drag


class PickSection:
    """Listens to the slice views while the Pick button is down."""

    def __init__(self, panel: HideSeekPanel) -> None:
        self.panel = panel
        self.ui = ui = panel.ui
        self._watched: list[tuple[Any, int]] = []
        self._views: list[Any] = []
        self.body: PickedBody | None = None
        self._growing = ""  # level whose body grows
        self._steps: Generator[None, None, Any] | None = None
        self._timer = qt.QTimer()
        self._timer.setInterval(0)
        self._timer.connect("timeout()", lambda: panel.guarded(self._grow_step))
        tables.fill_combo(
            ui.pickLevelCombo, [(_("choose"), ""), *((level, level) for level in LEVELS)], ""
        )
        ui.pickButton.connect("toggled(bool)", self._toggled)
        ui.pickLevelCombo.connect("activated(int)", lambda index: self.refresh())
        ui.editBodyButton.connect("clicked()", self._edit_body)
        ui.analyseBodyButton.connect("clicked()", self._analyse_body)
        self.refresh()

    def active(self) -> bool:
        """Return whether clicks in slice views pick."""
        return bool(self._watched)

    def stop(self) -> None:
        """Leave pick mode."""
        self.ui.pickButton.checked = False

    def refresh(self) -> None:
        """Show what the next click needs."""
        ui = self.ui
        segmented = self.panel.parameters.vertebrae is not None
        ui.pickButton.enabled = self.panel.parameters.ct is not None
        if not ui.pickButton.enabled:
            self.stop()
        needs_level = ui.pickButton.checked and not segmented
        body = self._body_alive()
        ui.pickGroup.visible = needs_level or (body and not segmented)
        ui.editBodyButton.visible = ui.analyseBodyButton.visible = body
        level = tables.combo_key(ui.pickLevelCombo)
        if self._growing:
            text = _("Growing the body of {level} …").format(level=self._growing)
        elif body and self.body is not None:
            text = _(
                "{level}: check the outline in the slice views, correct it where needed, "
                "then analyse."
            ).format(level=self.body.level)
        elif level:
            text = _("Click the middle of the vertebral body of {level}.").format(level=level)
        else:
            text = _("No segmentation: choose the level, then click the middle of its body.")
        ui.pickHintLabel.text = text

    def close(self) -> None:
        """Let go of the views, for a closing scene or module."""
        self._unwatch()
        self._end_growth()
        self.body = None
        self._growing = ""

    def _body_alive(self) -> bool:
        return self.body is not None and self.body.node.GetScene() is not None

    def _toggled(self, on: bool) -> None:
        self._unwatch()
        if on:
            manager = slicer.app.layoutManager()
            for name in manager.sliceViewNames() if manager is not None else ():
                self._watch(manager.sliceWidget(name))
            self.panel.run.say(_("Click a vertebra in a slice view. Esc leaves."))
        self.refresh()

    def _watch(self, widget: Any) -> None:
        view = widget.sliceView()
        node = widget.mrmlSliceNode()
        interactor = view.interactor()
        self._views.append(view)
        _cursor(view, qt.Qt.CrossCursor)
        tag = [0]

        def pressed(caller: Any, event: str) -> None:
            # The press is ours: without this the view would start to change window and level.
            command = interactor.GetCommand(tag[0])
            if command is not None:
                command.SetAbortFlag(1)
            self.panel.guarded(lambda: self.clicked(node, interactor.GetEventPosition()))

        def key(caller: Any, event: str) -> None:
            if interactor.GetKeySym() == "Escape":
                qt.QTimer.singleShot(0, self.stop)

        tag[0] = interactor.AddObserver("LeftButtonPressEvent", pressed, PRIORITY)
        self._watched.append((interactor, tag[0]))
        self._watched.append((interactor, interactor.AddObserver("KeyPressEvent", key, PRIORITY)))

    def _unwatch(self) -> None:
        for interactor, tag in self._watched:
            interactor.RemoveObserver(tag)
        for view in self._views:
            _cursor(view, qt.Qt.ArrowCursor)
        self._watched, self._views = [], []

    def clicked(self, slice_node: Any, xy: tuple[int, int]) -> None:
        """Handle a click at pixel `xy` of a slice view."""
        inputs = self.panel.inputs.inputs()
        if inputs.vertebrae is None:
            self._grow(inputs.ct, pick.click_to_ras(slice_node, xy))
            return
        hit = pick.vertebra_at_click(slice_node, xy, inputs.vertebrae, inputs.overrides)
        if hit is None:
            self.panel.run.say(_("No vertebra under the cursor; click inside one."))
            return
        self.panel.screening.analyse((hit.level,))

    def _grow(self, ct: Any, ras: Any) -> None:
        level = tables.combo_key(self.ui.pickLevelCombo)
        if not level:
            self.panel.run.say(_("Choose the level first, then click the vertebral body."))
            return
        self._steps = pick.grow_body_steps(ct, ras, level)
        self._growing = level
        self.refresh()
        self._timer.start()

    def _grow_step(self) -> None:
        """Advance the growth by one short step, so that the window stays alive."""
        if self._steps is None:
            self._timer.stop()
            return
        try:
            next(self._steps)
        except StopIteration as end:
            self._end_growth()
            self._grown(end.value)
        except SceneError as error:
            self._end_growth()
            self._growing = ""
            self.panel.run.say("⚠ " + str(error))
            self.refresh()
        except Exception:
            self._end_growth()  # the timer must not run into the same fault again and again
            self._growing = ""
            raise

    def _end_growth(self) -> None:
        self._timer.stop()
        self._steps = None

    def _grown(self, node: Any) -> None:
        level, self._growing = self._growing, ""
        segment_id = node.GetSegmentation().GetNthSegmentID(0)
        self.body = PickedBody(node, segment_id, level)
        self.panel.run.say(_("An approximate body of {level} is shown.").format(level=level))
        self.refresh()

    def _edit_body(self) -> None:
        if not self._body_alive() or self.body is None:
            return
        self.stop()
        slicer.util.selectModule("SegmentEditor")
        editor = getattr(slicer.modules, "SegmentEditorWidget", None)
        if editor is not None:
            editor.editor.setSegmentationNode(self.body.node)
            editor.editor.setSourceVolumeNode(self.panel.parameters.ct)
            editor.editor.setCurrentSegmentID(self.body.segment_id)

    def _analyse_body(self) -> None:
        if self._body_alive() and self.body is not None:
            self.panel.start_job("segment", (self.body.level,), body=self.body)


def _cursor(view: Any, shape: Any) -> None:
    """Show a cursor in a slice view; older views have no way to."""
    if hasattr(view, "setViewCursor"):
        view.setViewCursor(qt.QCursor(shape))
