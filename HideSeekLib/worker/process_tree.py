"""End a process with everything below it. No Qt."""

from __future__ import annotations

import logging
import os
import signal
import subprocess
from pathlib import Path

log = logging.getLogger(__name__)


def kill_tree(root: int) -> None:
    """Kill a process and all its descendants; a launcher's child would survive its parent."""
    if root <= 0:
        return
    if os.name == "nt":
        subprocess.Popen(
            ["taskkill", "/PID", str(root), "/T", "/F"],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            creationflags=getattr(subprocess, "CREATE_NO_WINDOW", 0),
        )
        return
    for pid in [root, *descendants(root)]:
        try:
            os.kill(pid, signal.SIGKILL)
        except (ProcessLookupError, PermissionError):
            continue  # already gone, or its number belongs to someone else by now


def descendants(root: int) -> list[int]:
    """Return the ids of all processes below `root` (POSIX)."""
    children: dict[int, list[int]] = {}
    for pid, parent in _process_table():
        children.setdefault(parent, []).append(pid)
    found: list[int] = []
    waiting = [root]
    while waiting:
        below = children.get(waiting.pop(), [])
        found += below
        waiting += below
    return found


def _process_table() -> list[tuple[int, int]]:
    proc = Path("/proc")
    if proc.joinpath("self/stat").is_file():
        table = []
        for entry in proc.iterdir():
            if not entry.name.isdigit():
                continue
            try:
                stat = entry.joinpath("stat").read_text(errors="replace")
            except OSError:
                continue  # it ended while we looked
            # The name in parentheses may hold anything, spaces and parentheses included.
            table.append((int(entry.name), int(stat.rpartition(")")[2].split()[1])))
        return table
    try:
        listing = subprocess.run(
            ["ps", "-axo", "pid=,ppid="], capture_output=True, text=True, timeout=2, check=False
        ).stdout
    except (OSError, subprocess.TimeoutExpired):
        log.warning("The processes below the worker could not be listed")
        return []
    return [(int(a), int(b)) for a, b in (line.split() for line in listing.splitlines() if line)]
