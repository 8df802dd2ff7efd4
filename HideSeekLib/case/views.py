"""What the slice views show: jump to a lesion, outline it, fade between CT and healthy edit.

Works on slice and composite nodes, so in any layout. The foreground that the user had is
remembered in the composite node and put back when a fade ends.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from typing import Any

import numpy as np
import slicer

from HideSeekLib.anatomy.geometry import (
    SegmentVoxels,
    grid_of,
    in_scene,
    local_to_world,
    need,
)
from HideSeekLib.anatomy.labelmaps import add_segment, new_image
from HideSeekLib.anatomy.vertebrae import match_levels, segments_by_level
from HideSeekLib.case.case import Case
from HideSeekLib.errors import SceneError
from HideSeekLib.i18n import _
from HideSeekLib.wire.codes import lesion_entry

HIGHLIGHT_NAME = "HideSeek highlight"
HIGHLIGHT_COLOR = (1.0, 0.85, 0.1)
_BEFORE = "HideSeek.ForegroundBefore"


def _nodes(scene: Any, class_name: str) -> Iterator[Any]:
    for index in range(scene.GetNumberOfNodesByClass(class_name)):
        yield scene.GetNthNodeByClass(index, class_name)


def jump_to(ras_world: Iterable[float], slice_nodes: Iterable[Any] | None = None) -> None:
    """Centre slice views on a point in world RAS (mm): all of them, or those given."""
    r, a, s = (float(v) for v in ras_world)
    if slice_nodes is None:
        slice_nodes = _nodes(slicer.mrmlScene, "vtkMRMLSliceNode")
    for node in list(slice_nodes):
        node.JumpSliceByCentering(r, a, s)


def candidate_point(case: Case, key: str) -> tuple[float, float, float]:
    """Point of a candidate in world RAS (mm): its voxel nearest to the centroid, so that a hollow
    or bent lesion is hit too, moved onto an edited slice. Raises KeyError for an unknown key."""
    candidate = case.review.candidate(key)
    voxels = case.voxels(key)
    point = np.array(candidate.centroid_ras)
    if len(voxels):
        places = case.record.grid.ras(voxels)
        point = places[np.argmin(((places - point) ** 2).sum(1))]
    return local_to_world(_frame_node(case), _on_evidence(case, candidate.vertebra, point))


# Two voxels of a thick-slice CT; further off the lesion has no evidence at all.
_SNAP_MM = 3.0


def _on_evidence(case: Case, level: str, point: np.ndarray) -> np.ndarray:
    """Move a point onto the nearest edited slice when one is near: between slices, or beside a
    single one, a view would show the lesion without its healthy edit."""
    node = case.nodes.healthy(level)
    if not in_scene(node) or node.GetImageData() is None:
        return point
    grid = grid_of(node)
    index = grid.ijk(point)
    nearest = float(np.clip(np.rint(index[2]), 0, grid.shape[2] - 1))
    moved = grid.ras(np.array([index[0], index[1], nearest]))
    return moved if np.linalg.norm(moved - point) <= _SNAP_MM else point


def in_world(case: Case, place: np.ndarray) -> tuple[float, float, float]:
    """A place in the CT's own frame, RAS mm, in world RAS."""
    return local_to_world(_frame_node(case), place)


def level_point(case: Case, level: str) -> tuple[float, float, float]:
    """The middle of a vertebra's segment in world RAS (mm). Raises SceneError without one."""
    node = need(case.nodes.vertebrae, _("The vertebra segmentation"))
    found = segments_by_level(match_levels(node, case.record.overrides))
    if level not in found:
        raise SceneError(_("No segment is matched to {level}.").format(level=level))
    voxels = SegmentVoxels(node, found[level])
    box = voxels.box()
    if box is None:
        raise SceneError(_("The segment of {level} is empty.").format(level=level))
    middle = (np.asarray(box[0]) + np.asarray(box[1]) - 1) / 2
    place = voxels.affine[:3, :3] @ middle + voxels.affine[:3, 3]
    return local_to_world(node, place)


def _frame_node(case: Case) -> Any:
    """A node in the CT's frame: the CT, or the lesions when the CT was deleted."""
    node = case.ct if case.ct is not None else case.lesions
    return need(node, _("The CT"))


def show_candidate(case: Case, key: str) -> None:
    """Jump all slice views to a candidate and draw a yellow line around it."""
    jump_to(candidate_point(case, key))
    highlight(case, [key])


