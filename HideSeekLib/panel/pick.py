"""Pick mode: a click in a slice view finds the vertebra under the cursor and analyses it."""

from __future__ import annotations

from typing import Any

import qt
import slicer

from HideSeekLib.anatomy import click as pick
from HideSeekLib.i18n import _
from HideSeekLib.panel import qt_tools, tables
from HideSeekLib.run.board import Board
from HideSeekLib.run.jobs import PickedBody
from HideSeekLib.wire.levels import LEVELS

PRIORITY = 10.0  # before the slice view's own window/level drag


class PickSection:
    """Listens to the slice views while the Pick button is down."""

    def __init__(self, ui: Any, board: Board) -> None:
        self.board = board
        self.ui = ui
        self._watched: list[tuple[Any, int]] = []
        self._views: list[Any] = []
        self.body: PickedBody | None = None
        self._sought = ""  # level whose body the worker looks for
        self._clicks = 0  # answers to earlier clicks are dropped
        tables.fill_combo(
            ui.pickLevelCombo, [(_("choose"), ""), *((level, level) for level in LEVELS)], ""
        )
        ui.pickButton.connect("toggled(bool)", self._toggled)
        ui.pickLevelCombo.connect("activated(int)", lambda index: self.refresh())
        ui.editBodyButton.connect("clicked()", self._edit_body)
        ui.analyseBodyButton.connect("clicked()", self._analyse_body)
        self._stop = qt_tools.single_shot(0, self.stop)
        board.inputs_changed.connect(self.refresh)
        board.job_changed.connect(lambda job: self.refresh())
        self._interaction: tuple[Any, int] | None = None
        manager = slicer.app.layoutManager()
        if manager is not None:  # a new layout brings new slice views, which must pick as well
            manager.connect("layoutChanged(int)", lambda layout: self._watch_again())
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
        segmented = self.board.parameters.vertebrae is not None
        ui.pickButton.enabled = self.board.parameters.ct is not None
        if not ui.pickButton.enabled:
            self.stop()
        needs_level = ui.pickButton.checked and not segmented
        body = self._body_alive()
        ui.pickGroup.visible = needs_level or (body and not segmented)
        ui.editBodyButton.visible = ui.analyseBodyButton.visible = body
        level = tables.combo_key(ui.pickLevelCombo)
        if self._sought:
            text = _("Looking for the body of {level} …").format(level=self._sought)
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
        self.body = None
        self._sought = ""
        self._clicks += 1

    def _body_alive(self) -> bool:
        return self.body is not None and self.body.node.GetScene() is not None

    def _toggled(self, on: bool) -> None:
        self._unwatch()
        if on:
            self._watch_views()
            self.board.say(_("Click a vertebra in a slice view. Esc leaves."))
        self.refresh()

    def _watch_views(self) -> None:
        manager = slicer.app.layoutManager()
        for name in manager.sliceViewNames() if manager is not None else ():
            self._watch(manager.sliceWidget(name))
        node = slicer.mrmlScene.GetNodeByID("vtkMRMLInteractionNodeSingleton")
        if node is not None:
            # Whoever starts to place a markup wants the click for it.
            tag = node.AddObserver(
                node.InteractionModeChangedEvent,
                lambda *_: self.board.guarded(lambda: self._mode_changed(node)),
            )
            self._interaction = (node, tag)

    def _mode_changed(self, node: Any) -> None:
        if node.GetCurrentInteractionMode() == node.Place:
            self.stop()

    def _watch_again(self) -> None:
        if self.active():
            self._unwatch()
            self._watch_views()

    def _watch(self, widget: Any) -> None:
        view = widget.sliceView()
        node = widget.mrmlSliceNode()
        interactor = view.interactor()
        self._views.append(view)
        # The default one: hovering a markup puts the view's present cursor back to it.
        view.setDefaultViewCursor(qt.QCursor(qt.Qt.CrossCursor))
        view.unsetViewCursor()
        tag = [0]

        def pressed(caller: Any, event: str) -> None:
            # The press is ours: without this the view would start to change window and level.
            command = interactor.GetCommand(tag[0])
            if command is not None:
                command.SetAbortFlag(1)
            self.board.guarded(
                lambda: self.clicked(pick.click_to_ras(view, node, interactor.GetEventPosition()))
            )

        def key(caller: Any, event: str) -> None:
            if interactor.GetKeySym() == "Escape":
                self._stop.start()

        tag[0] = interactor.AddObserver("LeftButtonPressEvent", pressed, PRIORITY)
        self._watched.append((interactor, tag[0]))
        self._watched.append((interactor, interactor.AddObserver("KeyPressEvent", key, PRIORITY)))

    def _unwatch(self) -> None:
        for interactor, tag in self._watched:
            interactor.RemoveObserver(tag)
        for view in self._views:
            view.setDefaultViewCursor(qt.QCursor(qt.Qt.ArrowCursor))
            view.unsetViewCursor()
        if self._interaction is not None:
            self._interaction[0].RemoveObserver(self._interaction[1])
        self._watched, self._views, self._interaction = [], [], None

    def clicked(self, ras: tuple[float, float, float]) -> None:
        """Handle a click at a place in world RAS (mm)."""
        inputs = self.board.inputs()
        if inputs.vertebrae is None:
            self._find_body(inputs.ct, ras)
            return
        hit = pick.vertebra_at(ras, inputs.vertebrae, inputs.overrides)
        if hit is None:
            self.board.say(_("No vertebra under the cursor; click inside one."))
            return
        self.board.start_job("segment", (hit.level,))

    def _find_body(self, ct: Any, ras: Any) -> None:
        level = tables.combo_key(self.ui.pickLevelCombo)
        if not level:
            self.board.say(_("Choose the level first, then click the vertebral body."))
            return
        params = pick.body_request(ct, ras, level)
        affine = params["affine"]
        self._clicks += 1
        click = self._clicks
        self._sought = level

        def found(reply: Any) -> None:
            if click == self._clicks:
                self._sought = ""
                self.board.guarded(lambda: self._show(ct, level, affine, reply))
                self.refresh()

        def failed(failure: Any) -> None:
            if click == self._clicks:
                self._sought = ""
                self.board.say("⚠ " + str(failure))
                self.refresh()

        self.board.ask("body", params, found, failed)
        self.refresh()

    def _show(self, ct: Any, level: str, affine: Any, reply: Any) -> None:
        node = pick.body_from_reply(ct, level, affine, reply)
        segment_id = node.GetSegmentation().GetNthSegmentID(0)
        self.body = PickedBody(node, segment_id, level)
        self.board.say(_("An approximate body of {level} is shown.").format(level=level))

    def _edit_body(self) -> None:
        if not self._body_alive() or self.body is None:
            return
        self.stop()
        slicer.util.selectModule("SegmentEditor")
        editor = getattr(slicer.modules, "SegmentEditorWidget", None)
        if editor is not None:
            editor.editor.setSegmentationNode(self.body.node)
            editor.editor.setSourceVolumeNode(self.board.parameters.ct)
            editor.editor.setCurrentSegmentID(self.body.segment_id)

    def _analyse_body(self) -> None:
        if self._body_alive() and self.body is not None:
            self.board.start_job("segment", (self.body.level,), body=self.body)
