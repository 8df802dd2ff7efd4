"""A run from its jobs to its tables: what is done is left alone, what ends is written down."""

from __future__ import annotations

import logging
import shutil
import threading
import time
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, suppress
from dataclasses import replace
from pathlib import Path

from hideseek_backend.errors import HideSeekError
from hideseek_backend.report.output import STAGING_PREFIX
from hideseek_backend.volumes.writing import check_writable
from hideseek_lab.cohort import ledger
from hideseek_lab.cohort.beside import beside
from hideseek_lab.cohort.engine import Engine
from hideseek_lab.cohort.jobs import Job
from hideseek_lab.cohort.page import State, write_page
from hideseek_lab.cohort.tables import read_results, write_tables
from hideseek_lab.cohort.work import Outcome

_LOG = logging.getLogger(__name__)

PAGE_SECONDS = 5.0
"""How often the page is written anew while a run goes on, whether or not a case has ended."""


def follow(
    run: Path,
    jobs: Sequence[Job],
    engine: Engine,
    *,
    workers: int,
    name: str = "ledger.jsonl",
    report: Callable[[State, Outcome], None] = lambda state, outcome: None,
) -> State:
    """Take outcomes as they come: ledger, page, and at the end the tables; return the last state.

    Stopped or killed, everything that has ended stays written; the tables say what is there.
    """
    check_writable(run)
    _tidy(run / "results")
    started = time.monotonic()
    done = kept = 0
    failed: list[Outcome] = []

    def state(finished: bool = False) -> State:
        seconds = time.monotonic() - started
        return State(len(jobs), done, kept, tuple(failed), seconds, workers, finished)

    try:
        with _page_kept(run, lambda: replace(state(), running=engine.running())):
            for outcome in engine.outcomes():
                if outcome.state == "failed":
                    failed.append(outcome)
                done += outcome.state == "done"
                kept += outcome.state == "kept"
                if outcome.state != "kept":
                    ledger.append(run / name, outcome)
                report(state(), outcome)
    finally:
        collect(run, jobs, state(finished=True))
    return state(finished=True)


def _tidy(results: Path) -> None:
    """Remove what killed workers had begun; younger than a day, it may be another part's."""
    for begun in results.glob(f"{STAGING_PREFIX}*"):
        with suppress(OSError):
            if time.time() - begun.stat().st_mtime > 24 * 3600:
                shutil.rmtree(begun, ignore_errors=True)


def _page_kept(run: Path, state: Callable[[], State]) -> AbstractContextManager[None]:
    """Write the page again and again for as long as the block lasts."""

    def keep(ended: threading.Event) -> None:
        while not ended.is_set():
            try:
                write_page(run, state())
            except (HideSeekError, OSError) as error:  # a page alone must not end a run
                _LOG.warning("the page could not be written: %s", error)
            ended.wait(PAGE_SECONDS)

    return beside(keep)


def collect(run: Path, jobs: Sequence[Job], state: State) -> None:
    """Write tables and page of what the results folder holds."""
    results = read_results(run / "results", jobs)
    write_tables(run, results)
    write_page(run, state, results)
