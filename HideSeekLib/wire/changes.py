"""What became of lesions between two dates."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal, get_args

import numpy as np

from .acquisition import UNTOLD, Acquisition
from .errors import WireError
from .tables import carried, column

Fate = Literal[
    "new", "gone", "grown", "shrunk", "stable", "indeterminate", "merged", "split", "not comparable"
]
"""indeterminate: larger a change than counts as stable, but repeated scans vary by as much."""
LimitOf = Literal["found", "outlined"]
FATES: tuple[Fate, ...] = get_args(Fate)


@dataclass(frozen=True)
class Change:
    """One lesion at two dates; several at one of them where it merged or split.

    vertebra: by the current scan's name (the earlier one's where that scan does not show it);
    vertebra_before: by the earlier scan's, "" where that one does not show it.
    polarity: at the current date, the earlier one's where it is gone. before, after: candidate
    numbers. volumes: mm³ on each scan's own grid, 0 where there is none.
    limit_percent: change that repeated scans of an unchanged lesion of this size stay within, 95 %.
    limit_of: whose limit that is: of lesions that the model found, or of outlined ones.
    delta, hu: of the largest; NaN where there is none. tracking_uid: DICOM, kept over dates.
    reason: what a reader must know about this row.
    """

    vertebra: str = column()
    fate: Fate = column()
    polarity: str = column()
    volume_before_mm3: float = column(unit="mm3", decimals=1)
    volume_mm3: float = column(unit="mm3", decimals=1)
    change_percent: float = column(decimals=1)
    limit_percent: float = column(decimals=1)
    vertebra_before: str = column(default="")
    polarity_before: str = column(default="")
    before: tuple[int, ...] = column(default=())
    after: tuple[int, ...] = column(default=())
    hu_before: float = column(unit="HU", decimals=1, default=math.nan)
    hu: float = column(unit="HU", decimals=1, default=math.nan)
    delta_before: float = column(decimals=4, default=math.nan)
    delta: float = column(decimals=4, default=math.nan)
    tracking_uid: str = column(default="")
    reason: str = column(default="")
    limit_of: LimitOf = column(default="found")

    def __post_init__(self) -> None:
        if self.fate not in FATES:
            raise WireError(f"expected a fate among {', '.join(FATES)}, got {self.fate!r}")


@dataclass(frozen=True, eq=False)
class LevelPair:
    """One vertebra at both dates. matrix: (4, 4) earlier -> current RAS mm. gap_mm: between the
    surfaces after that motion."""

    level_before: str = column()
    level: str = column()
    gap_mm: float = column(unit="mm", decimals=2)
    rotation_deg: float = column(decimals=1)
    matrix: np.ndarray = carried()


@dataclass(frozen=True, eq=False)
class FollowUp:
    """Two dates of one patient. comparable: False where volumes must not be compared; reasons say
    why, warnings what else to know. changes: head to foot. limits: what the limits of agreement
    were measured on, a sentence. scan_before, scan: how the two CTs were made."""

    comparable: bool = carried()
    changes: tuple[Change, ...] = carried()
    pairs: tuple[LevelPair, ...] = carried()
    reasons: tuple[str, ...] = carried(default=())
    warnings: tuple[str, ...] = carried(default=())
    date_before: str = carried(default="")
    date: str = carried(default="")
    limits: str = carried(default="")
    scan_before: Acquisition = carried(default=UNTOLD)
    scan: Acquisition = carried(default=UNTOLD)
