"""Who used the processors while something was timed: the tests, or others."""

from __future__ import annotations

import os
import statistics
from dataclasses import dataclass
from pathlib import Path
from typing import Any


@dataclass(frozen=True)
class Reading:
    """Clicks that were timed. own_ms: the server's processor time a click, with the 3D view.

    others: share of all processors that went to neither the tests nor their server and browser, the
    host's other machines included; 0 to 1.
    """

    median_ms: float
    worst_ms: float
    own_ms: float
    others: float

    def __str__(self) -> str:
        return (
            f"median {self.median_ms:.0f} ms, worst {self.worst_ms:.0f} ms; the server's own time "
            f"{self.own_ms:.0f} ms; {100 * self.others:.0f} % of the processors used by others"
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

    def reading(self, later: Processors, times_ms: list[float]) -> Reading:
        """Tell about clicks that were timed between this and a later look."""
        spent = later.spent - self.spent - (later.ours - self.ours)
        return Reading(
            statistics.median(times_ms),
            max(times_ms),
            (later.server_ms - self.server_ms) / len(times_ms),
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
