"""How fast the processors were while something was timed, and who used them."""

from __future__ import annotations

import os
import random
import statistics
import time
import zlib
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

_SAMPLE = bytes(random.Random(1).choices(range(32), k=1 << 19))
_SAMPLE_MS = 15.0
"""What `sample_ms` is at best on the two shared processors on which a click is to take 150 ms. The
same processors take half as long again for minutes, with nothing else to be seen on them."""


def sample_ms() -> float:
    """Time that a fixed piece of work takes on two processors now."""
    began = time.monotonic()
    with ThreadPoolExecutor(2) as pool:  # zlib lets the other thread run
        list(pool.map(zlib.compress, [_SAMPLE, _SAMPLE]))
    return 1000 * (time.monotonic() - began)


@dataclass(frozen=True)
class Reading:
    """Clicks that were timed. own_ms: the server's processor time a click, with the 3D view.

    slow: how much longer than at best the processors took for a fixed piece of work, at least 1.
    others: share of all processors that went to neither the tests nor their server and browser, the
    host's other machines included; 0 to 1.
    """

    median_ms: float
    worst_ms: float
    own_ms: float
    slow: float
    others: float

    def __str__(self) -> str:
        return (
            f"median {self.median_ms:.0f} ms, worst {self.worst_ms:.0f} ms; "
            f"the server's own time {self.own_ms:.0f} ms; processors {self.slow:.2f} times "
            f"slower than at best, {100 * self.others:.0f} % of them used by others"
        )


@dataclass(frozen=True)
class Processors:
    """Processor time used up to now, in ticks. spent: by anybody; passed: there was in all."""

    spent: int
    passed: int
    ours: int
    server_ms: float

    @classmethod
    def now(cls, server: Any) -> Processors:
        """Look now. server: a `browser_session.Server`."""
        line = Path("/proc/stat").read_text().splitlines()[0]
        ticks = [int(n) for n in line.split()[1:9]]  # of a guest they are in the user's again
        return cls(sum(ticks) - ticks[3] - ticks[4], sum(ticks), _ours(), server.processor_ms())

    def reading(self, later: Processors, times_ms: list[float], samples_ms: list[float]) -> Reading:
        """Tell about clicks that were timed between this and a later look, each after a sample."""
        spent = later.spent - self.spent - (later.ours - self.ours)
        return Reading(
            statistics.median(times_ms),
            max(times_ms),
            (later.server_ms - self.server_ms) / len(times_ms),
            max(1.0, statistics.median(samples_ms) / _SAMPLE_MS),
            max(0.0, spent / max(1, later.passed - self.passed)),
        )


def _ours() -> int:
    """Ticks of this process and all that it started."""
    ticks, parents = {}, {}
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            fields = (folder / "stat").read_text().rpartition(")")[2].split()
        except OSError:  # it ended meanwhile
            continue
        # Its own, and of its children that ended.
        ticks[int(folder.name)] = sum(int(n) for n in fields[11:15])
        parents[int(folder.name)] = int(fields[1])

    def mine(process: int) -> bool:
        while process > 1:
            if process == os.getpid():
                return True
            process = parents.get(process, 0)
        return False

    return sum(n for process, n in ticks.items() if mine(process))
