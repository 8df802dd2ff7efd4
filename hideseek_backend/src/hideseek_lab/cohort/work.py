"""What a worker does with one job, and the model it keeps between jobs."""

from __future__ import annotations

import os
import socket
import time
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hideseek_backend.errors import HideSeekError
from hideseek_lab.cohort.jobs import RECORD, Job, is_done, proof, record_of
from hideseek_lab.cohort.studies import is_study, vertebra_mask

if TYPE_CHECKING:
    from hideseek_backend.case import CaseResult
    from hideseek_backend.models.store import Model

THUMBNAIL = "thumbnail.svg"


@dataclass(frozen=True)
class Task:
    """How every job of a run is done.

    options: the values of `Options` by name. dicom: write the result of a study as DICOM too.
    """

    results: str
    model: str
    device: str
    options: Mapping[str, Any]
    dicom: bool = False


@dataclass(frozen=True)
class Outcome:
    """How a job ended. state: "done", "kept" (it was done before) or "failed".

    reason: why it failed, or what is missing in what was done.
    """

    case: str
    state: str
    reason: str = ""
    seconds: float = 0.0
    worker: str = ""


def analyse(job: Job, task: Task) -> Outcome:
    """Do one job: read the scan, analyse it, write its results whole or not at all.

    Whatever is wrong with the case, or with the disk, is its outcome; nothing is raised.
    """
    from hideseek_backend.attribution.options import Options
    from hideseek_backend.case import segment_ct
    from hideseek_backend.report.case_files import write_case
    from hideseek_backend.report.json_report import write_json
    from hideseek_backend.report.output import OutputFolder, writing

    started = time.monotonic()
    where = f"{socket.gethostname()}:{os.getpid()}"

    def ended(state: str, reason: str = "") -> Outcome:
        return Outcome(job.case, state, reason, round(time.monotonic() - started, 2), where)

    target = Path(task.results) / job.case
    try:
        model = _model(task.model, task.device)
        dicom = task.dicom and is_study(Path(job.ct))
        made_of = proof(job, model.hash, task.options, dicom=dicom)
        if is_done(target, made_of):
            return ended("kept")
        with (
            OutputFolder(target, overwrite=True) as folder,
            vertebra_mask(Path(job.ct), job.vertebrae) as mask,
        ):
            result = segment_ct(
                job.ct,
                mask,
                bodies=job.bodies or None,
                labels=job.scheme or None,
                model=model,
                options=Options(**task.options),
            )
            with writing(folder.target):
                write_case(result, folder.staging)
                (folder.staging / THUMBNAIL).write_text(thumbnail(result), encoding="utf-8")
                record = record_of(job, made_of, time.monotonic() - started)
                write_json(folder.staging / RECORD, record)
                missing = _write_dicom(folder.staging, Path(job.ct)) if dicom else ""
    except HideSeekError as error:
        return ended("failed", str(error))
    except MemoryError:
        return ended("failed", "not enough memory")
    except Exception as error:  # one broken scan must not end a run of thousands
        return ended("failed", f"internal: {type(error).__name__}: {error}")
    return ended("done", missing)


def _write_dicom(folder: Path, study: Path) -> str:
    """Write a result as DICOM beside its other files; return why not, or "".

    Nothing is written for a case without lesions. An odd study costs the DICOM, not the result.
    """
    from hideseek_backend.dicom.export import export_case
    from hideseek_backend.report.case_store import read_stored

    case = read_stored(folder)
    if not any(candidate.kept for v in case.vertebrae for candidate in v.candidates):
        return ""
    try:
        export_case(case, study, folder)
    except HideSeekError as error:
        for part in folder.glob("*.dcm"):
            part.unlink()
        return f"no DICOM: {error}"
    return ""


def thumbnail(result: CaseResult) -> str:
    """Draw the vertebra with the largest kept lesions, outlined: red lytic, blue blastic."""
    from hideseek_backend.report.panels import vertebra_panels

    shown = [v for v in result.vertebrae if v.evidence]
    if not shown:
        return '<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 64 64"/>\n'
    vertebra = max(shown, key=lambda v: v.lytic_volume_mm3 + v.blastic_volume_mm3)
    panel = vertebra_panels(vertebra).main
    colours = {"lytic": "#e5484d", "blastic": "#3b82f6"}
    outlines = "".join(
        f'<path d="{o.path}" fill="none" stroke="{colours[o.polarity]}" stroke-width="0.9"/>'
        for o in panel.outlines
        if o.kept
    )
    return (
        '<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 64 64">'
        f'<image href="{panel.picture}" width="64" height="64"/>{outlines}'
        f'<text x="2" y="7" font-size="6" font-family="sans-serif" fill="#fff">{vertebra.level}'
        "</text></svg>\n"
    )


@lru_cache(maxsize=1)
def _model(name: str, device: str) -> Model:
    """The model, once a process; workers of one machine take its GPUs in turn."""
    import torch

    from hideseek_backend.models.store import load_model

    if device != "cpu" and torch.cuda.device_count() > 1:
        torch.cuda.set_device(_number() % torch.cuda.device_count())
    return load_model(name, device=device)


def _number() -> int:
    """This worker's number on its machine, 0 outside a cluster."""
    from distributed import get_worker

    try:
        name = str(get_worker().name)
    except ValueError:
        return 0
    digits = "".join(c for c in name if c.isdigit())
    return int(digits or 0)
