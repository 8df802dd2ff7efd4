"""Files of a follow-up: page, table, and everything as JSON."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path

from hideseek_backend.followup.matching import MatchOptions
from hideseek_backend.followup.reading import FORMAT, RECORD
from hideseek_backend.followup.timepoint import Timepoint
from hideseek_backend.report.html import template
from hideseek_backend.report.json_report import write_json
from hideseek_backend.report.summary import DISCLAIMER
from hideseek_backend.volumes.volume import Volume
from hideseek_backend.wire.changes import FATES, Change, FollowUp
from hideseek_backend.wire.codec import to_plain
from hideseek_backend.wire.tables import csv_text
from hideseek_backend.wire.version import VERSION
from hideseek_lab.dates.pictures import change_picture

PAGE, TABLE = "follow-up.html", "changes.csv"


def follow_up_page(
    told: FollowUp,
    earlier: Timepoint,
    current: Timepoint,
    options: MatchOptions,
    cts: tuple[Volume | None, Volume | None] = (None, None),
) -> str:
    """Return one HTML document without outside resources; it names no patient."""
    rows = [(c, change_picture(c, told, earlier, current, cts)) for c in told.changes]
    counts = {fate: sum(c.fate == fate for c in told.changes) for fate in FATES}
    return template("follow-up.html").render(
        told=told,
        rows=rows,
        counts={fate: n for fate, n in counts.items() if n},
        sums=(_sum(told, "volume_before_mm3"), _sum(told, "volume_mm3")),
        dates=(told.date_before or "earlier", told.date or "current"),
        options=asdict(options),
        scans=(str(told.scan_before), str(told.scan)),
        mixed=len({c.limit_of for c in told.changes}) > 1,
        disclaimer=DISCLAIMER,
        versions=(VERSION, current.model),
        arrow=_arrow,
    )


def write_follow_up(
    folder: Path,
    told: FollowUp,
    page: str,
    options: MatchOptions,
    cases: Mapping[str, str],
) -> None:
    """Write page, table and record into an existing folder. cases: sha256 of both stored cases."""
    (folder / PAGE).write_text(page, encoding="utf-8")
    (folder / TABLE).write_text(csv_text(Change, told.changes), encoding="utf-8", newline="")
    record = {
        "format": FORMAT,
        "disclaimer": DISCLAIMER,
        "version": VERSION,
        "cases": dict(cases),
        "options": asdict(options),
        "follow_up": to_plain(told),
    }
    write_json(folder / RECORD, record)


def _sum(told: FollowUp, name: str) -> float:
    return float(sum(getattr(c, name) for c in told.changes if c.fate != "not comparable"))


def _arrow(percent: float) -> str:
    if not math.isfinite(percent):
        return ""
    return f"{percent:+.0f} %".replace("-", "\N{MINUS SIGN}")
