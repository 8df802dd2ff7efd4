"""Progress on standard error: a bar on a terminal, a line now and then elsewhere."""

from __future__ import annotations

import shutil
import sys
import time
from collections.abc import Callable
from types import TracebackType
from typing import TextIO

from hideseek_backend.progress import Eta, Progress

BAR = 24
REDRAW_SECONDS = 0.1
LINE_SECONDS = 10.0


class ProgressBar:
    """Show each step it is called with; use as a context manager so that the bar is cleared."""

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
        self._eta = Eta(clock)

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

    def __call__(self, step: Progress) -> None:
        """Show a step, unless the last one was shown too short a time ago."""
        if self._quiet:
            return
        now = self._clock()
        left = self._eta.seconds_left(step.done, step.total)
        wait = REDRAW_SECONDS if self._tty else LINE_SECONDS
        finished = step.done >= step.total
        if now - self._shown_at < wait and not (self._tty and finished):
            return
        self._shown_at = now
        text = self._text(step, now, left)
        if self._tty:
            width = max(20, shutil.get_terminal_size().columns - 1)
            self._stream.write(f"\r\x1b[K{text[:width]}")
        else:
            self._stream.write(f"{text}\n")
        self._stream.flush()
        self._shown = text

    def _text(self, step: Progress, now: float, left: float | None) -> str:
        share = min(1.0, step.done / step.total) if step.total > 0 else 0.0
        filled = round(BAR * share)
        bar = "█" * filled + "░" * (BAR - filled) if self._tty else ""
        name = f"{step.vertebra}  {step.stage}" if step.vertebra else step.stage
        ends = f"  about {clock_text(left)} left" if left is not None else ""
        return f"{name:<24}{bar}  {share:4.0%}  {clock_text(now - self._start)}{ends}"


def clock_text(seconds: float) -> str:
    """Format a duration as m:ss or h:mm:ss."""
    whole = max(0, round(seconds))
    minutes, rest = divmod(whole, 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02d}:{rest:02d}" if hours else f"{minutes}:{rest:02d}"
