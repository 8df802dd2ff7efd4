"""What a cohort run has to do: one job a scan, and the proof by which it is known as done."""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from hideseek_backend.errors import InputError
from hideseek_backend.report.output import MANIFEST
from hideseek_lab.cohort.studies import Scan, find_scan, is_study
from hideseek_lab.manifest.rows import Case, read_manifest
from hideseek_lab.manifest.table import SUFFIXES

RECORD = "cohort.json"
"""File of a case's results that says what it was made of."""
_SAMPLE = 1 << 20


@dataclass(frozen=True)
class Job:
    """One scan by its paths; voxels are read where the work is done.

    vertebrae: "" for the segmentation within the study. bodies, scheme: "" where there is none.
    """

    case: str
    patient: str
    ct: str
    vertebrae: str = ""
    bodies: str = ""
    scheme: str = ""


def find_jobs(source: Path, scheme: str = "") -> list[Job]:
    """Return the jobs of a manifest, or of a folder that holds one folder or zip a case.

    What a case's folder or zip may hold: see `studies.find_scan`. scheme: the numbering of masks
    of which a manifest does not say it.
    Raises InputError where there is nothing to do.
    """
    if source.is_file() or source.suffix.lower() in SUFFIXES:
        jobs = [_job(case, scheme) for case in read_manifest(source).cases if _has_mask(case)]
    else:
        jobs = [
            _of_scan(path, scan, scheme)
            for path in sorted(source.glob("*"))
            if not path.name.startswith(".") and (scan := find_scan(path)) is not None
        ]
    twice = [name for name, n in Counter(job.case for job in jobs).items() if n > 1]
    if twice:
        raise InputError(
            f"Expected one case of a name, got two of {', '.join(twice[:5])}.",
            "Rename the folder or the zip: results are kept by the case's name.",
        )
    if not jobs:
        raise InputError(
            f"Expected scans with vertebra masks in {source}, got none.",
            "Give a manifest, or a folder with one folder or zip a case: ct.nii.gz and "
            "vertebrae.nii.gz, or a DICOM study with a mask beside it or within.",
        )
    return jobs


def part_of(jobs: Sequence[Job], index: int, count: int) -> list[Job]:
    """Every `count`-th job from `index` (1 to count) on."""
    return list(jobs[index - 1 :: count])


def proof(
    job: Job, model_hash: str, options: Mapping[str, Any], *, dicom: bool = False
) -> dict[str, Any]:
    """What a result is made of: its inputs' fingerprints, the model's hash and the options.

    dicom: whether it is written as DICOM as well.
    Raises InputError where an input is gone.
    """
    inputs = {
        role: fingerprint(Path(path))
        for role, path in (("ct", job.ct), ("vertebrae", job.vertebrae), ("bodies", job.bodies))
        if path
    }
    made_of: dict[str, Any] = {
        "inputs": inputs,
        "scheme": job.scheme,
        "model": model_hash,
        "options": options,
    }
    if dicom:
        made_of["dicom"] = True
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


def _job(case: Case, scheme: str) -> Job:
    paths = (str(case.ct), str(case.vertebrae or ""), str(case.bodies or ""))
    return Job(case.name, case.patient, *paths, case.scheme or scheme)


def _has_mask(case: Case) -> bool:
    return case.vertebrae is not None or is_study(case.ct)


def _of_scan(path: Path, scan: Scan, scheme: str) -> Job:
    name = path.name if path.is_dir() else path.stem
    return Job(name, name, str(scan.ct), str(scan.vertebrae or ""), str(scan.bodies or ""), scheme)
