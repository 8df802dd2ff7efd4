"""One segment per candidate, in a node of its own, on request."""

from __future__ import annotations

from typing import Any

import numpy as np
import slicer
import vtk

from HideSeekLib.anatomy.grid import Grid
from HideSeekLib.anatomy.labelmaps import labelmap_name, new_image, new_segment
from HideSeekLib.i18n import _
from HideSeekLib.wire import codes
from HideSeekLib.wire.records import Candidate

# Dropped candidates stay to be seen, faintly.
_DROPPED = 0.25


def candidate_segment_id(key: str) -> str:
    """Segment id of a candidate ("T10:3" -> "T10_3")."""
    return key.replace(":", "_")


def fill(node: Any, grid: Grid, candidates: list[tuple[Candidate, np.ndarray]]) -> None:
    """Put every candidate with voxels ((N, 3) indices on the grid) into a segmentation node.

    The candidates of a vertebra share one labelmap, and the node gets all of them at once: with a
    labelmap each, or one after the other, 200 of them would take the views half a minute.
    """
    segmentation = slicer.vtkSegmentation()
    segmentation.SetSourceRepresentationName(labelmap_name())
    by_level: dict[str, list[tuple[Candidate, np.ndarray]]] = {}
    for candidate, voxels in candidates:
        if len(voxels):
            by_level.setdefault(candidate.vertebra, []).append((candidate, voxels))
    for group in by_level.values():
        everything = np.concatenate([voxels for _candidate, voxels in group])
        low = everything.min(0)
        shape = everything.max(0) + 1 - low
        image, view = new_image(grid, low, shape, vtk.VTK_UNSIGNED_SHORT)
        for value, (candidate, voxels) in enumerate(group, start=1):
            i, j, k = (voxels - low).T
            view[i + shape[0] * (j + shape[1] * k)] = value
            segment = new_segment(
                _name(candidate),
                codes.COLORS[candidate.polarity],
                codes.lesion_entry(candidate.vertebra, candidate.polarity),
                image,
            )
            segment.SetLabelValue(value)
            segmentation.AddSegment(segment, candidate_segment_id(candidate.key))
    node.SetAndObserveSegmentation(segmentation)


def _name(candidate: Candidate) -> str:
    return _("{level} {polarity} {number} (Δ {delta:.2f})").format(
        level=candidate.vertebra,
        polarity=_("lytic") if candidate.polarity == "lytic" else _("blastic"),
        number=candidate.number,
        delta=candidate.delta,
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
