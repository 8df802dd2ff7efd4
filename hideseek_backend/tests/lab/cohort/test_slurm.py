"""A cohort on a real Slurm of one node, started here where its programs are installed."""

from __future__ import annotations

import os
import shlex
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import AbstractContextManager
from functools import partial
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("dask_jobqueue", reason="needs the extra cohort")

from hideseek_backend.cli import main
from hideseek_lab.cohort import clusters, engine, ledger, simulate
from hideseek_lab.cohort.simulate import Sleep

DOCS = Path(__file__).parents[4] / "docs" / "cohorts.md"
pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]
CONFIGURATION = """ClusterName=hideseek
SlurmctldHost={host}(127.0.0.1)
AuthType=auth/munge
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
SelectType=select/cons_tres
SelectTypeParameters=CR_Core
ReturnToService=2
SlurmUser=root
SlurmdUser=root
SlurmctldPort={first}
SlurmdPort={second}
StateSaveLocation={work}/state
SlurmdSpoolDir={work}/spool
SlurmctldPidFile={work}/ctld.pid
SlurmdPidFile={work}/d.pid
SlurmctldLogFile={work}/ctld.log
SlurmdLogFile={work}/d.log
JobAcctGatherType=jobacct_gather/none
AccountingStorageType=accounting_storage/none
MpiDefault=none
NodeName={host} NodeAddr=127.0.0.1 CPUs={cpus} State=UNKNOWN
PartitionName=main Nodes={host} Default=YES MaxTime=INFINITE State=UP
"""


