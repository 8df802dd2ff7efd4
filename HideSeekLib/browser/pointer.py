"""The left button in a slice view: picks a vertebra, draws a region, or is the view's own."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from HideSeekLib.anatomy import click
from HideSeekLib.browser.reviewer import Reviewer

PRIORITY = 10.0  # before the slice view's own use of a press


class Pointer:
    """Listens to one slice view. act: carries out an action and shows what it changed."""

    def __init__(
        self, view: Any, reviewer: Reviewer, act: Callable[[Callable[[], None]], None]
    ) -> None:
        self._view, self._reviewer, self._act = view, reviewer, act
        self._down = False
        self._interactor = view.interactor()
        self._tags: dict[str, int] = {}
        for event, method in (
            ("LeftButtonPressEvent", self._pressed),
            ("MouseMoveEvent", self._moved),
            ("LeftButtonReleaseEvent", self._released),
        ):
            self._tags[event] = self._interactor.AddObserver(event, method, PRIORITY)

    def _pressed(self, _caller: Any, event: str) -> None:
        if self._reviewer.picking:
            self._take(event)
            self._act(lambda: self._reviewer.clicked(self._place()))
        elif self._reviewer.regions.drawing:
            self._take(event)
            self._down = True
            self._draw()

    def _moved(self, _caller: Any, event: str) -> None:
        if self._down and self._reviewer.regions.drawing:
            self._take(event)
            self._draw()

    def _released(self, _caller: Any, event: str) -> None:
        if self._down:
            self._down = False
            self._take(event)

    def _draw(self) -> None:
        self._act(lambda: self._reviewer.regions.at(self._place()))

    def _place(self) -> tuple[float, float, float]:
        """World RAS (mm) under the pointer."""
        place = self._interactor.GetEventPosition()
        return click.click_to_ras(self._view, self._view.get_view_node(), place)

    def _take(self, event: str) -> None:
        """Keep an event from the view."""
        command = self._interactor.GetCommand(self._tags[event])
        if command is not None:
            command.SetAbortFlag(1)
