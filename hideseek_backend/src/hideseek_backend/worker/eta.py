"""Time left of a job, and how often to speak of it."""

from __future__ import annotations

import time
from collections.abc import Callable

SETTLE_SECONDS = 0.5
EVERY_SECONDS = 0.1


class Eta:
    """Estimate the seconds left from the share that is done."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._start = clock()
        self._spoken = float("-inf")

    def seconds_left(self, done: int, total: int) -> float | None:
        """Return the seconds left, or None as long as nothing can be said."""
        elapsed = self._clock() - self._start
        if done <= 0 or total <= 0 or elapsed < SETTLE_SECONDS:
            return None
        return round(elapsed / done * max(0, total - done), 1)

    def due(self, *, finished: bool) -> bool:
        """Tell whether to speak now: the last time is long enough ago, or the work is finished."""
        now = self._clock()
        if not finished and now - self._spoken < EVERY_SECONDS:
            return False
        self._spoken = now
        return True
