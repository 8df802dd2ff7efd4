"""ledger.jsonl: a line for each job that ended, for anyone to read."""

from __future__ import annotations

import json
import os
from collections.abc import Iterable
from dataclasses import asdict
from datetime import datetime, timezone
from pathlib import Path

from hideseek_lab.cohort.work import Outcome


def append(path: Path, outcome: Outcome) -> None:
    """Add one line and see it onto the disk."""
    line = {"time": datetime.now(timezone.utc).isoformat(timespec="seconds"), **asdict(outcome)}
    with path.open("a", encoding="utf-8") as file:
        file.write(json.dumps(line, ensure_ascii=False) + "\n")
        file.flush()
        os.fsync(file.fileno())


def read(paths: Iterable[Path]) -> list[dict[str, str]]:
    """Return the lines of ledgers in the order of time; a line cut short by a crash is skipped."""
    lines = []
    for path in paths:
        for text in path.read_text(encoding="utf-8").splitlines():
            try:
                lines.append(json.loads(text))
            except ValueError:
                continue
    return sorted(lines, key=lambda line: line["time"])
