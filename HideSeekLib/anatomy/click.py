"""A click in a slice view: where it is, which vertebra it hits, and the body about it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import slicer

from HideSeekLib.anatomy import blocks
from HideSeekLib.anatomy.geometry import grid_of, need, voxels_of, world_to_local
from HideSeekLib.anatomy.labelmaps import add_segment, new_image
from HideSeekLib.anatomy.vertebrae import Hit, level_at
from HideSeekLib.errors import InputError, ReplyError
from HideSeekLib.i18n import _
from HideSeekLib.wire import arrays, codes, levels
from HideSeekLib.wire.errors import WireError

BODY_COLOR = (0.95, 0.8, 0.45)
REACH_MM = 55.0
"""Half the side of the cube about a click that the worker looks for a body in."""


def click_to_ras(view: Any, slice_node: Any, xy: Sequence[float]) -> tuple[float, float, float]:
    """World RAS (mm) of a place in a slice view. xy: pixels from the view's lower left corner.

    The view itself knows which of several slices of a light box was hit; a view without that
    knowledge shows one slice, whose matrix is in the node.
    """
    if hasattr(view, "convertDeviceToXYZ"):
        ras = view.convertXYZToRAS(view.convertDeviceToXYZ([int(xy[0]), int(xy[1])]))
    else:
        ras = slice_node.GetXYToRAS().MultiplyPoint((float(xy[0]), float(xy[1]), 0.0, 1.0))
    return (ras[0], ras[1], ras[2])


def vertebra_at(
    ras: Sequence[float], segmentation_node: Any, overrides: Mapping[str, str] | None = None
) -> Hit | None:
    """Find the vertebra at a place in world RAS, or within 3 mm of it; None where there is none."""
    return level_at(segmentation_node, ras, overrides)


def body_request(ct_node: Any, ras_world: Sequence[float], level: str) -> dict[str, Any]:
    """What the worker's "body" method is asked: the CT about a click, the click and the level.

    ras_world: the click in world RAS (mm), anywhere within the body.
    Raises InputError for an unknown level or a click outside the CT, NodeGone without the CT.
    """
    need(ct_node, _("The CT"))
    if level not in levels.LEVELS:
        raise InputError(_("Choose the level of the vertebra first."))
    grid = grid_of(ct_node)
    point = np.array(world_to_local(ct_node, ras_world))
    index = grid.ijk(point)
    if np.any(index < -0.5) or np.any(index > np.array(grid.shape) - 0.5):
        raise InputError(_("The click is outside the CT. Click inside a vertebral body."))
    low, high = blocks.cube_about(grid, point, REACH_MM)
    box = tuple(slice(a, b) for a, b in zip(low, high, strict=True))
    affine = blocks.shifted(grid.affine, low)
    return {
        "level": level,
        "ct": blocks.hounsfield(voxels_of(ct_node)[box]),
        "affine": affine.tolist(),
        "point": point.tolist(),
    }


def body_from_reply(
    ct_node: Any, level: str, affine: Sequence[Sequence[float]], reply: Mapping[str, Any]
) -> Any:
    """Put the worker's approximate body into the scene: a new segmentation node, one segment.

    affine: of the request that the reply answers. The segment is meant to be looked at and
    corrected before the analysis (`blocks.block_from_body`).
    Raises InputError when no body was found, ReplyError for a reply that cannot be read, NodeGone
    without the CT.
    """
    need(ct_node, _("The CT"))
    low = reply.get("low")
    try:
        mask = arrays.decode(reply.get("mask"), ndim=3)
    except WireError as error:
        raise ReplyError(f"mask: {error}") from error
    if not isinstance(low, list) or len(low) != 3:
        raise ReplyError(f"expected the corner of the mask, got {low!r:.60}")
    if not mask.any():
        raise InputError(
            _("No vertebral body was found around the click. Click in the middle of one.")
        )
    grid = grid_of(ct_node)
    # The box's corner in the CT, from the affine that went along with it.
    corner = grid.ijk(np.array(affine, float)[:3, 3]).round().astype(int) + np.array(low, int)
    scene = ct_node.GetScene()
    node = scene.AddNewNodeByClass(
        "vtkMRMLSegmentationNode", _("{ct} {level} body").format(ct=ct_node.GetName(), level=level)
    )
    node.SetReferenceImageGeometryParameterFromVolumeNode(ct_node)
    node.CreateDefaultDisplayNodes()
    node.SetAndObserveTransformNodeID(ct_node.GetTransformNodeID())
    image, view = new_image(grid, corner, np.array(mask.shape))
    view[:] = mask.transpose(2, 1, 0).reshape(-1)
    add_segment(
        node,
        f"body_{level}",
        _("{level} body (approximate)").format(level=level),
        BODY_COLOR,
        codes.vertebra_entry(level),
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
