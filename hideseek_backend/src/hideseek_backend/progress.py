"""Progress reports and cancellation, between one network call and the next."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass

from hideseek_backend.errors import Cancelled


@dataclass(frozen=True)
class Progress:
    """Say how far a job has come.

    stage: "screen", "edit", "score" or "volumes", of an export "read" or "write". vertebra: its
    level, or None for the whole case.
    done, total: units of work; only their ratio has a meaning.
    """

    stage: str
    vertebra: str | None
    done: int
    total: int


ProgressCallback = Callable[[Progress], None]
CancelledCallback = Callable[[], bool]

PERCENT = 100


class Meter:
    """Turn network steps into `Progress` of one vertebra, and stop when the user wants to.

    One vertebra is 100 units. A phase is given its share of them and the steps that it expects;
    a phase that takes more steps than expected stays at its end. Several threads may count.
    """

    def __init__(
        self,
        progress: ProgressCallback | None = None,
        cancelled: CancelledCallback | None = None,
        vertebra: str | None = None,
    ) -> None:
        self._progress = progress
        self._cancelled = cancelled
        self._vertebra = vertebra
        self._stage = ""
        self._first, self._last = 0, 0
        self._steps, self._expected = 0, 1
        self._reported: tuple[str, int] | None = None
        self._lock = threading.Lock()

    def phase(self, stage: str, last: int, expected_steps: int) -> None:
        """Start a phase that runs from where the meter stands to `last` (0 to 100)."""
        self._first, self._last = self._last, last
        self._stage = stage
        self._steps, self._expected = 0, max(1, expected_steps)
        self.step(0)

    def step(self, steps: int = 1) -> None:
        """Count network steps.

        Raises Cancelled when the user has asked to stop.
        """
        self.check()
        with self._lock:
            self._steps += steps
            share = min(1.0, self._steps / self._expected)
            done = self._first + int(share * (self._last - self._first))
            if self._progress is not None and self._reported != (self._stage, done):
                self._reported = (self._stage, done)
                self._progress(Progress(self._stage, self._vertebra, done, PERCENT))

    def check(self) -> None:
        """Raise Cancelled when the user has asked to stop."""
        if self._cancelled is not None and self._cancelled():
            raise Cancelled()


def within_case(progress: ProgressCallback | None, index: int, count: int) -> ProgressCallback:
    """Map the progress of vertebra `index` of `count` to progress of the whole case."""

    def report(part: Progress) -> None:
        if progress is not None:
            done = index * PERCENT + part.done * PERCENT // max(1, part.total)
            progress(Progress(part.stage, part.vertebra, done, count * PERCENT))

    return report


SETTLE_SECONDS = 0.5


class Eta:
    """Time left, from how fast the work has gone since it, or another count, began."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._total = -1
        self._last = 0
        self._first = (clock(), 0)

    def seconds_left(self, done: int, total: int) -> float | None:
        """Take note of how far the work is; return the seconds left, None while nothing is known.

        A new total, or less done than before, is a new count.
        """
        now = self._clock()
        if (self._total not in (-1, total)) or done < self._last:
            self._first = (now, done)
        self._total, self._last = total, done
        since, done_then = self._first
        moved = done - done_then
        if moved <= 0 or now - since < SETTLE_SECONDS:
            return None
        return (now - since) / moved * max(0, total - done)
