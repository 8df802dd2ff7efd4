"""`hideseek cohort`: many cases, on this machine or a cluster, resumable."""

from __future__ import annotations

import argparse
import re
import shlex
import sys
from contextlib import AbstractContextManager, nullcontext
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hideseek_backend.cli import inputs
from hideseek_backend.cli.values import whole
from hideseek_backend.errors import OptionError

if TYPE_CHECKING:
    from hideseek_lab.cohort.page import State
    from hideseek_lab.cohort.work import Outcome

SBATCH = """#!/bin/bash
#SBATCH --job-name=hideseek
#SBATCH --array=1-{count}
#SBATCH --cpus-per-task=1
#SBATCH --mem={memory}
#SBATCH --time={walltime}
#SBATCH --output={run}/slurm-%a.log
{more}# Each task does every {count}th case by itself; no task talks to another.
export OMP_NUM_THREADS=1
{command} --part "$SLURM_ARRAY_TASK_ID/{count}"
# When all have ended, tables and page of everything:  {command} --collect
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the verb's arguments."""
    add = parser.add_argument
    add(
        "source",
        type=Path,
        metavar="MANIFEST|FOLDER",
        help="table of scans, or a folder with a folder or zip a case",
    )
    add("--run", type=Path, required=True, metavar="DIR", help="results, tables, ledger and page")
    add("--workers", type=whole(1, 4096), default=1, metavar="N", help="default: 1")
    add("--cluster", choices=("slurm", "pbs", "sge", "lsf", "htcondor"), help="workers as its jobs")
    add("--queue", default="", help="of the cluster (Slurm: partition)")
    add("--gpus", type=whole(0, 16), default=0, metavar="N", help="of each worker on a cluster")
    add("--memory", default="8GB", help="of each worker on a cluster (default: 8GB)")
    add("--walltime", default="24:00:00", help="of each job on a cluster")
    add("--directive", action="append", default=[], metavar="TEXT", help="for the job, --account=x")
    add("--interface", default="", help="network of the cluster that the scheduler listens on")
    add("--tls", type=_files, metavar="CA,CERT,KEY", help="encrypt and check who connects")
    add(
        "--labels", default="", metavar="SCHEME",
        help="numbering of masks of which a manifest does not say it: verse, totalsegmentator, …",
    )  # fmt: skip
    add("--part", type=_part, metavar="I/N", help="only every N-th case from the I-th, by itself")
    add("--print-sbatch", type=whole(1, 10000), metavar="N", help="print an array job of N parts")
    add("--dicom", action="store_true", help="also as DICOM, where the CT is a study")
    add("--collect", action="store_true", help="only write tables and page of what is there")
    inputs.add_model(parser)
    inputs.add_method(parser)


def main(args: argparse.Namespace) -> int:
    """Run the jobs that are not done; returns 1 where some failed."""
    if args.print_sbatch:
        # The jobs' logs go there: without it Slurm ends them at once.
        args.run.mkdir(parents=True, exist_ok=True)
        print(_sbatch(args), end="")
        return 0
    from hideseek_backend.models.store import load_model
    from hideseek_lab.cohort import clusters, engine
    from hideseek_lab.cohort.jobs import find_jobs, part_of
    from hideseek_lab.cohort.run import collect, follow
    from hideseek_lab.cohort.work import Task, analyse

    if args.part and (args.cluster or args.workers > 1):
        raise OptionError(
            "--part works alone in one process.", "Leave --workers and --cluster out."
        )
    jobs = find_jobs(args.source, args.labels)
    run = args.run.expanduser().absolute()
    name = "ledger.jsonl"
    if args.part:
        jobs, name = part_of(jobs, *args.part), f"ledger-part-{args.part[0]}.jsonl"
    if args.collect:
        run.mkdir(parents=True, exist_ok=True)
        collect(run, jobs, _collected(run, jobs))
        return 0
    # Model and options are checked before anything is started.
    model = load_model(args.model, device="cpu")
    options = asdict(inputs.options_from(args, model.spec.defaults))
    del model
    task = Task(str(run / "results"), str(args.model), args.device, options, args.dicom)
    work = partial(analyse, task=task)
    place: AbstractContextManager[Any] = nullcontext()
    if args.cluster:
        place = clusters.queue_client(
            args.cluster, args.workers, queue=args.queue, gpus=args.gpus, memory=args.memory,
            walltime=args.walltime, interface=args.interface, extra=tuple(args.directive),
            tls=args.tls,
        )  # fmt: skip
    elif args.workers > 1:
        place = clusters.local_client(args.workers)
    with place as client:
        doing: engine.Engine
        if client is None:
            doing = engine.Here(jobs, work)
        else:
            doing = engine.OnWorkers(client, jobs, work, gpu=args.gpus > 0)
        state: State = follow(
            run, jobs, doing, workers=args.workers, name=name, report=_Say(args.quiet)
        )
    print(
        f"{state.done} done, {state.kept} were done before, {len(state.failed)} failed. "
        f"Page: {run / 'cohort.html'}"
    )
    print("Research use only: not a diagnosis.")
    return 1 if state.failed else 0


