"""A cohort on a real Slurm of one node, started here where its programs are installed."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

pytest.importorskip("dask_jobqueue", reason="needs the extra cohort")

from hideseek_lab.cohort import clusters, engine, simulate

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


def test_a_cohort_runs_as_slurm_s_jobs(
    slurm: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    jobs = simulate.make_cases(12, 0.0, 0.1)
    run = tmp_path / "run"
    with clusters.queue_client(
        "slurm", 2, queue="main", memory="1GB", walltime="00:05:00", interface="lo",
        extra=("--mem=0",),
    ) as client:  # fmt: skip
        client.wait_for_workers(1, timeout=120)
        outcomes = list(engine.run_on(client, jobs, simulate.partial(simulate.work, run=run)))
    assert sorted(o.case for o in outcomes) == [job.case for job in jobs]
    assert {o.state for o in outcomes} == {"done"}
    assert simulate.tally(run, jobs)["done"] == 12


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
