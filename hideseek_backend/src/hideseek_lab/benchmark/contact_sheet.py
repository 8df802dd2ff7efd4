"""Example slices, one row a vertebra and one column a method, as the paper's figures 2 and 5."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.colors import to_rgb
from matplotlib.figure import Figure
from numpy.typing import NDArray

from hideseek_lab.scoring.plots import COLOURS, png

#: label -> colour: 1 lytic, 2 blastic, 3 a method that cannot tell
_OVERLAYS = {1: COLOURS["lytic"], 2: COLOURS["blastic"], 3: "#d9a21b"}
_STRENGTH = 0.55
_BONE_WINDOW = (-250.0, 950.0)


def upright(plane: NDArray[Any]) -> NDArray[Any]:
    """Turn a slice (posterior, superior[, colour]) so that it shows head up, front to the left."""
    return np.swapaxes(plane, 0, 1)[::-1]


def overlaid(hu: NDArray[Any], labels: NDArray[Any] | None) -> NDArray[np.float64]:
    """Colour a slice (64, 64) HU by labels: (64, 64, 3) in [0, 1]."""
    low, high = _BONE_WINDOW
    grey = np.clip((hu.astype(float) - low) / (high - low), 0, 1)
    picture = np.repeat(grey[:, :, None], 3, axis=2)
    if labels is not None:
        for value, name in _OVERLAYS.items():
            mask = labels == value
            picture[mask] = (1 - _STRENGTH) * picture[mask] + _STRENGTH * np.array(to_rgb(name))
    return picture


def contact_sheet(
    hu: NDArray[Any], columns: Mapping[str, NDArray[Any] | None], rows: Sequence[str]
) -> bytes:
    """Draw N slices hu: (N, 64, 64); columns: {title: labels (N, 64, 64) or None for the slice}.

    rows: a short text beside each slice. Returns PNG bytes.
    """
    return picture_sheet({title: (hu, labels) for title, labels in columns.items()}, rows)


def picture_sheet(
    columns: Mapping[str, tuple[NDArray[Any], NDArray[Any] | None]], rows: Sequence[str]
) -> bytes:
    """As `contact_sheet`, with slices (N, 64, 64) HU of its own for each column."""
    height, width = len(rows), len(columns)
    figure = Figure(figsize=(1.25 * width + 0.9, 1.3 * height + 0.4), dpi=100)
    FigureCanvasAgg(figure)
    axes = figure.subplots(height, width, squeeze=False)
    figure.subplots_adjust(left=0.9 / (1.25 * width + 0.9), right=1, bottom=0, wspace=0.03,
                           top=1 - 0.4 / (1.3 * height + 0.4), hspace=0.03)  # fmt: skip
    for j, (title, (hu, labels)) in enumerate(columns.items()):
        for i in range(height):
            axis = axes[i][j]
            plane = overlaid(hu[i], None if labels is None else labels[i])
            axis.imshow(upright(plane), interpolation="nearest")
            axis.set_xticks([])
            axis.set_yticks([])
            for spine in axis.spines.values():
                spine.set_visible(False)
            if i == 0:
                axis.set_title(title, fontsize=7)
            if j == 0:
                axis.set_ylabel(rows[i], fontsize=7)
    return png(figure)