class _Say:
    """A line for every case that ended."""

    def __init__(self, quiet: bool) -> None:
        self.quiet = quiet

    def __call__(self, state: State, outcome: Outcome) -> None:
        if not self.quiet:
            ended = state.total - state.left
            why = f": {outcome.reason}" if outcome.reason else ""
            sys.stderr.write(
                f"{ended}/{state.total} {outcome.case} {outcome.state}{why}  "
                f"({outcome.seconds:.0f} s; {state.time_left} left)\n"
            )


def _collected(run: Path, jobs: Any) -> State:
    """The state that results and ledgers show."""
    from hideseek_lab.cohort import ledger
    from hideseek_lab.cohort.page import State
    from hideseek_lab.cohort.tables import read_results
    from hideseek_lab.cohort.work import Outcome

    there = {result.case for result in read_results(run / "results", jobs)}
    last = {line["case"]: line for line in ledger.read(sorted(run.glob("ledger*.jsonl")))}
    failed = tuple(
        Outcome(case, "failed", line["reason"])
        for case, line in last.items()
        if line["state"] == "failed" and case not in there
    )
    return State(len(jobs), len(there), 0, failed, 0.0, 0, True)


def _sbatch(args: argparse.Namespace) -> str:
    words = [word for word in sys.argv[1:] if not word.startswith("--print-sbatch")]
    if "--print-sbatch" in sys.argv:
        words.remove(str(args.print_sbatch))
    command = " ".join(["hideseek", *map(shlex.quote, words)])
    more = [f"--partition={args.queue}"] if args.queue else []
    more += [f"--gres=gpu:{args.gpus}"] if args.gpus else []
    return SBATCH.format(
        count=args.print_sbatch, run=shlex.quote(str(args.run)), command=command,
        memory=args.memory, walltime=args.walltime,
        more="".join(f"#SBATCH {line}\n" for line in (*more, *args.directive)),
    )  # fmt: skip


def _part(text: str) -> tuple[int, int]:
    hit = re.fullmatch(r"(\d+)/(\d+)", text)
    if hit is None or not 1 <= int(hit[1]) <= int(hit[2]):
        raise argparse.ArgumentTypeError(f"expected I/N with I from 1 to N, as 3/10, got '{text}'")
    return int(hit[1]), int(hit[2])


def _files(text: str) -> tuple[Path, Path, Path]:
    paths = [Path(part) for part in text.split(",")]
    missing = [str(path) for path in paths if not path.is_file()]
    if len(paths) != 3 or missing:
        raise argparse.ArgumentTypeError(
            f"expected three files CA,CERT,KEY, got '{text}'"
            + (f"; there is no {', '.join(missing)}" if missing else "")
        )
    return paths[0], paths[1], paths[2]
