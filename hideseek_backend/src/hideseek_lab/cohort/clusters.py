"""Where the workers are: processes of this machine, or jobs of a cluster's queue.

A scheduler's port executes what it is sent: whoever can reach it runs code as the user. On this
machine it listens on the loopback address alone; on a cluster use TLS.
"""

from __future__ import annotations

import logging
import multiprocessing
import threading
import time
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import Any

from hideseek_backend.errors import OptionError
from hideseek_backend.optional import import_optional
from hideseek_lab.cohort.beside import beside
from hideseek_lab.cohort.engine import DEATHS, EXTRA

QUEUES = {
    "slurm": "SLURMCluster",
    "pbs": "PBSCluster",
    "sge": "SGECluster",
    "lsf": "LSFCluster",
    "htcondor": "HTCondorCluster",
}

LOOPBACK = "127.0.0.1"
LOST_AFTER = "5 minutes"
"""A job of a queue whose worker is away for so long is given up; another is queued in its place."""
NEVER = "1000 days"
"""Workers of this machine start again by themselves. Given up meanwhile, the new one would be ended
with the case that it has just been handed."""
REVIVE_SECONDS = 10.0
"""How often workers that were given up, or whose job in the queue ended, are started anew."""
SILENT_SECONDS = 120.0
"""Without any worker for so long, the user is told."""

_LOG = logging.getLogger(__name__)


@contextmanager
def local_client(workers: int) -> Iterator[Any]:
    """Start worker processes here, on 127.0.0.1 and without a dashboard."""
    distributed = _distributed(NEVER)
    with (
        distributed.LocalCluster(
            n_workers=workers,
            threads_per_worker=1,
            processes=True,
            host=LOOPBACK,
            # Its HTTP server cannot be left out: a free port of the loopback address, no pages.
            dashboard_address=f"{LOOPBACK}:0",
            scheduler_kwargs={"dashboard": False},
            # What ends is in the ledger, each by its name.
            silence_logs=logging.CRITICAL,
        ) as cluster,
        distributed.Client(cluster) as client,
        _revived(cluster, workers),
    ):
        yield client


@contextmanager
def queue_client(
    kind: str,
    workers: int,
    *,
    queue: str = "",
    gpus: int = 0,
    memory: str = "8GB",
    walltime: str = "24:00:00",
    interface: str = "",
    extra: tuple[str, ...] = (),
    tls: tuple[Path, Path, Path] | None = None,
) -> Iterator[Any]:
    """Start workers as jobs of a cluster's queue.

    gpus: of each worker. extra: lines for the job's head, as "--account=x". tls: certificate
    authority, certificate and key of the user, which every node must be able to read.
    """
    distributed = _distributed(LOST_AFTER)
    jobqueue = import_optional("dask_jobqueue", f"A cohort on {kind}", EXTRA)
    if tls is None and not interface:
        raise OptionError(
            "Workers on other machines need --tls or --interface: an open scheduler port lets "
            "anyone who reaches it run code as you.",
            "Give --tls CA,CERT,KEY; or --interface with a network that only your jobs can reach.",
        )
    options: dict[str, Any] = {
        "cores": 1,
        "processes": 1,
        "memory": memory,
        "job_extra_directives": [
            *extra,
            *([f"--gres=gpu:{gpus}"] if gpus and kind == "slurm" else []),
        ],
        "worker_extra_args": [
            *("--no-dashboard", "--dashboard-address", f"{LOOPBACK}:0"),
            *(("--resources", f"GPU={gpus}") if gpus else ()),
        ],
        "scheduler_options": {"dashboard": False, "dashboard_address": f"{LOOPBACK}:0"},
    }
    if kind != "htcondor":
        options |= {"walltime": walltime, **({"queue": queue} if queue else {})}
    if interface:
        options["interface"] = interface
    if tls is not None:
        authority, certificate, key = map(str, tls)
        options["protocol"] = "tls"
        options["security"] = distributed.security.Security(
            tls_ca_file=authority, tls_client_cert=certificate, tls_client_key=key,
            tls_scheduler_cert=certificate, tls_scheduler_key=key,
            tls_worker_cert=certificate, tls_worker_key=key, require_encryption=True,
        )  # fmt: skip
    with getattr(jobqueue, QUEUES[kind])(**options) as cluster:
        cluster.scale(workers)
        with distributed.Client(cluster) as client, _revived(cluster, workers):
            yield client


def _revived(cluster: Any, workers: int) -> AbstractContextManager[None]:
    """Keep the number of workers: a cluster does not start again what it has given up."""

    def keep(ended: threading.Event) -> None:
        last, told = time.monotonic(), False
        while not ended.wait(REVIVE_SECONDS):
            cluster.loop.add_callback(_forget_closed, cluster)
            cluster.scale(workers)
            if cluster.scheduler_info["workers"]:
                last, told = time.monotonic(), False
            elif time.monotonic() - last > SILENT_SECONDS and not told:
                told = True
                _LOG.warning("no worker yet: look at the cluster's queue and at its jobs' logs")

    return beside(keep)


def _forget_closed(cluster: Any) -> None:
    """Take out workers that could not be started again; scaling then replaces them."""
    for name, worker in list(cluster.workers.items()):
        if worker.status.name in ("closed", "failed"):
            del cluster.workers[name]


def _distributed(lost_after: str) -> Any:
    dask = import_optional("dask", "A cohort on several workers", EXTRA)
    settings = {
        "distributed.scheduler.allowed-failures": DEATHS,
        # One job at a worker: others that waited there would be blamed for its death.
        "distributed.scheduler.worker-saturation": 1.0,
        # A worker that reads a large CT is at work, not lost.
        "distributed.comm.timeouts.tcp": "120s",
        "distributed.deploy.lost-worker-timeout": lost_after,
    }
    if "forkserver" in multiprocessing.get_all_start_methods():
        # A worker that died is back at once: Python and distributed are not loaded anew.
        settings["distributed.worker.multiprocessing-method"] = "forkserver"
    dask.config.set(settings)
    return import_optional("distributed", "A cohort on several workers", EXTRA)
