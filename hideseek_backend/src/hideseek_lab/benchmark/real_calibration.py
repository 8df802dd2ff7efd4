"""p calibrated by cross-fitting: no patient has a say in the threshold that it is judged by."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import replace

import numpy as np

from hideseek_lab.benchmark.real_set import GROWN, Screened
from hideseek_lab.training.fit import platt


def cross_calibrated(rows: Sequence[Screened], groups: Sequence[Collection[str]]) -> list[Screened]:
    """Calibrate the rows of each group of patients on those of all the other groups (Platt).

    On untouched vertebrae, benign insertions and metastases of the training's generator; the second
    generator is for evaluation alone. Where models of folds made the rows, each group is a fold's
    patients, and every logit that takes part is of a model that had not seen its patient.
    """
    made: list[Screened] = []
    for group in groups:
        others = [row for row in rows if row.patient not in group and row.kind != GROWN]
        slope, offset = platt(
            np.array([row.logit for row in others]), np.array([row.malignant for row in others])
        )
        made += [
            replace(row, logit=slope * row.logit + offset) for row in rows if row.patient in group
        ]
    return made
