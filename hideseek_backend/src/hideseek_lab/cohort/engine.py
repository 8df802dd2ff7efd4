"""Hand jobs to workers a few at a time and take what comes back; on dask.distributed, or here."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any, Protocol, TypeVar

from hideseek_backend.optional import import_optional
from hideseek_lab.cohort.work import Outcome

EXTRA = "pip install 'hideseek-backend[cohort]'"
AHEAD = 2
"""Jobs that wait for each worker: enough that none idles, so few that memory stays flat."""
DEATHS = 1
"""How often a job may end its worker before it counts as failed."""


class Named(Protocol):
    """Anything with the name of its case."""

    @property
    def case(self) -> str: ...


J = TypeVar("J", bound=Named)


def run_here(jobs: Sequence[J], work: Callable[[J], Outcome]) -> Iterator[Outcome]:
    """Do the jobs one after the other in this process."""
    for job in jobs:
        yield work(job)


def run_on(
    client: Any, jobs: Sequence[J], work: Callable[[J], Outcome], *, gpu: bool = False
) -> Iterator[Outcome]:
    """Do the jobs on a client's workers and yield their outcomes as they come.

    Never more than AHEAD jobs a worker are known to the scheduler, so that its memory does not grow
    with the cohort. A job that ends its worker is tried DEATHS times more, then fails by name.
    """
    distributed = import_optional("distributed", "A cohort on several workers", EXTRA)
    waiting = iter(jobs)
    names: dict[str, str] = {}
    resources = {"GPU": 1} if gpu else None

    def more() -> list[Any]:
        limit = max(1, len(client.scheduler_info(n_workers=-1)["workers"])) * AHEAD
        made = []
        while len(names) < limit and (job := next(waiting, None)) is not None:
            future = client.submit(work, job, pure=False, resources=resources)
            names[future.key] = job.case
            made.append(future)
        return made

    running = distributed.as_completed(more())
    for future in running:
        case = names.pop(future.key)
        error = future.exception()
        if error is None:
            yield future.result()
        else:
            what = "its worker died, twice" if type(error).__name__ == "KilledWorker" else error
            yield Outcome(case, "failed", f"{what}")
        future.release()
        for fresh in more():
            running.add(fresh)
