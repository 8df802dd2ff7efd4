"""Hand jobs to workers a few at a time and take what comes back; on dask.distributed, or here."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator, Sequence
from typing import Any, Generic, Protocol, TypeVar

from hideseek_backend.optional import import_optional
from hideseek_lab.cohort.work import Outcome

EXTRA = "pip install 'hideseek-backend[cohort]'"
AHEAD = 2
"""Jobs that wait for each worker: enough that none idles, so few that memory stays flat."""
COUNT_SECONDS = 1.0
DEATHS = 1
"""How often a job may end its worker before it counts as failed."""


class Named(Protocol):
    """Anything with the name of its case."""

    @property
    def case(self) -> str: ...


J = TypeVar("J", bound=Named)


class Engine(Protocol):
    """What carries jobs out."""

    def outcomes(self) -> Iterator[Outcome]:
        """Do the jobs; yield how each ended, as it ends."""

    def running(self) -> tuple[str, ...]:
        """Names of the cases that workers have now; may be asked by another thread."""


class Here(Generic[J]):
    """Does the jobs one after the other in this process."""

    def __init__(self, jobs: Sequence[J], work: Callable[[J], Outcome]) -> None:
        self._jobs = jobs
        self._work = work
        self._now: tuple[str, ...] = ()

    def outcomes(self) -> Iterator[Outcome]:
        """Do the jobs; yield how each ended."""
        for job in self._jobs:
            self._now = (job.case,)
            outcome = self._work(job)
            self._now = ()
            yield outcome

    def running(self) -> tuple[str, ...]:
        """The case at work."""
        return self._now


class OnWorkers(Generic[J]):
    """Does the jobs on a client's workers.

    Never more than AHEAD jobs a worker are known to the scheduler, so that its memory does not grow
    with the cohort. A job that ends its worker is tried DEATHS times more, then fails by name.
    gpu: each job takes one of the GPUs that the workers say they have.
    """

    def __init__(
        self, client: Any, jobs: Sequence[J], work: Callable[[J], Outcome], *, gpu: bool = False
    ) -> None:
        self._client = client
        self._waiting = iter(jobs)
        self._work = work
        self._resources = {"GPU": 1} if gpu else None
        self._names: dict[str, str] = {}
        self._counted = (-math.inf, 0)

    def outcomes(self) -> Iterator[Outcome]:
        """Hand the jobs out; yield how each ended, as it ends."""
        distributed = import_optional("distributed", "A cohort on several workers", EXTRA)
        under_way = distributed.as_completed(self._more())
        for future in under_way:
            case = self._names.pop(future.key)
            error = future.exception()
            if error is None:
                yield future.result()
            else:
                killed = type(error).__name__ == "KilledWorker"
                yield Outcome(case, "failed", "its worker died, twice" if killed else f"{error}")
            future.release()
            for fresh in self._more():
                under_way.add(fresh)

    def running(self) -> tuple[str, ...]:
        """The cases that workers have now."""
        names = dict(self._names)
        keys = [key for own in self._client.processing().values() for key in own]
        return tuple(sorted(names[key] for key in keys if key in names))

    def _more(self) -> list[Any]:
        limit = max(1, self._workers()) * AHEAD
        made = []
        while len(self._names) < limit and (job := next(self._waiting, None)) is not None:
            future = self._client.submit(self._work, job, pure=False, resources=self._resources)
            self._names[future.key] = job.case
            made.append(future)
        return made

    def _workers(self) -> int:
        """How many there are; asked once a second, for the answer describes each of them."""
        asked, count = self._counted
        if time.monotonic() - asked > COUNT_SECONDS:
            count = len(self._client.scheduler_info(n_workers=-1)["workers"])
            self._counted = (time.monotonic(), count)
        return count
