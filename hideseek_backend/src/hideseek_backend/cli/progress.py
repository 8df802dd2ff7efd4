"""Progress on standard error: a bar on a terminal, a line now and then elsewhere."""

from __future__ import annotations

import shutil
import sys
import time
from collections.abc import Callable
from types import TracebackType
from typing import Protocol, TextIO

BAR = 24
REDRAW_SECONDS = 0.1
LINE_SECONDS = 10.0


class Step(Protocol):
    """A report of progress: what is done to which vertebra, and how far it is."""

    @property
    def stage(self) -> str: ...
    @property
    def vertebra(self) -> str | None: ...
    @property
    def done(self) -> int: ...
    @property
    def total(self) -> int: ...


class ProgressBar:
    """Show each Step it is called with; use as a context manager so that the bar is cleared."""

    def __init__(
        self,
        stream: TextIO | None = None,
        *,
        quiet: bool = False,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._stream = stream if stream is not None else sys.stderr
        self._clock = clock
        self._quiet = quiet
        self._tty = self._stream.isatty()
        self._start = clock()
        self._shown_at = float("-inf")
        self._shown = ""
        self._total = -1
        self._first = (0.0, 0)
        self._last = 0

    def __enter__(self) -> ProgressBar:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._tty and self._shown:
            self._stream.write("\r\x1b[K")
            self._stream.flush()

    def __call__(self, step: Step) -> None:
        """Show a step, unless the last one was shown too short a time ago."""
        if self._quiet:
            return
        now = self._clock()
        if step.total != self._total or step.done < self._last:  # another count has begun
            self._total = step.total
            self._first = (now, step.done)
        self._last = step.done
        wait = REDRAW_SECONDS if self._tty else LINE_SECONDS
        finished = step.done >= step.total
        if now - self._shown_at < wait and not (self._tty and finished):
            return
        self._shown_at = now
        text = self._text(step, now)
        if self._tty:
            width = max(20, shutil.get_terminal_size().columns - 1)
            self._stream.write(f"\r\x1b[K{text[:width]}")
        else:
            self._stream.write(f"{text}\n")
        self._stream.flush()
        self._shown = text

    def _text(self, step: Step, now: float) -> str:
        share = min(1.0, step.done / step.total) if step.total > 0 else 0.0
        filled = round(BAR * share)
        bar = "█" * filled + "░" * (BAR - filled) if self._tty else ""
        name = f"{step.vertebra}  {step.stage}" if step.vertebra else step.stage
        left = self._seconds_left(step, now)
        ends = f"  about {clock_text(left)} left" if left is not None else ""
        return f"{name:<24}{bar}  {share:4.0%}  {clock_text(now - self._start)}{ends}"

    def _seconds_left(self, step: Step, now: float) -> float | None:
        since, done_then = self._first
        moved = step.done - done_then
        if moved <= 0 or now - since < 1.0:
            return None
        return (now - since) / moved * max(0, step.total - step.done)


def clock_text(seconds: float) -> str:
    """Format a duration as m:ss or h:mm:ss."""
    whole = max(0, round(seconds))
    minutes, rest = divmod(whole, 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02d}:{rest:02d}" if hours else f"{minutes}:{rest:02d}"
