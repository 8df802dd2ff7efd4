"""What the panel asks to be computed: one screening or one analysis, and how far it is."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import Enum
from typing import Any


class JobState(str, Enum):
    """How far a job is: MODEL while the backend starts and loads its model."""

    WAITING = "waiting"
    MODEL = "model"
    CUTTING = "cutting"
    RUNNING = "running"
    DONE = "done"
    FAILED = "failed"
    CANCELLED = "cancelled"


@dataclass(frozen=True)
class Inputs:
    """The nodes of a case and what the user corrected about them."""

    ct: Any
    vertebrae: Any = None
    bodies: Any = None
    overrides: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class PickedBody:
    """An approximate body around a click: segment `segment_id` of `node` stands for `level`."""

    node: Any
    segment_id: str
    level: str


@dataclass
class Job:
    """One screening or one analysis.

    kind: "screen" or "segment". polarity: level -> "auto", "lytic", "blastic" or "both".
    """

    kind: str
    inputs: Inputs
    levels: tuple[str, ...]
    polarity: Mapping[str, str] = field(default_factory=dict)
    options: Mapping[str, Any] = field(default_factory=dict)
    body: PickedBody | None = None
    state: JobState = JobState.WAITING
    case: Any = None
    finished: list[str] = field(default_factory=list)
    vertebra: str = ""
    stage: str = ""
    sent: int = 0  # vertebrae in the request that runs
    before: int = 0  # vertebrae finished before that request
    request_share: float = 0.0  # how far that request is, 0 to 1
    request_seconds_left: float | None = None
    started: float = 0.0
    problem: str = ""
    ct_id: str = ""

    def ended(self) -> bool:
        """Return whether it is over, in whichever way."""
        return self.state in (JobState.DONE, JobState.FAILED, JobState.CANCELLED)

    def progress(self) -> float:
        """Return the finished part of the job, 0 to 1."""
        done = max(len(self.finished), self.before + self.sent * self.request_share)
        return min(1.0, done / max(1, len(self.levels)))

    def vertebra_share(self) -> float:
        """Return how far the vertebra at work is, 0 to 1."""
        share = self.before + self.sent * self.request_share - len(self.finished)
        return min(1.0, max(0.0, share))

    def seconds_left(self, now: float) -> float | None:
        """Return the estimated seconds to the end, None while there is nothing to judge by."""
        if self.before + self.sent == len(self.levels) and self.request_seconds_left is not None:
            return max(0.0, self.request_seconds_left)
        done = self.progress()
        if done < 0.02 or not self.started:
            return None
        return (now - self.started) * (1.0 - done) / done
