"""What a cohort run has to do: one job a scan, and the proof by which it is known as done."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from hideseek_backend.errors import InputError
from hideseek_backend.report.output import MANIFEST
from hideseek_lab.manifest.rows import Case, read_manifest
from hideseek_lab.manifest.table import SUFFIXES

RECORD = "cohort.json"
"""File of a case's results that says what it was made of."""
_MASKS = ("vertebrae", "seg", "vert", "mask", "total")
_SAMPLE = 1 << 20


@dataclass(frozen=True)
class Job:
    """One scan by its paths; voxels are read where the work is done."""

    case: str
    patient: str
    ct: str
    vertebrae: str
    bodies: str = ""
    scheme: str = ""


def find_jobs(source: Path) -> list[Job]:
    """Return the jobs of a manifest, or of a folder that holds one folder a case.

    A case's folder holds a CT (ct.nii.gz, ct.nrrd or a DICOM folder ct) and a mask whose name
    begins with vertebrae, seg or total; bodies… beside them is taken as the body mask.
    Raises InputError where there is nothing to do.
    """
    if source.is_file() or source.suffix.lower() in SUFFIXES:
        jobs = [_job(case) for case in read_manifest(source).cases if case.vertebrae is not None]
    else:
        jobs = [job for p in sorted(source.glob("*")) if (job := _in_folder(p)) is not None]
    if not jobs:
        raise InputError(
            f"Expected scans with vertebra masks in {source}, got none.",
            "Give a manifest, or a folder with one folder a case: ct.nii.gz and vertebrae.nii.gz.",
        )
    return jobs


def part_of(jobs: Sequence[Job], index: int, count: int) -> list[Job]:
    """Every `count`-th job from `index` (1 to count) on."""
    return list(jobs[index - 1 :: count])


def proof(job: Job, model_hash: str, options: Mapping[str, Any]) -> dict[str, Any]:
    """What a result is made of: its inputs' fingerprints, the model's hash and the options.

    Raises InputError where an input is gone.
    """
    inputs = {
        role: fingerprint(Path(path))
        for role, path in (("ct", job.ct), ("vertebrae", job.vertebrae), ("bodies", job.bodies))
        if path
    }
    made_of = {"inputs": inputs, "scheme": job.scheme, "model": model_hash, "options": options}
    plain: dict[str, Any] = json.loads(json.dumps(made_of, sort_keys=True, default=str))
    return plain


def fingerprint(path: Path) -> str:
    """Hash a file's size, first and last MB, or the same of every file in a folder."""
    if not path.exists():
        raise InputError(f"Expected a file or folder at {path}, got nothing.", "Check the path.")
    files = sorted(p for p in path.rglob("*") if p.is_file()) if path.is_dir() else [path]
    digest = hashlib.sha256()
    for file in files:
        size = file.stat().st_size
        digest.update(f"{file.name} {size}\n".encode())
        with file.open("rb") as stream:
            digest.update(stream.read(_SAMPLE))
            if size > 2 * _SAMPLE:
                stream.seek(-_SAMPLE, 2)
                digest.update(stream.read())
    return digest.hexdigest()


def is_done(folder: Path, made_of: Mapping[str, Any]) -> bool:
    """Whether a results folder is whole, unchanged, and made of just this."""
    try:
        record = json.loads((folder / RECORD).read_text(encoding="utf-8"))
        written = json.loads((folder / MANIFEST).read_text(encoding="utf-8"))
        if record["proof"] != made_of:
            return False
        return all(
            hashlib.sha256((folder / name).read_bytes()).hexdigest() == digest
            for name, digest in written.items()
        )
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return False


def record_of(job: Job, made_of: Mapping[str, Any], seconds: float) -> dict[str, Any]:
    """What RECORD holds."""
    return {**asdict(job), "proof": dict(made_of), "seconds": round(seconds, 2)}


def _job(case: Case) -> Job:
    bodies = str(case.bodies or "")
    return Job(
        case.name, case.patient, str(case.ct), str(case.vertebrae or ""), bodies, case.scheme
    )


def _in_folder(folder: Path) -> Job | None:
    if not folder.is_dir():
        return None
    named = sorted(folder.iterdir())
    ct = next((p for p in named if p.name.lower().partition(".")[0] == "ct"), None)
    mask = next((p for p in named if p.name.lower().startswith(_MASKS)), None)
    bodies = next((p for p in named if p.name.lower().startswith("bodies")), "")
    if ct is None or mask is None:
        return None
    return Job(folder.name, folder.name, str(ct), str(mask), str(bodies))
