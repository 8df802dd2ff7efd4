"""Try the engine without scans: cases are sleeps, some of which fail as real ones do.

    python -m hideseek_lab.cohort.simulate --run DIR --cases 1000 --faults 0.05
    python -m hideseek_lab.cohort.simulate --plan 20000 --ledger runs/cohort/ledger.jsonl

The first does the cases (again: only those that are missing or failed) and prints what became of
them; with --ledger their times are spread as those of a real run, shortened to the mean --seconds.
The second reckons a cohort from the times of a real run's ledger. Results, ledger, proof of
what is done and the engine are the real ones; only the analysis is a stand-in.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import signal
import sys
import time
from collections import Counter
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path

import numpy as np

from hideseek_backend.errors import HideSeekError, InputError, OutputError
from hideseek_backend.report.output import OutputFolder
from hideseek_lab.cohort import clusters, engine, ledger
from hideseek_lab.cohort.jobs import RECORD, is_done
from hideseek_lab.cohort.work import Outcome

FAULTS = ("dies-once", "dies-always", "corrupt", "disk-full-once")
PROOF = {"model": "none", "options": {}, "inputs": {}}


@dataclass(frozen=True)
class Sleep:
    """A case that takes so long and fails in its own way, "" for not at all."""

    case: str
    seconds: float
    fault: str = ""


def make_cases(
    count: int,
    faults: float,
    seconds: float,
    seed: int = 0,
    measured: np.ndarray | None = None,
) -> list[Sleep]:
    """Draw cases of so many seconds in the mean, faults evenly among FAULTS.

    measured: times of real cases, (N,), to draw from; log-normal ones without.
    """
    rng = np.random.default_rng(seed)
    spread = rng.lognormal(-0.125, 0.5, count)
    if measured is not None:
        spread = rng.choice(measured / measured.mean(), count)
    times = seconds * spread
    drawn = np.where(rng.random(count) < faults, rng.integers(len(FAULTS), size=count), -1)
    names = [FAULTS[k] if k >= 0 else "" for k in drawn]
    return [Sleep(f"case{n:05d}", float(times[n]), names[n]) for n in range(count)]


def work(job: Sleep, run: Path) -> Outcome:
    """Sleep, fail or write a result, as `work.analyse` does with a scan."""
    started = time.monotonic()
    target = run / "results" / job.case
    if is_done(target, PROOF):
        return Outcome(job.case, "kept")
    before = run / "faults" / job.case
    first = not before.exists()
    time.sleep(job.seconds)
    try:
        if job.fault:
            before.parent.mkdir(parents=True, exist_ok=True)
            before.touch()
        if job.fault == "dies-always" or (job.fault == "dies-once" and first):
            os.kill(os.getpid(), signal.SIGKILL)
        if job.fault == "corrupt":
            raise InputError(f"Expected a readable image in {job.case}, but it is cut short.")
        with OutputFolder(target, overwrite=True) as folder:
            if job.fault == "disk-full-once" and first:
                raise OutputError(f"No room left on the disk of {job.case}.")
            record = {"case": job.case, "proof": PROOF, "seconds": job.seconds}
            (folder.staging / RECORD).write_text(json.dumps(record))
    except HideSeekError as error:
        return Outcome(job.case, "failed", str(error), time.monotonic() - started)
    return Outcome(job.case, "done", "", time.monotonic() - started, str(os.getpid()))


def simulate(run: Path, jobs: list[Sleep], workers: int) -> dict[str, object]:
    """Do the jobs that are not done; return counts, overhead and what the scheduler needs.

    memory_mb: largest resident size of this process, which holds the scheduler, after a tenth of
    the cases and at the end. scheduler_ms: processor time of this process for a case in between.
    """
    run.mkdir(parents=True, exist_ok=True)
    memory: list[float] = []
    processor: list[float] = []
    early = max(1, len(jobs) // 10)
    slept = 0.0
    seconds_of = {job.case: job.seconds for job in jobs}
    with clusters.local_client(workers) as client:
        started = time.monotonic()
        doing = engine.OnWorkers(client, jobs, partial(work, run=run))
        for number, outcome in enumerate(doing.outcomes(), 1):
            if outcome.state != "kept":
                ledger.append(run / "ledger.jsonl", outcome)
                slept += seconds_of[outcome.case]
            if number in (early, len(jobs)):
                memory.append(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024)
                processor.append(time.process_time())
        seconds = time.monotonic() - started
    each = (processor[-1] - processor[0]) / max(1, len(jobs) - early)
    return {**tally(run, jobs), "seconds": round(seconds, 1),
            "overhead": round(1 - slept / (seconds * workers), 4) if slept else None,
            "memory_mb": [round(m) for m in memory],
            "scheduler_ms": round(1000 * each, 2)}  # fmt: skip


def tally(run: Path, jobs: list[Sleep]) -> dict[str, object]:
    """What became of all cases, over every start of this run.

    lost: neither done nor failed by name. twice: done more than once.
    """
    lines = ledger.read([run / "ledger.jsonl"]) if (run / "ledger.jsonl").exists() else []
    done = Counter(line["case"] for line in lines if line["state"] == "done")
    named = {line["case"] for line in lines if line["state"] == "failed" and line["reason"]}
    there = {job.case for job in jobs if is_done(run / "results" / job.case, PROOF)}
    return {
        "cases": len(jobs),
        "done": len(there),
        "failed": len(named - there),
        "lost": sum(job.case not in there | named for job in jobs),
        "twice": sum(count > 1 for count in done.values()),
    }


@dataclass(frozen=True)
class Costs:
    """What a case needs beside its computing: MB read and written, the scheduler's milliseconds.

    disk_mb_s: what the disk or network that holds the scans gives to all workers together.
    """

    scan_mb: float = 370.0
    result_mb: float = 1.0
    disk_mb_s: float = 120.0
    scheduler_ms: float = 10.0


def plan(count: int, seconds: np.ndarray, costs: Costs) -> str:
    """Reckon a cohort of `count` spines from measured seconds a case on one core.

    The interval is a bootstrap over the measured cases: it says how well so few tell the mean, and
    nothing of whether they are like the cohort.
    """
    rng = np.random.default_rng(0)
    mean = float(seconds.mean())
    means = rng.choice(seconds, (2000, len(seconds))).mean(axis=1)
    low, high = count * np.percentile(means, (2.5, 97.5)) / 3600
    hours = count * mean / 3600
    read = costs.scan_mb / mean
    limits = {
        f"the disk of the scans ({costs.disk_mb_s:g} MB/s)": costs.disk_mb_s / read,
        f"the scheduler ({costs.scheduler_ms:g} ms a case)": 1000 * mean / costs.scheduler_ms,
    }
    lines = [
        f"{count} spines, {len(seconds)} measured: {mean:.1f} s a case on one core",
        f"core-hours {hours:.0f} (95 % {low:.0f} to {high:.0f})",
        f"results {count * costs.result_mb / 1000:.1f} GB, "
        f"scans read {count * costs.scan_mb / 1e6:.2f} TB",
    ]
    for workers in (1, 4, 16, 64, 256):
        pace = f"{hours / workers:8.1f} h, scans read at {workers * read:.0f} MB/s"
        lines.append(f"{workers:>5} workers: {pace}")
    lines += [f"{what} is full at {int(most)} workers" for what, most in limits.items()]
    lines.append(f"first bottleneck: {min(limits, key=lambda what: limits[what])}")
    return "\n".join(lines)


def main(argv: list[str] | None = None) -> int:
    """Run the simulation or the reckoning; 1 where a case was lost or done twice."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--run", type=Path)
    parser.add_argument("--cases", type=int, default=1000)
    parser.add_argument("--faults", type=float, default=0.05)
    parser.add_argument("--seconds", type=float, default=0.1, help="a case, in the mean")
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--plan", type=int, metavar="N", help="reckon N spines from --ledger")
    parser.add_argument("--ledger", type=Path)
    for name, default in asdict(Costs()).items():
        parser.add_argument(f"--{name.replace('_', '-')}", type=float, default=default)
    args = parser.parse_args(argv)
    measured = _times(args.ledger) if args.ledger else None
    if args.plan:
        if measured is None:
            parser.error("--plan needs the --ledger of a run")
        costs = Costs(**{name: getattr(args, name) for name in asdict(Costs())})
        sys.stdout.write(plan(args.plan, measured, costs) + "\n")
        return 0
    if args.run is None:
        parser.error("--run is needed")
    jobs = make_cases(args.cases, args.faults, args.seconds, measured=measured)
    report = simulate(args.run, jobs, args.workers)
    sys.stdout.write(json.dumps(report) + "\n")
    return int(bool(report["lost"] or report["twice"]))


def _times(path: Path) -> np.ndarray:
    """Seconds of the cases that a ledger has as done."""
    lines = ledger.read([path])
    return np.array([float(line["seconds"]) for line in lines if line["state"] == "done"])


if __name__ == "__main__":
    sys.exit(main())
