"""When each view is drawn: one after the other, and each is shown while the next is drawn."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Callable

from trame_slicer.views import AbstractView, ScheduledRenderStrategy

SENT_S = 0.003
"""From a view that was drawn to the next: its picture is packed and sent."""

SLICES_FIRST_S = 0.08
"""Surfaces take a processor longer than all slices; they wait until none was drawn for so long."""

_LATE_S = 1.0


class Turns:
    """The views that are to be drawn. Slices come before surfaces, the largest first: what is
    drawn last is seen last, and a small picture is soon sent."""

    def __init__(self) -> None:
        self._due: list[Turn] = []
        self._drawing: asyncio.Task[None] | None = None
        self._slice_s = 0.0
        self._after: list[Callable[[], None]] = []

    def take(self, view: AbstractView, *, surfaces: bool) -> None:
        """Draw a view in turn from now on. surfaces: it is a 3D view."""
        view.set_scheduled_render(Turn(self, view, surfaces))

    def ask(self, turn: Turn) -> None:
        """Have a view drawn."""
        try:
            loop = asyncio.get_running_loop()
        except RuntimeError:  # before the server runs
            turn.draw()
            return
        if not turn.surfaces:
            self._slice_s = time.monotonic()
        if turn not in self._due:
            self._due.append(turn)
        if self._drawing is None:
            self._drawing = loop.create_task(self._draw())

    def after_slices(self, action: Callable[[], None]) -> None:
        """Do something once no slice view waits to be drawn; at once where none does."""
        if self._slices():
            self._after.append(action)
        else:
            action()

    def _slices(self) -> list[Turn]:
        return [turn for turn in self._due if not turn.surfaces]

    async def _draw(self) -> None:
        try:
            while self._due:
                slices = self._slices()
                wait = self._slice_s + SLICES_FIRST_S - time.monotonic()
                if not slices and wait > 0:
                    await asyncio.sleep(wait)
                    continue
                turn = max(slices or self._due, key=Turn.pixels)
                self._due.remove(turn)
                await turn.drawn()
                if slices:
                    self._slice_s = time.monotonic()
                await asyncio.sleep(SENT_S)
                if not self._slices():
                    actions, self._after = self._after, []
                    for action in actions:
                        action()
        finally:
            self._drawing = None


class Turn(ScheduledRenderStrategy):
    """Draws a view as it was drawn before, when its turn comes."""

    def __init__(self, turns: Turns, view: AbstractView, surfaces: bool) -> None:
        super().__init__()
        self._turns, self._view, self.surfaces = turns, view, surfaces
        self._own = view._scheduled_render
        self._ended = asyncio.Event()
        view.render_window().AddObserver("EndEvent", self._end)

    def pixels(self) -> int:
        """How large the view is."""
        width, height = self._view.render_window().GetSize()
        return int(width * height)

    def schedule_render(self) -> None:
        self._turns.ask(self)

    def draw(self) -> None:
        """Draw as soon as the loop comes to it."""
        self._own.schedule_render()

    async def drawn(self) -> None:
        """Draw, and wait until that has happened."""
        self._ended.clear()
        self.draw()
        with contextlib.suppress(asyncio.TimeoutError):  # a view without a page is not drawn
            await asyncio.wait_for(self._ended.wait(), _LATE_S)

    def _end(self, *_event: object) -> None:
        self._ended.set()
