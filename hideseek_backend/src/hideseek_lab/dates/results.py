"""A date from a results folder, and the follow-up of a result."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np

from hideseek_backend.errors import InputError
from hideseek_backend.followup.reading import RECORD, case_digest, read_record
from hideseek_backend.followup.timepoint import Timepoint, boxes, timepoint
from hideseek_backend.report.case_files import BODIES
from hideseek_backend.report.case_store import read_stored
from hideseek_backend.volumes.reading import read_label_map
from hideseek_backend.volumes.volume import Volume
from hideseek_backend.wire.acquisition import Acquisition
from hideseek_backend.wire.changes import FollowUp
from hideseek_backend.wire.codec import from_plain
from hideseek_backend.wire.levels import VERSE_VALUES


def read_timepoint(
    folder: Path, decisions: Mapping[str, str] | None = None, date: str = ""
) -> Timepoint:
    """Read the results of `hideseek segment`, under a reader's decisions where there are any.

    Raises InputError where they are damaged, of an earlier version, or hold no bodies.
    """
    case = read_stored(folder)
    bodies: dict[str, Volume] = {}
    file = folder / BODIES
    if file.is_file():
        volume = read_label_map(file).volume
        labels = np.asarray(volume.data).astype(np.uint8)
        present = set(np.unique(labels).tolist())
        levels = {level: v for level, v in VERSE_VALUES.items() if v in present}
        bodies = boxes(labels, levels, volume.affine)
    found = timepoint(
        case.vertebrae,
        case.affine,
        bodies,
        options=case.options,
        model=str(case.provenance.get("model", {}).get("hash", "")),
        decisions=decisions,
        date=date,
        scan=from_plain(Acquisition, case.provenance.get("scan") or {}, "provenance.scan"),
    )
    if not found.bodies:
        raise InputError(
            f"Expected vertebral bodies in {folder.name}, got no {BODIES} and no whole body.",
            "Run `hideseek segment` again: results of this version hold them.",
        )
    return found


def read_follow_up(folder: Path, result: Path) -> FollowUp:
    """Read a follow-up whose current date is `result`.

    Raises InputError where there is none, it is damaged, or speaks of other results.
    """
    record = read_record(folder)
    if record["cases"].get("current") != case_digest(result):
        raise InputError(
            f"{folder} speaks of other results than {result}.",
            "Run `hideseek follow-up` with this result as the current one.",
        )
    return from_plain(FollowUp, record["follow_up"], RECORD)