@pytest.fixture
def slurm(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    missing = [p for p in ("slurmctld", "slurmd", "sbatch", "munged") if shutil.which(p) is None]
    if missing or os.geteuid() != 0:
        pytest.skip(f"needs Slurm and root: {', '.join(missing) or 'not root'}")
    if subprocess.run(["munge", "-n"], capture_output=True).returncode != 0:
        Path("/run/munge").mkdir(exist_ok=True)
        shutil.chown("/run/munge", "munge", "munge")
        subprocess.run(["runuser", "-u", "munge", "--", "munged"], check=False)
        time.sleep(1)
        if subprocess.run(["munge", "-n"], capture_output=True).returncode != 0:
            pytest.skip("munged could not be started")
    for name in ("state", "spool"):
        (tmp_path / name).mkdir()
    ports = [_free_port() for _ in range(2)]
    text = CONFIGURATION.format(
        host=socket.gethostname().partition(".")[0], first=ports[0], second=ports[1],
        work=tmp_path, cpus=os.cpu_count(),
    )  # fmt: skip
    (tmp_path / "slurm.conf").write_text(text)
    monkeypatch.setenv("SLURM_CONF", str(tmp_path / "slurm.conf"))
    daemons = [
        subprocess.Popen([name, "-D"], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        for name in ("slurmctld", "slurmd")
    ]
    try:
        until = time.monotonic() + 60
        while (
            "idle"
            not in subprocess.run(
                ["sinfo", "-h", "-o", "%t"], capture_output=True, text=True
            ).stdout
        ):
            assert time.monotonic() < until, (tmp_path / "ctld.log").read_text()[-2000:]
            time.sleep(0.5)
        yield
    finally:
        for daemon in reversed(daemons):
            daemon.terminate()
            daemon.wait(20)


# The test's Slurm counts no memory.
DIRECTIVES = ("--mem=0",)


def _cluster(workers: int, **options: Any) -> AbstractContextManager[Any]:
    return clusters.queue_client(
        "slurm", workers, queue="main", memory="1GB", walltime="00:05:00", extra=DIRECTIVES,
        **options,
    )  # fmt: skip


def test_a_cohort_runs_as_slurm_s_jobs(
    slurm: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    jobs = simulate.make_cases(12, 0.0, 0.1)
    run = tmp_path / "run"
    with _cluster(2, interface="lo") as client:
        client.wait_for_workers(1, timeout=120)
        doing = engine.OnWorkers(client, jobs, partial(simulate.work, run=run))
        outcomes = list(doing.outcomes())
    assert sorted(o.case for o in outcomes) == [job.case for job in jobs]
    assert {o.state for o in outcomes} == {"done"}
    assert simulate.tally(run, jobs)["done"] == 12


def test_the_command_segments_scans_in_jobs(
    slurm: None, cases: Path, model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    run = tmp_path / "run"
    words = ["cohort", str(cases), "--run", str(run), "--model", str(model), "--labels", "verse"]
    words += ["--cluster", "slurm", "--queue", "main", "--workers", "2", "--memory", "2GB"]
    words += ["--walltime", "00:05:00", *(f"--directive={line}" for line in DIRECTIVES)]
    authority = ",".join(map(str, _certificate(tmp_path)))
    assert main([*words, "--interface", "lo", "--tls", authority]) == 1  # gamma is cut short
    lines = ledger.read([run / "ledger.jsonl"])
    assert {line["case"]: line["state"] for line in lines} == {
        "alpha": "done", "beta": "done", "gamma": "failed",
    }  # fmt: skip
    assert (run / "results" / "alpha" / "report.html").is_file()
    assert len((run / "cohort.csv").read_text(encoding="utf-8").splitlines()) == 3


def test_a_job_that_the_queue_ends_is_queued_again(
    slurm: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """scancel, as a walltime or a node that fails: the case goes on in another job."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(clusters, "LOST_AFTER", "1s")
    monkeypatch.setattr(clusters, "REVIVE_SECONDS", 0.5)
    jobs = [Sleep(f"c{n}", 1.0) for n in range(6)]
    run = tmp_path / "run"
    with _cluster(1, interface="lo") as client:
        client.wait_for_workers(1, timeout=120)
        (first,) = _queued()
        doing = engine.OnWorkers(client, jobs, partial(simulate.work, run=run))
        ended = []
        for outcome in doing.outcomes():
            ended.append(outcome)
            if len(ended) == 2:
                subprocess.run(["scancel", "--signal=KILL", first], check=True)
        assert first not in _queued()
    assert sorted(o.case for o in ended) == [job.case for job in jobs]
    assert {o.state for o in ended} == {"done"}


def test_with_tls_nobody_without_the_certificate_gets_in(
    slurm: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    distributed = pytest.importorskip("distributed")
    monkeypatch.chdir(tmp_path)
    jobs = simulate.make_cases(4, 0.0, 0.1)
    run = tmp_path / "run"
    with _cluster(1, interface="lo", tls=_certificate(tmp_path)) as client:
        address = client.scheduler.address
        assert address.startswith("tls://")
        client.wait_for_workers(1, timeout=120)
        doing = engine.OnWorkers(client, jobs, partial(simulate.work, run=run))
        assert {o.state for o in doing.outcomes()} == {"done"}
        other = _certificate(tmp_path / "other")
        foreign = distributed.security.Security(
            tls_ca_file=str(other[0]), tls_client_cert=str(other[1]), tls_client_key=str(other[2]),
            require_encryption=True,
        )  # fmt: skip
        for security in (None, foreign):
            where = address if security else address.replace("tls://", "tcp://")
            with pytest.raises(
                Exception, match=r"(?i)tim(ed|eout)|ssl|certificate|security|closed"
            ):
                distributed.Client(where, security=security, timeout=5)


def test_the_printed_array_job_does_every_case_once(
    slurm: None,
    cases: Path,
    model: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    run = tmp_path / "run"
    words = ["cohort", str(cases), "--run", str(run), "--model", str(model), "--labels", "verse"]
    monkeypatch.setattr("sys.argv", ["hideseek", *words, "--print-sbatch", "2"])
    assert main([*words, "--print-sbatch", "2"]) == 0
    (tmp_path / "array.sh").write_text(capsys.readouterr().out)
    # The command of this environment, whatever else the machine has.
    (tmp_path / "hideseek").write_text(
        f'#!/bin/sh\nexec {sys.executable} -m hideseek_backend.cli "$@"\n'
    )
    (tmp_path / "hideseek").chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}{os.pathsep}{os.environ['PATH']}")
    subprocess.run(["sbatch", *DIRECTIVES, str(tmp_path / "array.sh")], check=True)
    until = time.monotonic() + 200
    while _queued():
        assert time.monotonic() < until
        time.sleep(1)
    lines = ledger.read(sorted(run.glob("ledger-part-*.jsonl")))
    assert {line["case"]: line["state"] for line in lines} == {
        "alpha": "done", "beta": "done", "gamma": "failed",
    }, "\n".join(log.read_text() for log in run.glob("slurm-*.log"))  # fmt: skip
    assert main([*words, "--collect"]) == 0
    assert len((run / "cohort.csv").read_text(encoding="utf-8").splitlines()) == 3


def _queued() -> list[str]:
    """Numbers of the jobs that wait or run."""
    words = ["squeue", "-h", "-t", "pending,running", "-o", "%i"]
    return subprocess.run(words, capture_output=True, text=True, check=True).stdout.split()


def _certificate(folder: Path) -> tuple[Path, Path, Path]:
    """An authority, and a certificate of it with its key, as the docs make them."""
    folder.mkdir(exist_ok=True)
    told = DOCS.read_text(encoding="utf-8").splitlines()
    for command in (line for line in told if line.startswith("openssl ")):
        subprocess.run(shlex.split(command), cwd=folder, check=True, capture_output=True)
    return folder / "ca.pem", folder / "cert.pem", folder / "key.pem"


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
