"""The record that a follow-up leaves beside its page, and the tracking uids it carries on."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from hideseek_backend.errors import InputError
from hideseek_backend.files import sha256
from hideseek_backend.report.case_store import NAME
from hideseek_backend.wire.changes import FollowUp
from hideseek_backend.wire.codec import from_plain
from hideseek_backend.wire.errors import WireError

RECORD = "follow-up.json"
FORMAT = "hideseek-follow-up-1"


def case_digest(folder: Path) -> str:
    """sha256 of the stored case: which result a follow-up speaks of."""
    return sha256(folder / NAME)


def read_record(folder: Path) -> dict[str, Any]:
    """Read follow-up.json. Raises InputError where there is none of this version."""
    try:
        record: dict[str, Any] = json.loads((folder / RECORD).read_text(encoding="utf-8"))
        if record["format"] != FORMAT or not isinstance(record["cases"], dict):
            raise ValueError(FORMAT)
        from_plain(FollowUp, record["follow_up"], RECORD)
    except (OSError, ValueError, KeyError, TypeError, WireError) as error:
        raise InputError(
            f"Expected {RECORD} of `hideseek follow-up` in {folder}, got none that can be read.",
            "Give the folder that it wrote.",
        ) from error
    return record


def tracking_uids(record: Mapping[str, Any], digest: str) -> dict[str, str]:
    """Uids that a follow-up gives the lesions of one of its results: "T12:3" -> uid.

    record: follow-up.json; digest: of the stored case. Of several lesions in one row the largest
    carries the uid on: two lesions of one scan are never the same one. {} for another case.
    """
    told, cases = record.get("follow_up") or {}, record.get("cases") or {}
    if digest == cases.get("current"):
        level, numbers = "vertebra", "after"
    elif digest == cases.get("earlier"):
        level, numbers = "vertebra_before", "before"
    else:
        return {}
    return {
        f"{c[level]}:{c[numbers][0]}": c["tracking_uid"]
        for c in told.get("changes", ())
        if c.get(numbers)
    }
