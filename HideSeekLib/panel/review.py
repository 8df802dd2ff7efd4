"""Review: threshold, decisions by key or button, reasons, undo and redo, the case at hand."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import slicer.util

from HideSeekLib.case import case as scene
from HideSeekLib.case.segments import segment_name
from HideSeekLib.errors import SceneError
from HideSeekLib.i18n import _
from HideSeekLib.panel import qt_tools, tables
from HideSeekLib.panel.candidates import CandidateTable
from HideSeekLib.panel.fading import FadingSection
from HideSeekLib.run import words
from HideSeekLib.run.board import Board

DRAG_WAIT_MS, DRAG_END_MS = 40, 400


class ReviewSection:
    """Turns keys and buttons into decisions on the case, and shows what follows from them."""

    def __init__(self, ui: Any, board: Board) -> None:
        self.board = board
        self.ui = ui
        self.table = CandidateTable(ui, board, self._selected)
        self.fading = FadingSection(ui, board)
        self._shown_case = self._background = ""
        self._entered = False
        ui.vertebraLabel.text = _("Select a candidate to see it in the views.")
        self._drag = qt_tools.single_shot(DRAG_WAIT_MS, lambda: self._apply_threshold(True))
        self._drag_end = qt_tools.single_shot(DRAG_END_MS, lambda: self._apply_threshold(False))
        ui.thresholdSlider.connect("valueChanged(double)", lambda value: self._dragged())
        ui.acceptButton.connect("clicked()", lambda: self.decide("accept"))
        ui.rejectButton.connect("clicked()", lambda: self.decide("reject"))
        ui.resetButton.connect("clicked()", lambda: self.decide(None))
        ui.undoButton.connect("clicked()", self.undo)
        ui.redoButton.connect("clicked()", self.redo)
        ui.removeRegionButton.connect("clicked()", self.remove_regions)
        ui.restoreButton.connect("clicked()", self.restore)
        ui.reasonEdit.connect("returnPressed()", self._set_reason)
        ui.caseCombo.connect("activated(int)", lambda index: self._choose_case())
        ui.lesionSegmentsCheck.connect("toggled(bool)", self._lesion_segments)
        board.inputs_changed.connect(self.refresh)
        board.case_changed.connect(self.refresh)
        self._shortcuts = [
            # Only while the table has the focus: a letter must not decide while someone types.
            qt_tools.shortcut(keys, ui.candidatesTable, action)
            for keys, action in (
                ("A", lambda: self.decide("accept")),
                ("X", lambda: self.decide("reject")),
                ("U", lambda: self.decide(None)),
                ("N", lambda: self.table.step(True)),
                ("P", lambda: self.table.step(False)),
                ("F", self.fading.toggle_flicker),
                ("R", self._edit_reason),
                ("Ctrl+Z", self.undo),
                ("Ctrl+Shift+Z", self.redo),
            )
        ]

    def rows(self) -> list[Any]:
        """Return the rows of all candidates of the case, filtered or not."""
        case = self.board.live_case()
        return list(case.rows()) if case is not None else []

    def refresh(self) -> None:
        """Show the case from the start."""
        case = self.board.live_case()
        self._fill_cases()
        identity = case.node.GetID() if case is not None else ""
        if identity != self._shown_case:
            self._shown_case = identity
            self.ui.candidatesTable.clearSelection()
            self._show_background()
        if case is not None:
            self._show_threshold(case.review.threshold)
        self.table.show()
        self._refresh_text()

    def enter(self) -> None:
        """The module is shown: from now on the views may follow the case."""
        self._entered = True
        self._show_background()

    def leave(self) -> None:
        """Another module is shown: the views are not ours."""
        self._entered = False
        self.fading.stop()

    def _show_background(self) -> None:
        # Not in front of another module: a scene that is opened there keeps its views.
        case = self.board.live_case()
        if case is not None and self._entered and self._background != case.node.GetID():
            self._background = case.node.GetID()
            self.board.guarded(lambda: self.fading.open_case(case))

    # --- decisions ---------------------------------------------------------------------------

    def decide(self, verdict: str | None) -> None:
        """Accept, reject or (None) reset the selected candidates."""
        keys = self.table.selected()
        if not keys or self.board.case is None:
            return
        reason = self.ui.reasonEdit.text.strip() or None
        alone = len(keys) == 1
        done = self._apply(
            lambda case: case.decide(
                keys, verdict, **({"reason": reason} if reason and verdict else {})
            )
        )
        if done and alone and verdict and self.ui.advanceCheck.checked:
            self.table.step(True, undecided_only=True)

    def undo(self) -> None:
        """Take the last change back."""
        self._apply(lambda case: case.undo(), everything=True)

    def redo(self) -> None:
        """Make the change that was taken back."""
        self._apply(lambda case: case.redo(), everything=True)

    def remove_regions(self) -> None:
        """Take the selected regions that the reader drew away; an undo brings them back."""
        for key in self._selected_regions():
            self._apply(partial(_remove_region, key=key), everything=True)

    def _selected_regions(self) -> list[str]:
        rows = {key: self.table.row(key) for key in self.table.selected()}
        return [key for key, row in rows.items() if row is not None and row.source == "reader"]

    def restore(self) -> None:
        """Draw the segments of the selected candidates as they were analysed and decided."""
        case = self.board.live_case()
        edited = self._edited()
        if case is None or not edited:
            return
        names = ", ".join(segment_name(*where) for where in edited)
        if slicer.util.confirmOkCancelDisplay(
            _("Give up what was edited by hand in {names}?").format(names=names)
        ):
            for where in edited:
                self.board.guarded(partial(case.restore_segment, *where))
            self.board.say(_("Restored as analysed: {names}.").format(names=names))
            self._refresh_text()
            self.board.review_changed.emit()

    def _edited(self) -> list[tuple[str, str]]:
        """Segments (level, polarity) of the selected candidates that were edited by hand."""
        case = self.board.live_case()
        rows = [self.table.row(key) for key in self.table.selected()]
        chosen = sorted({(row.vertebra, row.polarity) for row in rows if row is not None})
        if case is None or case.lesions is None:
            return []
        return [where for where in chosen if where[1] in case.edited_by_hand(where[0])]

    def _set_reason(self) -> None:
        keys = self.table.selected()
        text = self.ui.reasonEdit.text.strip()
        if keys:
            self._apply(lambda case: case.set_reason(keys, text))
            self.ui.candidatesTable.setFocus()

    def _edit_reason(self) -> None:
        self.ui.reasonEdit.setFocus()
        self.ui.reasonEdit.selectAll()

    def _dragged(self) -> None:
        # Re-applied while the slider moves, but the whole drag is one step to undo.
        if not self._drag.isActive():
            self._drag.start()
        self._drag_end.start()

    def _apply_threshold(self, live: bool) -> None:
        case = self.board.live_case()
        value = self.ui.thresholdSlider.value
        if case is None:
            return
        if not live or abs(case.review.threshold - value) > 1e-9:
            self._apply(lambda case: case.set_threshold(value, live=live))

    def _apply(self, change: Callable[[Any], Any], everything: bool = False) -> bool:
        """Apply a change to the case and show what it changed; False when it could not be."""
        case = self.board.live_case()
        if case is None:
            self.board.case_lost()
            return False
        try:
            report = change(case)
        except SceneError as error:
            self.board.say("⚠ " + str(error))
            self.board.case_lost()
            return False
        self._show_threshold(case.review.threshold)
        if everything:
            self.table.show()
        else:
            self.table.update({*report.changed, *self.table.selected()})
        self._refresh_text()
        if report.edited_by_hand:
            self.board.say(
                "⚠ "
                + _("Edited by hand and left as they are: {names}").format(
                    names=", ".join(report.edited_by_hand)
                )
            )
        self.board.review_changed.emit()
        return True

    # --- showing -----------------------------------------------------------------------------

    def _show_threshold(self, value: float) -> None:
        slider = self.ui.thresholdSlider
        if abs(slider.value - value) > 1e-9 and not self._drag_end.isActive():
            before = slider.blockSignals(True)
            slider.value = value
            slider.blockSignals(before)

    def _refresh_text(self) -> None:
        ui, case = self.ui, self.board.live_case()
        alive = case is not None
        rows = self.rows()
        shown = len(self.table.shown())
        if not alive:
            ui.countsLabel.text = _("No analysis yet.")
        else:
            ui.countsLabel.text = words.counts(rows, shown)
        chosen = bool(self.table.selected()) and alive
        for button in (ui.acceptButton, ui.rejectButton, ui.resetButton, ui.reasonEdit):
            button.enabled = chosen
        ui.removeRegionButton.enabled = alive and bool(self._selected_regions())
        ui.restoreButton.enabled = chosen and bool(self._edited())
        ui.undoButton.enabled = case is not None and case.review.can_undo
        ui.redoButton.enabled = case is not None and case.review.can_redo
        ui.thresholdSlider.enabled = ui.selectShownButton.enabled = alive and bool(rows)
        ui.lesionSegmentsCheck.enabled = alive and bool(rows)

    def _selected(self, key: str) -> None:
        row = self.table.row(key) if key else None
        self.ui.reasonEdit.text = row.reason if row is not None else ""
        self.ui.vertebraLabel.text = (
            self._vertebra_text(row)
            if row is not None
            else _("Select a candidate to see it in the views.")
        )
        self._refresh_text()
        case = self.board.live_case()
        if case is not None:
            self.board.guarded(lambda: self.fading.show(case, row))

    def _vertebra_text(self, candidate: Any) -> str:
        case = self.board.live_case()
        for row in case.vertebra_rows() if case is not None else ():
            if row.level == candidate.vertebra:
                return words.about_candidate(row, candidate)
        return str(candidate.vertebra)

    def _fill_cases(self) -> None:
        case = self.board.live_case()
        current = case.node.GetID() if case is not None else ""
        cases = scene.cases_in_scene()
        tables.fill_combo(
            self.ui.caseCombo, [(case.name, case.node.GetID()) for case in cases], current
        )
        self.ui.caseCombo.visible = self.ui.caseLabel.visible = len(cases) > 1

    def _choose_case(self) -> None:
        chosen = tables.combo_key(self.ui.caseCombo)
        for case in scene.cases_in_scene():
            if case.node.GetID() == chosen:
                self.board.set_case(case)

    def _lesion_segments(self, on: bool) -> None:
        case = self.board.live_case()
        if case is not None:
            self.board.guarded(lambda: case.lesion_segments(on))


def _remove_region(case: Any, key: str) -> Any:
    return case.remove_region(key)
