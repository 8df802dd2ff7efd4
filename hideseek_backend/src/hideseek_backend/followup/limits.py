"""Limits of agreement: how much an unchanged lesion's volume varies from scan to scan.

Measured on phantoms scanned twice (other noise, kernel, thickness, grid and pose) by `hideseek
benchmark follow-up --fit`; kept as data, so that another model can bring its own.
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
class Limits:
    """Spread of the log ratio of two volumes of one lesion.

    sd = sqrt(base² + (by_size · V^(-1/3))²), V in mL: an error of the surface weighs less on a
    large lesion. thickness_mm: thickest slices it was measured on; thickness_ratio: greatest ratio
    between two scans. lesions: how many it was fitted to. source: the command.
    """

    base: float
    by_size: float
    thickness_mm: float
    thickness_ratio: float
    lesions: int = 0
    source: str = ""

    def percent(self, volume_mm3: float) -> float:
        """Growth (of a lesion of this volume) that 95 % of unchanged lesions stay within, %."""
        return 100.0 * (math.exp(1.96 * self.sd(volume_mm3)) - 1.0)

    def sd(self, volume_mm3: float) -> float:
        """Standard deviation of the log ratio of two volumes."""
        size = max(volume_mm3, 1.0) / 1000.0
        return math.hypot(self.base, self.by_size * size ** (-1 / 3))


# Assumed: a model that splits a lesion into other parts may err by half.
UNMEASURED = Limits(0.35, 0.1, 2.5, 2.4, 0, "assumed, not measured")


def limits_for(model: str, file: Path = FILE) -> tuple[Limits, str]:
    """Return the limits of a model (its hash; "" for outlined lesions), and a warning or "".

    Raises InputError for a file that holds no limits.
    """
    known = _read(file)
    if not model:
        return known[READER], ""
    for digest, limits in known.items():
        if digest != READER and model.startswith(digest):
            return limits, ""
    return UNMEASURED, (
        "Limits of agreement were not measured for this model: only about a doubling or halving "
        "counts as change. `hideseek benchmark follow-up --fit --analysed` measures them."
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
