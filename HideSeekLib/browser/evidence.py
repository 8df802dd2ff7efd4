"""Evidence in the views of the browser: fade to the healthy edit, flicker, difference."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from HideSeekLib.case import views
from HideSeekLib.errors import InputError
from HideSeekLib.i18n import _
from HideSeekLib.run.board import Board

FLICKER_S = 0.45


class Evidence:
    """What is laid over the CT of the vertebra whose candidate is selected.

    level: gives that vertebra, "" for none. on_change(): the page is out of date. fading: 0 the CT,
    1 the healthy edit.
    """

    def __init__(
        self, board: Board, level: Callable[[], str], on_change: Callable[[], None]
    ) -> None:
        self.board, self._level, self._on_change = board, level, on_change
        self.fading, self.difference, self.flickering = 0.0, False, False
        self._flicked_s = 0.0

    def fade(self, opacity: float) -> None:
        """Fade between the CT (0) and its healthy edit (1)."""
        self.fading, self.difference, self.flickering = float(opacity), False, False
        self.show()

    def toggle_difference(self) -> None:
        """Lay the difference over the CT, or not: red missing bone, blue excess bone."""
        self.difference, self.flickering = not self.difference, False
        self.show()

    def toggle_flicker(self) -> None:
        """Start or stop alternating CT and healthy edit."""
        if not self._level():
            raise InputError(_("Select a candidate first."))
        self.flickering = not self.flickering
        if not self.flickering:
            self.show()
        self._on_change()

    def tick(self, now_s: float) -> None:
        """Alternate, where it is time to. now_s: of a monotonic clock."""
        if self.flickering and now_s - self._flicked_s >= FLICKER_S:
            self._flicked_s = now_s
            case = self.board.live_case()
            if case is not None and self._level():
                self.board.guarded(lambda: views.flicker(case, self._level()))
            else:
                self.flickering = False

    def show(self) -> None:
        """Show what is switched on, of the vertebra that is selected now."""
        case, level = self.board.live_case(), self._level()
        if case is not None and level:
            if self.difference:
                views.show_difference(case, level, True)
            else:
                views.fade(case, level, self.fading)
        self._on_change()

    def clear(self) -> None:
        """Switch everything off, for another case."""
        self.fading, self.difference, self.flickering = 0.0, False, False
        views.clear_fade(self.board.live_case())

    @contextmanager
    def put_away(self) -> Iterator[None]:
        """Show the bare CT for a moment: a saved scene does not keep what was laid over it."""
        views.clear_fade(self.board.live_case())
        try:
            yield
        finally:
            self.show()
