"""Timers and shortcuts, made in one way."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import qt


def single_shot(milliseconds: int, action: Callable[[], Any]) -> Any:
    """Return a timer that runs `action` once after each `start()`.

    One that is kept: Slicer's own QTimer.singleShot leaves a timer and its closure behind at
    every call.
    """
    timer = qt.QTimer()
    timer.setSingleShot(True)
    timer.setInterval(milliseconds)
    timer.connect("timeout()", action)
    return timer


def shortcut(keys: str, parent: Any, action: Callable[[], Any]) -> Any:
    """Return a shortcut that works while the focus is within `parent`."""
    made = qt.QShortcut(qt.QKeySequence(keys), parent)
    made.setContext(qt.Qt.WidgetWithChildrenShortcut)
    made.connect("activated()", action)
    return made
