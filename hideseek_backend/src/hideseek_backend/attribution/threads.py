"""Several pieces of work side by side on torch's threads, which share the weights."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

import torch

T = TypeVar("T")
R = TypeVar("R")


def side_by_side(work: Callable[[T], R], pieces: Sequence[T], threads: int) -> list[R]:
    """Return work(piece) of each piece, in order; `threads` of torch's are shared out among them.

    One small piece gains little from a second thread, and two pieces on a thread each are nearly
    twice as fast. Threads and not processes: torch lets go of Python's lock while it computes, and
    nothing has to be copied. What a piece raises is raised here, once the others have ended.
    """
    workers = min(threads, len(pieces))
    if workers < 2:
        return [work(piece) for piece in pieces]
    each = max(1, threads // workers)
    try:
        with ThreadPoolExecutor(workers, initializer=lambda: torch.set_num_threads(each)) as pool:
            return list(pool.map(work, pieces))
    finally:
        # What a new thread starts with is the process's, and the pool has changed it.
        torch.set_num_threads(threads)
