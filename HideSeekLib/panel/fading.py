"""The evidence in the views: fade or flicker between the CT and its healthy edit."""

from __future__ import annotations

from typing import Any

import qt

from HideSeekLib.case import views
from HideSeekLib.run.board import Board

FLICKER_MS = 450


class FadingSection:
    """Shows the selected candidate and its vertebra's healthy edit."""

    def __init__(self, ui: Any, board: Board) -> None:
        self.board = board
        self.ui = ui
        self._level = ""
        self._timer = qt.QTimer()
        self._timer.setInterval(FLICKER_MS)
        self._timer.connect("timeout()", self._flick)
        ui.fadeSlider.connect("valueChanged(double)", lambda value: self._fade(value))
        ui.flickerButton.connect("toggled(bool)", self._set_flicker)
        ui.differenceCheck.connect("toggled(bool)", lambda on: self._difference(on))
        self._enable()

    def open_case(self, case: Any) -> None:
        """Put the case's CT into the views."""
        self._level = ""
        self.stop()
        views.set_background(case)
        self._enable()

    def show(self, case: Any, row: Any) -> None:
        """Jump to a candidate, or clear the highlight for None."""
        if row is None:
            views.clear_highlight(case)
            return
        changed = row.vertebra != self._level
        self._level = row.vertebra
        views.show_candidate(case, row.key)
        if changed:
            self._fade(self.ui.fadeSlider.value)
            if self.ui.differenceCheck.checked:
                self._difference(True)
        self._enable()

    def toggle_flicker(self) -> None:
        """Start or stop the flicker."""
        if self.ui.flickerButton.enabled:
            self.ui.flickerButton.checked = not self.ui.flickerButton.checked

    def stop(self) -> None:
        """Stop the flicker."""
        self._timer.stop()
        self.ui.flickerButton.checked = False

    def _case(self) -> Any:
        return self.board.live_case() if self._level else None

    def _enable(self) -> None:
        case = self._case()
        there = case is not None and case.nodes.healthy(self._level) is not None
        self.ui.fadeSlider.enabled = self.ui.flickerButton.enabled = there
        self.ui.differenceCheck.enabled = (
            case is not None and case.nodes.difference(self._level) is not None
        )

    def _fade(self, opacity: float) -> None:
        case = self._case()
        if case is not None:
            self.board.guarded(lambda: views.fade(case, self._level, opacity))

    def _set_flicker(self, on: bool) -> None:
        if on:
            self._timer.start()
        else:
            self._timer.stop()
            self._fade(self.ui.fadeSlider.value)

    def _flick(self) -> None:
        case = self._case()
        if case is None:
            self.stop()
        else:
            self.board.guarded(lambda: views.flicker(case, self._level))

    def _difference(self, on: bool) -> None:
        case = self._case()
        if case is not None:
            self.board.guarded(lambda: views.show_difference(case, self._level, on))
