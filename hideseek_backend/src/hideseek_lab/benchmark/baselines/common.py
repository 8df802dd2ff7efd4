"""What all baselines share: the input window, the body's erosion and the size filter."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from hideseek_lab.scoring.instances import BLASTIC, LYTIC, drop_small, label_components

#: the label of a prediction whose polarity the method cannot tell
ANY = 3
ERODE_PX = 2
MIN_AREA_PX = 5
WINDOW_HU = (-200.0, 1000.0)


def to_unit(hu: NDArray[Any]) -> NDArray[np.float32]:
    """Map HU to [0, 1] through the window; clipped."""
    low, high = WINDOW_HU
    return np.clip((hu.astype(np.float32) - low) / (high - low), 0.0, 1.0)


def eroded_body(body: NDArray[np.bool_], erode: int = ERODE_PX) -> NDArray[np.bool_]:
    """Erode body: (64, 64) by so many 4-connected pixels, as the paper's post-processing."""
    if erode == 0:
        return body.copy()
    return np.asarray(ndimage.binary_erosion(body, iterations=erode))


def postprocess(
    labels: NDArray[Any], body: NDArray[np.bool_], erode: int = ERODE_PX
) -> NDArray[np.uint8]:
    """Keep what lies in the eroded body, in components of at least 5 px (paper, table 3).

    labels: (64, 64), 1 lytic, 2 blastic, 3 either. body: (64, 64) before erosion.
    """
    inside = np.where(eroded_body(body, erode), labels, 0)
    kept = np.zeros(inside.shape, dtype=np.uint8)
    for value in (LYTIC, BLASTIC, ANY):
        parts, _ = label_components(inside == value, "full")
        kept[drop_small(parts, MIN_AREA_PX)[0] > 0] = value
    return kept
