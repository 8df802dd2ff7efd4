"""Peak memory of a block of code."""

from __future__ import annotations

import ctypes
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import torch


@dataclass
class Peak:
    """mb: megabytes, known when the measured block has ended; 0 where they cannot be told."""

    mb: float = 0.0


@contextmanager
def peak_memory(device: torch.device) -> Iterator[Peak]:
    """Measure peak memory: allocated on a GPU; on Linux the growth of the process otherwise."""
    peak = Peak()
    if device.type == "cuda":
        torch.cuda.reset_peak_memory_stats(device)
        yield peak
        peak.mb = torch.cuda.max_memory_allocated(device) / 2**20
        return
    before = _start_watermark()
    yield peak
    if before is not None:
        peak.mb = max(0.0, (_status_kb("VmHWM") - before) / 1024)


def _start_watermark() -> float | None:
    """Reset Linux' high-water mark of resident memory and return what is resident, in KiB."""
    try:
        # Freed memory goes back first, or what an earlier run left would hide this one's growth.
        ctypes.CDLL(None).malloc_trim(0)
        Path("/proc/self/clear_refs").write_text("5")
        return _status_kb("VmRSS")
    except (OSError, AttributeError, TypeError):  # another system, or another C library
        return None


def _status_kb(name: str) -> float:
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith(name + ":"):
            return float(line.split()[1])
    return 0.0
