"""A progress line on stderr for work that takes more than a second."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable


def progress_line(what: str) -> Callable[[int, int], None]:
    """Return a function (done, total) that keeps one line current.

    On a terminal the line is rewritten; elsewhere it is written once a minute and at the end.
    """
    start = last = time.monotonic()

    def show(done: int, total: int) -> None:
        nonlocal last
        now = time.monotonic()
        terminal = sys.stderr.isatty()
        if done < total and now - last < (0.2 if terminal else 60.0):
            return
        if done >= total and now - start < 1.0:
            return
        last = now
        left = (now - start) / max(done, 1) * (total - done)
        text = f"{what}: {done}/{total}, {now - start:.0f} s, about {left:.0f} s left"
        end = "" if terminal and done < total else "\n"
        sys.stderr.write(f"\r{text:<78}{end}" if terminal else f"{text}\n")
        sys.stderr.flush()

    return show
