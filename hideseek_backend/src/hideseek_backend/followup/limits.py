"""Limits of agreement: how much an unchanged lesion's volume varies from scan to scan.

Measured on phantoms scanned twice (other noise, kernel, thickness, grid, contrast and pose) by
`hideseek benchmark follow-up --fit`; kept as data, so that another model can bring its own.
"""

from __future__ import annotations

import json
import math
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

from hideseek_backend.errors import InputError

FILE = Path(__file__).with_name("limits.json")
READER = "masks"
"""Limits of lesions that were outlined, not found: of the scans alone."""


@dataclass(frozen=True)
class ScanPair:
    """What two scans have in common. thickness_mm: of the thicker one's slices; thickness_ratio:
    to the other's. kernels_differ: one kernel is for bone and the other is not; contrast_differs:
    medium was given at one date; None where the scans do not say."""

    thickness_mm: float
    thickness_ratio: float = 1.0
    kernels_differ: bool | None = None
    contrast_differs: bool | None = None


@dataclass(frozen=True)
class Limits:
    """Spread of the log ratio of two volumes of one lesion.

    sd² = base² + (by_size² + (by_slice · T)²) · V^(-2/3) + kernel² + contrast², V in mL, T the
    thicker slices in mm: an error of the surface weighs less on a large lesion. kernel, contrast:
    added where the scans differ in it or do not say; None where that was not measured.
    thickness_mm: thickest slices, thickness_ratio: greatest ratio between two scans that it was
    measured on. lesions: how many it was fitted to. source: the command.
    """

    base: float
    by_size: float
    thickness_mm: float
    thickness_ratio: float
    lesions: int = 0
    source: str = ""
    by_slice: float = 0.0
    kernel: float | None = None
    contrast: float | None = None

    def percent(self, volume_mm3: float, scans: ScanPair) -> float:
        """Growth (of a lesion of this volume) that 95 % of unchanged lesions stay within, %."""
        return 100.0 * (math.exp(1.96 * self.sd(volume_mm3, scans)) - 1.0)

    def sd(self, volume_mm3: float, scans: ScanPair) -> float:
        """Standard deviation of the log ratio of two volumes."""
        size = max(volume_mm3, 1.0) / 1000.0
        surface = math.hypot(self.by_size, self.by_slice * scans.thickness_mm) * size ** (-1 / 3)
        kernel = 0.0 if scans.kernels_differ is False else self.kernel or 0.0
        contrast = 0.0 if scans.contrast_differs is False else self.contrast or 0.0
        return math.hypot(self.base, surface, kernel, contrast)

    def beyond(self, scans: ScanPair) -> list[str]:
        """Why two scans cannot be compared: what these limits were not measured on."""
        found = []
        if scans.thickness_mm > 1.01 * self.thickness_mm:
            found.append(
                f"slices of {scans.thickness_mm:.1f} mm; limits of agreement reach to "
                f"{self.thickness_mm:.1f} mm"
            )
        elif scans.thickness_ratio > 1.01 * self.thickness_ratio:
            found.append(
                f"slices of {scans.thickness_mm / scans.thickness_ratio:.1f} and "
                f"{scans.thickness_mm:.1f} mm differ too much"
            )
        if scans.kernels_differ and self.kernel is None:
            found.append("a kernel for bone at one date alone, which was not measured")
        if scans.contrast_differs and self.contrast is None:
            found.append("contrast medium at one date alone, which was not measured")
        return found


@dataclass(frozen=True)
class Agreement:
    """Limits of lesions that the model found and of those that were outlined (by a reader or
    another tool). warning: what a reader must know of them, or ""."""

    found: Limits
    outlined: Limits
    warning: str = ""


# Assumed: a model that splits a lesion into other parts may err by half.
UNMEASURED = Limits(0.35, 0.1, 2.5, 2.4, 0, "assumed, not measured", kernel=0.0, contrast=0.0)


def limits_for(model: str, file: Path = FILE) -> Agreement:
    """Return the limits of a model (its hash; "" where all lesions were outlined).

    Raises InputError for a file that holds no limits.
    """
    known = _read(file)
    outlined = known[READER]
    if not model:
        return Agreement(outlined, outlined)
    for digest, limits in known.items():
        if digest != READER and model.startswith(digest):
            return Agreement(limits, outlined)
    return Agreement(
        UNMEASURED,
        outlined,
        "Limits of agreement were not measured for this model: only about a doubling or halving "
        "counts as change. `hideseek benchmark follow-up --fit --analysed` measures them.",
    )


@lru_cache(maxsize=4)
def _read(file: Path) -> dict[str, Limits]:
    try:
        stored: dict[str, dict[str, Any]] = json.loads(file.read_text(encoding="utf-8"))
        known = {name: Limits(**values) for name, values in stored.items()}
        known[READER]
    except (OSError, ValueError, TypeError, KeyError, AttributeError) as error:
        raise InputError(
            f"Expected limits of agreement in {file.name}, got none that can be read.",
            "Make them with `hideseek benchmark follow-up --fit`.",
        ) from error
    return known
