"""One segment per candidate, in a node of its own, on request."""

from __future__ import annotations

from typing import Any

import numpy as np

from . import terminology
from .grid import Grid
from .i18n import _
from .results import Candidate
from .segments import add_segment, new_image

# Dropped candidates stay to be seen, faintly.
_DROPPED = 0.25


def candidate_segment_id(key: str) -> str:
    """Segment id of a candidate ("T10:3" -> "T10_3")."""
    return key.replace(":", "_")


def fill(node: Any, grid: Grid, candidates: list[tuple[Candidate, np.ndarray]]) -> None:
    """Put every candidate with voxels ((N, 3) indices on the grid) into a segmentation node."""
    node.GetSegmentation().RemoveAllSegments()
    for candidate, voxels in candidates:
        if not len(voxels):
            continue
        low = voxels.min(0)
        shape = voxels.max(0) + 1 - low
        image, view = new_image(grid, low, shape)
        i, j, k = (voxels - low).T
        view[i + shape[0] * (j + shape[1] * k)] = 1
        polarity = _("lytic") if candidate.polarity == "lytic" else _("blastic")
        name = _("{level} {polarity} {number} (Δ {delta:.2f})").format(
            level=candidate.vertebra,
            polarity=polarity,
            number=candidate.number,
            delta=candidate.delta,
        )
        add_segment(
            node,
            candidate_segment_id(candidate.key),
            name,
            terminology.POLARITY_COLORS[candidate.polarity],
            terminology.lesion_entry(candidate.vertebra, candidate.polarity),
            image,
        )


def mark(node: Any, kept: dict[str, bool]) -> None:
    """Show kept candidates fully and dropped ones faintly: candidate key -> kept."""
    display = node.GetDisplayNode()
    if display is None:
        return
    modifying = display.StartModify()
    for key, is_kept in kept.items():
        identifier = candidate_segment_id(key)
        if node.GetSegmentation().GetSegment(identifier) is not None:
            display.SetSegmentOpacity2DFill(identifier, 1.0 if is_kept else _DROPPED)
            display.SetSegmentOpacity2DOutline(identifier, 1.0 if is_kept else _DROPPED)
            display.SetSegmentOpacity3D(identifier, 1.0 if is_kept else _DROPPED)
    display.EndModify(modifying)
