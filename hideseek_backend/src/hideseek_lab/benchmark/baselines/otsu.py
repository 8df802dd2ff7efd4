"""Otsu thresholds of the HU inside the body, with one or several levels."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from skimage.filters import threshold_multiotsu, threshold_otsu

from hideseek_lab.benchmark.baselines.common import eroded_body
from hideseek_lab.scoring.instances import BLASTIC, LYTIC

_HU_RANGE = (-400, 2000)


def otsu_labels(
    hu: NDArray[np.int16], body: NDArray[np.bool_], phenotype: str, *, classes: int
) -> NDArray[np.uint8]:
    """Label a slice by thresholds, the expected phenotype being known (as in the paper).

    hu: (64, 64) HU; body: (64, 64) bool. classes: 2 splits the body once: the darker class is
    lytic or the brighter one blastic, whichever is expected; with "mixed" expected, or 3 classes,
    the darkest of three is lytic and the brightest blastic.
    """
    values = np.clip(hu[eroded_body(body)], *_HU_RANGE)
    labels = np.zeros(hu.shape, dtype=np.uint8)
    if np.unique(values).size < 3:
        return labels
    if classes == 2 and phenotype != "mixed":
        low = high = float(threshold_otsu(values))
    else:
        low, high = (float(level) for level in threshold_multiotsu(values, classes=3))
    if phenotype in ("lytic", "mixed"):
        labels[body & (hu < low)] = LYTIC
    if phenotype in ("blastic", "mixed"):
        labels[body & (hu > high)] = BLASTIC
    return labels
