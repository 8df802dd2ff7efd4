"""What a second worker brings, and what the engine costs, on real runs over phantoms."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import Any

from hideseek_backend.errors import InputError
from hideseek_backend.files import whole_folder
from hideseek_backend.phantom import make_phantom, write_phantom
from hideseek_lab.cohort import clusters, engine, ledger
from hideseek_lab.cohort.jobs import Job, find_jobs
from hideseek_lab.cohort.page import State
from hideseek_lab.cohort.run import follow
from hideseek_lab.cohort.work import Outcome, Task, analyse

FIRST_SEED = 2_200_501
"""Of the phantoms: of those for validation, which no figure of accuracy is told of."""
SCHEME = "verse"


@dataclass(frozen=True)
class Figures:
    """Seconds of whole runs, from the first process to the last table.

    one, two: with the engine and so many workers. bare_one, bare_two: as many processes that share
    the cases beforehand (`--part`), without an engine. work: what the cases of `one` took in all.
    span: of `one`, from the start of its first case to the end of its last.
    """

    cases: int
    threads: int
    one: float
    two: float
    bare_one: float
    bare_two: float
    work: float
    span: float

    @property
    def gain(self) -> float:
        """Throughput of two workers in that of one."""
        return self.one / self.two

    @property
    def bare_gain(self) -> float:
        """The same of bare processes: what the machine has to give."""
        return self.bare_one / self.bare_two

    @property
    def overhead(self) -> float:
        """Time between the cases of one worker, as a share of the work: what each case costs."""
        return (self.span - self.work) / self.work

    @property
    def once(self) -> float:
        """Seconds of a run before its first case and after its last: workers, tables, page."""
        return self.one - self.span

    def to_dict(self) -> dict[str, Any]:
        """All figures by name."""
        ratios = {name: getattr(self, name) for name in ("gain", "bare_gain", "overhead", "once")}
        return {k: round(v, 4) for k, v in {**asdict(self), **ratios}.items()}

    def __str__(self) -> str:
        return "\n".join(
            (
                f"{self.cases} phantom spines, {self.threads} thread a worker; seconds, whole runs",
                f"engine:         one worker {self.one:.1f}, two {self.two:.1f}: "
                f"{self.gain:.2f} times",
                f"bare processes: one {self.bare_one:.1f}, two {self.bare_two:.1f}: "
                f"{self.bare_gain:.2f} times",
                f"engine, one worker: {self.work:.1f} s in cases, {self.overhead:.2%} between "
                f"them, {self.once:.1f} s once a run (workers, tables, page)",
            )
        )


def make_cases(folder: Path, count: int) -> Path:
    """Make phantoms, one folder each, that are not there yet; return the folder."""
    for seed in range(FIRST_SEED, FIRST_SEED + count):
        if not (folder / f"phantom-{seed}").exists():
            with whole_folder(folder / f"phantom-{seed}") as part:
                write_phantom(make_phantom(seed), part)
    return folder


def measure(cases: Path, out: Path, options: Mapping[str, Any], words: tuple[str, ...]) -> Figures:
    """Run all cases four times, each in a new folder below `out`.

    options: of the method, by name. words: the same for the command.
    Raises InputError where a case failed.
    """
    jobs = find_jobs(cases, SCHEME)
    one, work, span, threads = _engine(jobs, out / "one", options, 1)
    two, *_ = _engine(jobs, out / "two", options, 2)
    bare = [_bare(cases, out / f"bare-{n}", words, n) for n in (1, 2)]
    return Figures(len(jobs), threads, one, two, bare[0], bare[1], work, span)


def _engine(
    jobs: list[Job], run: Path, options: Mapping[str, Any], workers: int
) -> tuple[float, float, float, int]:
    """Seconds of the run and of its cases, from first to last, and a worker's threads."""
    _check_new(run)
    ends: list[tuple[float, float]] = []

    def note(_state: State, outcome: Outcome) -> None:
        ends.append((time.monotonic(), outcome.seconds))

    started = time.monotonic()
    task = Task(str(run / "results"), "bundled", "cpu", options)
    with clusters.local_client(workers) as client:
        doing = engine.OnWorkers(client, jobs, partial(analyse, task=task))
        state = follow(run, jobs, doing, workers=workers, report=note)
        seconds = time.monotonic() - started
        threads = max(client.run(_threads).values())
    _check_done(run, state.done, len(jobs))
    first = min(end - took for end, took in ends)
    return seconds, sum(took for _, took in ends), ends[-1][0] - first, threads


def _bare(cases: Path, run: Path, words: tuple[str, ...], count: int) -> float:
    """Seconds until the last of `count` processes has done its part."""
    _check_new(run)
    command = [sys.executable, "-m", "hideseek_backend.cli", "cohort", str(cases)]
    command += ["--run", str(run), "--device", "cpu", "--quiet", "--labels", SCHEME, *words]
    environment = os.environ | {"OMP_NUM_THREADS": "1"}
    started = time.monotonic()
    processes = [
        subprocess.Popen(
            [*command, "--part", f"{n}/{count}"], env=environment, stdout=subprocess.DEVNULL
        )
        for n in range(1, count + 1)
    ]
    codes = [process.wait() for process in processes]
    if any(codes):
        raise InputError("Expected every case to be done, but some failed.", f"See {run}.")
    return time.monotonic() - started


def _threads() -> int:
    """How many threads torch computes with in this process."""
    import torch

    return int(torch.get_num_threads())


def _check_new(run: Path) -> None:
    if run.exists():
        raise InputError(f"Expected no folder {run}: what is done is not done again.", "Remove it.")


def _check_done(run: Path, done: int, count: int) -> None:
    if done != count:
        failed = [x for x in ledger.read([run / "ledger.jsonl"]) if x["state"] == "failed"]
        raise InputError(
            f"Expected {count} cases to be done, got {done}.",
            json.dumps(failed[:1]) or f"See {run}",
        )
