"""Assign patients to train, validation and test."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from hideseek_lab.manifest.rows import SPLITS, Row

SHARES = (0.7, 0.15, 0.15)
_DISEASED = ("malignant", "lytic", "blastic", "mixed")


def assign_splits(
    rows: Sequence[Row], shares: Sequence[float] = SHARES, seed: int = 0
) -> list[Row]:
    """Return rows whose patients are parted by `shares`, diseased and other ones alike."""
    diseased = {row.patient for row in rows if row.label in _DISEASED}
    patients = sorted({row.patient for row in rows})
    rng = np.random.default_rng(seed)
    split: dict[str, str] = {}
    for group in (sorted(diseased), [p for p in patients if p not in diseased]):
        order = rng.permutation(len(group))
        ends = np.rint(np.cumsum(shares) / sum(shares) * len(group)).astype(int)
        for position, index in enumerate(order):
            split[group[index]] = SPLITS[int(np.searchsorted(ends, position, side="right"))]
    return [replace(row, split=split[row.patient]) for row in rows]
