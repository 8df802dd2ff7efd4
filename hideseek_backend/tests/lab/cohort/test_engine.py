"""The engine on real worker processes: workers that die, disks that fill, a client that is killed.

The cases are sleeps; a thousand of them, with the client killed and started twice more, are slow.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytest.importorskip("distributed", reason="needs the extra cohort")

from hideseek_lab.cohort import clusters, engine, simulate
from hideseek_lab.cohort.simulate import Sleep


def _start(run: Path, *words: str) -> subprocess.Popen[str]:
    command = [sys.executable, "-m", "hideseek_lab.cohort.simulate", "--run", str(run), *words]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)


def _finish(run: Path, *words: str, timeout: float) -> dict[str, Any]:
    process = _start(run, *words)
    said, _ = process.communicate(timeout=timeout)
    assert process.returncode == 0, said
    report: dict[str, Any] = json.loads(said.splitlines()[-1])
    return report


def _kill_after(run: Path, ended: int, *words: str) -> None:
    """Start, and kill the client when so many more jobs have ended."""
    book = run / "ledger.jsonl"

    def lines() -> int:
        return book.read_bytes().count(b"\n") if book.exists() else 0

    goal = lines() + ended
    process = _start(run, *words)
    until = time.monotonic() + 600
    while lines() < goal:
        assert process.poll() is None and time.monotonic() < until
        time.sleep(0.1)
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
    time.sleep(2)  # its workers see that it is gone


def test_no_fault_ends_a_run(tmp_path: Path) -> None:
    faults = ["dies-once", "dies-always", "corrupt", "disk-full-once", *[""] * 20]
    jobs = [Sleep(f"c{n}", 0.02, fault) for n, fault in enumerate(faults)]
    first = simulate.simulate(tmp_path, jobs, 2)
    assert (first["done"], first["failed"], first["lost"], first["twice"]) == (21, 3, 0, 0)
    reasons = {
        line["case"]: line["reason"]
        for line in simulate.ledger.read([tmp_path / "ledger.jsonl"])
        if line["state"] == "failed"
    }
    assert "worker died" in reasons["c1"] and "cut short" in reasons["c2"]
    assert "No room left" in reasons["c3"]
    again = simulate.simulate(tmp_path, jobs, 2)
    assert (again["done"], again["failed"], again["lost"], again["twice"]) == (22, 2, 0, 0)


def test_a_worker_that_was_given_up_is_started_anew(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its supervisor ended, as where no process could be started: nothing else revives it."""
    monkeypatch.setattr(clusters, "REVIVE_SECONDS", 0.2)
    jobs = [Sleep(f"b{n}", 0.02) for n in range(5)]
    with clusters.local_client(1) as client:
        (nanny,) = client.cluster.workers.values()
        client.cluster.sync(nanny.close)
        doing = engine.OnWorkers(client, jobs, simulate.partial(simulate.work, run=tmp_path))
        assert [outcome.state for outcome in doing.outcomes()] == ["done"] * 5
        assert nanny not in client.cluster.workers.values()


def test_a_worker_that_starts_again_slowly_keeps_the_case_it_is_given(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What made it fail: given up while it started, it was ended with its next case."""
    monkeypatch.setattr(clusters, "LOST_AFTER", "1ms")  # as a machine too busy for any limit
    monkeypatch.setattr(clusters, "REVIVE_SECONDS", 0.05)
    jobs = [Sleep("a", 0.02, "dies-once"), *(Sleep(f"b{n}", 0.02) for n in range(4))]
    report = simulate.simulate(tmp_path, jobs, 1)
    assert (report["done"], report["failed"]) == (5, 0)


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_a_thousand_cases_with_faults_and_a_client_killed_twice(tmp_path: Path) -> None:
    words = ("--cases", "1000", "--faults", "0.05", "--seconds", "0.1", "--workers", "2")
    _kill_after(tmp_path, 300, *words)
    _kill_after(tmp_path, 300, *words)
    report = _finish(tmp_path, *words, timeout=600)
    assert report["lost"] == 0 and report["twice"] == 0
    always = sum(
        job.fault in ("dies-always", "corrupt") for job in simulate.make_cases(1000, 0.05, 0.1)
    )
    assert report["done"] >= 1000 - always - 30 and report["done"] + report["failed"] == 1000
    early, late = report["memory_mb"]
    assert late < early + 30
    assert report["scheduler_ms"] < 100


def test_a_cohort_is_reckoned_from_a_ledger() -> None:
    costs = simulate.Costs(scan_mb=360, result_mb=0.5, disk_mb_s=120, scheduler_ms=10)
    said = simulate.plan(20_000, np.array([30.0, 90.0]), costs)
    assert "20000 spines, 2 measured: 60.0 s a case" in said
    assert "core-hours 333 (95 % 167 to 500)" in said
    assert "results 10.0 GB, scans read 7.20 TB" in said
    # 6 MB/s a worker of 120; a case in a minute where the scheduler could do a hundred a second.
    assert "(120 MB/s) is full at 20 workers" in said
    assert "(10 ms a case) is full at 6000 workers" in said
    assert said.endswith("first bottleneck: the disk of the scans (120 MB/s)")


def test_simulated_times_are_spread_as_the_measured_ones() -> None:
    jobs = simulate.make_cases(2000, 0.0, 0.1, measured=np.array([30.0, 90.0]))
    assert {round(job.seconds, 6) for job in jobs} == {0.05, 0.15}
    assert abs(np.mean([job.seconds for job in jobs]) - 0.1) < 0.005
