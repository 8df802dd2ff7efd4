"""A run from its jobs to its tables: what is done is left alone, what ends is written down."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path

from hideseek_backend.volumes.writing import check_writable
from hideseek_lab.cohort import ledger
from hideseek_lab.cohort.jobs import Job
from hideseek_lab.cohort.page import State, write_page
from hideseek_lab.cohort.tables import read_results, write_tables
from hideseek_lab.cohort.work import Outcome

PAGE_SECONDS = 5.0
"""How often the page is written anew while a run goes on."""


def follow(
    run: Path,
    jobs: Sequence[Job],
    outcomes: Iterable[Outcome],
    *,
    workers: int,
    name: str = "ledger.jsonl",
    report: Callable[[State, Outcome], None] = lambda state, outcome: None,
) -> State:
    """Take outcomes as they come: ledger, page, and at the end the tables; return the last state.

    Stopped or killed, everything that has ended stays written; the tables say what is there.
    """
    check_writable(run)
    started = time.monotonic()
    done = kept = 0
    failed: list[Outcome] = []

    def state(finished: bool = False) -> State:
        seconds = time.monotonic() - started
        return State(len(jobs), done, kept, tuple(failed), seconds, workers, finished)

    written = 0.0
    try:
        for outcome in outcomes:
            if outcome.state == "failed":
                failed.append(outcome)
            done += outcome.state == "done"
            kept += outcome.state == "kept"
            if outcome.state != "kept":
                ledger.append(run / name, outcome)
            report(state(), outcome)
            if time.monotonic() - written > PAGE_SECONDS:
                write_page(run, state())
                written = time.monotonic()
    finally:
        collect(run, jobs, state(finished=True))
    return state(finished=True)


def collect(run: Path, jobs: Sequence[Job], state: State) -> None:
    """Write tables and page of what the results folder holds."""
    results = read_results(run / "results", jobs)
    write_tables(run, results)
    write_page(run, state, results)
