"""A folder of cases as a worklist: who reads what in which order, and how far it is.

One folder a case (ct.nii.gz, vertebrae.nii.gz). A plan of blinded readings, and what readers said,
lie beside them: worklist.json and reads/READER/CASE.ARM.json. Readers do not see each other's.
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from .errors import WireError
from .levels import LEVELS

PLAN, READS = "worklist.json", "reads"
FORMAT = "hideseek-worklist-1"
ARMS = ("with", "without")
"""Read with the tool, or without it."""
LABELS = ("healthy", "lytic", "blastic", "mixed")
CTS = ("ct.nii.gz", "ct.nii", "ct.nrrd", "ct.mha")
MASKS = ("vertebrae.seg.nrrd", "vertebrae.nii.gz", "vertebrae.nii", "vertebrae.nrrd",
         "bodies.nii.gz")  # fmt: skip


@dataclass(frozen=True)
class Task:
    """One reading: a case, with or without the tool. state: "new", "analysed" (results are there),
    "in review", "done"; seconds: spent so far."""

    case: str
    arm: str
    state: str
    seconds: float = 0.0


@dataclass(frozen=True)
class Reading:
    """What a reader said of a case. labels: level -> label; volumes: level -> mm³ of lesions, where
    measured. decisions: candidate -> verdict. position: place in the reader's order, from 0."""

    reader: str
    case: str
    arm: str
    seconds: float = 0.0
    done: bool = False
    labels: tuple[tuple[str, str], ...] = ()
    volumes: tuple[tuple[str, float], ...] = ()
    decisions: tuple[tuple[str, str], ...] = ()
    position: int = 0
    seed: int | None = None


def case_files(folder: Path, case: str) -> tuple[Path, Path]:
    """The CT and the mask of a case. Raises WireError naming what is missing."""
    found = []
    for names in (CTS, MASKS):
        path = next((folder / case / n for n in names if (folder / case / n).is_file()), None)
        if path is None:
            raise WireError(f"expected {names[0]} in the case {case}")
        found.append(path)
    return found[0], found[1]


def cases(folder: Path) -> list[str]:
    """Names of the cases in a folder."""
    if not folder.is_dir():
        raise WireError(f"expected a folder of cases, got {folder.name}")
    has_ct = (p for p in folder.iterdir() if p.is_dir() and any((p / n).is_file() for n in CTS))
    return sorted(p.name for p in has_ct)


def read_plan(folder: Path) -> dict[str, Any] | None:
    """The plan of a folder, None where there is none. Raises WireError where it is damaged."""
    path = folder / PLAN
    if not path.is_file():
        return None
    try:
        plan = dict(json.loads(path.read_text(encoding="utf-8")))
        good = plan["format"] == FORMAT and all(
            arm in ARMS for order in plan["readers"].values() for _case, arm in order
        )
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise WireError(f"expected a plan of readings in {PLAN}: {error}") from error
    if not good:
        raise WireError(f"expected a plan of readings of this version in {PLAN}")
    return plan


def tasks(folder: Path, reader: str) -> list[Task]:
    """What a reader has to do, in order; without a plan every case once, with the tool.

    Raises WireError for a reader that the plan does not name.
    """
    plan = read_plan(folder)
    if plan is None:
        order = [(case, "with") for case in cases(folder)]
    elif reader in plan["readers"]:
        order = [(str(case), str(arm)) for case, arm in plan["readers"][reader]]
    else:
        raise WireError(f"expected a reader of the plan: {', '.join(plan['readers'])}")
    found = []
    for case, arm in order:
        read = stored_reading(folder, reader, case, arm)
        analysed = any((folder / case).glob("*/case.json.gz"))
        state = "analysed" if analysed else "new"
        if read is not None:
            state = "done" if read.done else "in review"
        found.append(Task(case, arm, state, read.seconds if read is not None else 0.0))
    return found


def next_task(todo: Sequence[Task]) -> Task | None:
    """The first that is not done."""
    return next((task for task in todo if task.state != "done"), None)


def stored_reading(folder: Path, reader: str, case: str, arm: str) -> Reading | None:
    """What a reader said of a case so far, or None. Raises WireError where it is damaged."""
    path = _path(folder, reader, case, arm)
    return read_reading(path) if path.is_file() else None


def read_reading(path: Path) -> Reading:
    """Read one reading's file. Raises WireError where it is damaged."""
    try:
        data = json.loads(path.read_text(encoding="utf-8"))
        labels = {str(k): str(v) for k, v in data["labels"].items()}
        if not set(labels) <= set(LEVELS) or not set(labels.values()) <= set(LABELS):
            raise ValueError("levels and labels")
        return Reading(
            str(data["reader"]), str(data["case"]), str(data["arm"]), float(data["seconds"]),
            bool(data["done"]), tuple(labels.items()),
            tuple((str(k), float(v)) for k, v in data["volumes"].items()),
            tuple((str(k), str(v)) for k, v in data["decisions"].items()),
            int(data["position"]), data.get("seed"),
        )  # fmt: skip
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise WireError(f"expected a reading in {path.name}: {error}") from error


def store_reading(folder: Path, reading: Reading) -> Path:
    """Write a reading; it appears whole or not at all. Raises OSError."""
    plan = read_plan(folder)
    order: Sequence[Sequence[str]] = plan["readers"].get(reading.reader, ()) if plan else ()
    place = [n for n, (c, a) in enumerate(order) if (c, a) == (reading.case, reading.arm)]
    record: Mapping[str, Any] = {
        "reader": reading.reader, "case": reading.case, "arm": reading.arm,
        "seconds": round(reading.seconds, 1), "done": reading.done,
        "labels": dict(reading.labels), "volumes": dict(reading.volumes),
        "decisions": dict(reading.decisions), "position": place[0] if place else 0,
        "seed": plan["seed"] if plan else None,
    }  # fmt: skip
    path = _path(folder, reading.reader, reading.case, reading.arm)
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_suffix(".part")
    part.write_text(json.dumps(record, indent=1) + "\n", encoding="utf-8")
    os.replace(part, path)
    return path


def _path(folder: Path, reader: str, case: str, arm: str) -> Path:
    if not re.fullmatch(r"[\w .-]{1,60}", reader) or reader.startswith("."):
        raise WireError("expected a reader's name of letters, digits, dot, dash or blank")
    if arm not in ARMS or Path(case).name != case:
        raise WireError(f"expected a case and an arm, got {case!r} and {arm!r}")
    return folder / READS / reader / f"{case}.{arm}.json"
