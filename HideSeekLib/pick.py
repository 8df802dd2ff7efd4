"""A click in a slice view: where it is, which vertebra it hits, and a body grown from it."""

from __future__ import annotations

from collections.abc import Generator, Mapping, Sequence
from typing import Any

import numpy as np
import slicer

from . import grow, levels, terminology
from .errors import InputError
from .geometry import grid_of, need, voxels_of, world_to_local
from .i18n import _
from .segments import add_segment, new_image
from .vertebrae import Hit, level_at

BODY_COLOR = (0.95, 0.8, 0.45)


def click_to_ras(slice_node: Any, xy: Sequence[float]) -> tuple[float, float, float]:
    """World RAS (mm) of a place in a slice view. xy: pixels from the view's lower left corner."""
    ras = slice_node.GetXYToRAS().MultiplyPoint((float(xy[0]), float(xy[1]), 0.0, 1.0))
    return (ras[0], ras[1], ras[2])


def vertebra_at_click(
    slice_node: Any,
    xy: Sequence[float],
    segmentation_node: Any,
    overrides: Mapping[str, str] | None = None,
) -> Hit | None:
    """Find the vertebra under the cursor, or within 3 mm of it; None where there is none."""
    return level_at(segmentation_node, click_to_ras(slice_node, xy), overrides)


def grow_body(ct_node: Any, ras_world: Sequence[float], level: str) -> Any:
    """Grow an approximate vertebral body from a click in one go; see `grow_body_steps`."""
    steps = grow_body_steps(ct_node, ras_world, level)
    while True:
        try:
            next(steps)
        except StopIteration as end:
            return end.value


def grow_body_steps(
    ct_node: Any, ras_world: Sequence[float], level: str
) -> Generator[None, None, Any]:
    """Grow an approximate vertebral body from a click in steps of some 30 ms.

    Returns a new segmentation node with one segment.

    ras_world: the click in world RAS (mm), anywhere within the body. The segment is meant to be
    looked at and corrected before the analysis (`blocks.block_from_body`).
    Raises InputError for an unknown level or a click outside the CT, NodeGone without the CT.
    """
    need(ct_node, _("The CT"))
    if level not in levels.LEVELS:
        raise InputError(_("Choose the level of the vertebra first."))
    grid = grid_of(ct_node)
    seed = np.array(world_to_local(ct_node, ras_world))
    index = grid.ijk(seed)
    if np.any(index < -0.5) or np.any(index > np.array(grid.shape) - 0.5):
        raise InputError(_("The click is outside the CT. Click inside a vertebral body."))
    mask, low = yield from grow.grow_steps(voxels_of(ct_node), grid, seed, level)
    need(ct_node, _("The CT"))
    if not mask.any():
        raise InputError(
            _("No vertebral body was found around the click. Click in the middle of one.")
        )
    scene = ct_node.GetScene()
    node = scene.AddNewNodeByClass(
        "vtkMRMLSegmentationNode", _("{ct} {level} body").format(ct=ct_node.GetName(), level=level)
    )
    node.SetReferenceImageGeometryParameterFromVolumeNode(ct_node)
    node.CreateDefaultDisplayNodes()
    node.SetAndObserveTransformNodeID(ct_node.GetTransformNodeID())
    image, view = new_image(grid, low, np.array(mask.shape))
    view[:] = mask.transpose(2, 1, 0).reshape(-1)
    add_segment(
        node,
        f"body_{level}",
        _("{level} body (approximate)").format(level=level),
        BODY_COLOR,
        terminology.body_entry(level),
        image,
    )
    return node


def slice_nodes() -> list[Any]:
    """All slice nodes of the scene, in which a pick can be made."""
    scene = slicer.mrmlScene
    return [
        scene.GetNthNodeByClass(n, "vtkMRMLSliceNode")
        for n in range(scene.GetNumberOfNodesByClass("vtkMRMLSliceNode"))
    ]