def highlight(case: Case, keys: Iterable[str]) -> None:
    """Draw a yellow line around candidates; it replaces the one before and is never saved."""
    keys = list(keys)
    scene = need(case.node, _("The HideSeek case")).GetScene()
    node = scene.GetFirstNodeByName(HIGHLIGHT_NAME)
    if node is None:
        # Hidden before it is added: Slicer does not look again whether a node is hidden.
        node = scene.CreateNodeByClass("vtkMRMLSegmentationNode")
        node.UnRegister(None)
        node.SetName(HIGHLIGHT_NAME)
        node.SetSaveWithScene(False)
        node.SetHideFromEditors(True)
        scene.AddNode(node)
        node.CreateDefaultDisplayNodes()
        display = node.GetDisplayNode()
        if display is not None:
            display.SetSaveWithScene(False)
            display.SetVisibility2DFill(False)
            display.SetVisibility2DOutline(True)
            display.SetVisibility3D(False)
            display.SetSliceIntersectionThickness(3)
    node.GetSegmentation().RemoveAllSegments()
    node.SetAndObserveTransformNodeID(_frame_node(case).GetTransformNodeID())
    voxels = [case.voxels(key) for key in keys]
    places = np.concatenate(voxels) if voxels else np.zeros((0, 3), np.int32)
    if not len(places):
        return
    low = places.min(0) - 1
    shape = places.max(0) + 2 - low
    image, view = new_image(case.record.grid, low, shape)
    i, j, k = (places - low).T
    view[i + shape[0] * (j + shape[1] * k)] = 1
    first = case.review.candidate(keys[0])
    entry = lesion_entry(first.vertebra, first.polarity)
    add_segment(node, "highlight", " ".join(keys), HIGHLIGHT_COLOR, entry, image)


def clear_highlight(case: Case | None = None) -> None:
    """Take the yellow line away; nothing happens when there is none."""
    scene = slicer.mrmlScene if case is None or not case.alive else case.node.GetScene()
    node = scene.GetFirstNodeByName(HIGHLIGHT_NAME)
    if node is not None:
        node.GetSegmentation().RemoveAllSegments()


def set_background(case: Case) -> None:
    """Show the case's CT in all slice views. Raises NodeGone when it was deleted."""
    ct = need(case.ct, _("The CT"))
    for composite in _nodes(ct.GetScene(), "vtkMRMLSliceCompositeNode"):
        if composite.GetBackgroundVolumeID() != ct.GetID():
            composite.SetBackgroundVolumeID(ct.GetID())


def fade(case: Case, level: str, opacity: float) -> None:
    """Lay a vertebra's healthy edit over the CT. opacity: 0 only the CT, 1 only the edit.

    At 0 the foreground that was there before comes back. Raises SceneError when the vertebra has no
    healthy edit.
    """
    if opacity <= 0:
        clear_fade(case)
        return
    need(case.node, _("The HideSeek case"))
    node = case.nodes.healthy(level)
    if not in_scene(node):
        raise SceneError(
            _("{level} has no healthy edit in the scene. Analyse it again to see one.").format(
                level=level
            )
        )
    lay_over(case, node, min(float(opacity), 1.0))


def flicker(case: Case, level: str) -> bool:
    """Swap between the CT and its healthy edit; returns True when the edit shows now."""
    need(case.node, _("The HideSeek case"))
    node = case.nodes.healthy(level)
    shown = any(
        composite.GetForegroundVolumeID() == node.GetID() and composite.GetForegroundOpacity() > 0.5
        for composite in _nodes(case.node.GetScene(), "vtkMRMLSliceCompositeNode")
        if node is not None
    )
    fade(case, level, 0.0 if shown else 1.0)
    return not shown


def show_difference(case: Case, level: str, on: bool, opacity: float = 0.6) -> None:
    """Lay the difference over the CT (red: bone restored, lytic; blue: bone taken away, blastic).

    Raises SceneError when the vertebra has none.
    """
    if not on:
        clear_fade(case)
        return
    need(case.node, _("The HideSeek case"))
    node = case.nodes.difference(level)
    if not in_scene(node):
        raise SceneError(
            _("{level} has no difference volume in the scene. Analyse it again to see one.").format(
                level=level
            )
        )
    lay_over(case, node, opacity)


def lay_over(case: Case, node: Any, opacity: float) -> None:
    """Show a volume over the CT in all slice views; `clear_fade` ends it."""
    for composite in _nodes(case.node.GetScene(), "vtkMRMLSliceCompositeNode"):
        if composite.GetAttribute(_BEFORE) is None:
            before = [composite.GetForegroundVolumeID(), composite.GetForegroundOpacity()]
            composite.SetAttribute(_BEFORE, json.dumps(before))
        modifying = composite.StartModify()
        composite.SetForegroundVolumeID(node.GetID())
        composite.SetForegroundOpacity(opacity)
        composite.EndModify(modifying)


def clear_fade(case: Case | None = None) -> None:
    """Give every slice view the foreground back that it had before a fade."""
    scene = slicer.mrmlScene if case is None or not case.alive else case.node.GetScene()
    for composite in _nodes(scene, "vtkMRMLSliceCompositeNode"):
        stored = composite.GetAttribute(_BEFORE)
        if stored is None:
            continue
        volume_id, opacity = json.loads(stored)
        composite.RemoveAttribute(_BEFORE)
        modifying = composite.StartModify()
        if volume_id is not None and scene.GetNodeByID(volume_id) is None:
            volume_id = None
        composite.SetForegroundVolumeID(volume_id)
        composite.SetForegroundOpacity(opacity)
        composite.EndModify(modifying)
