"""A region that the reader drew, or took from another tool: what the worker is asked about it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from HideSeekLib.anatomy import blocks
from HideSeekLib.anatomy.geometry import SegmentVoxels, between, need
from HideSeekLib.anatomy.vertebrae import match_levels, segments_by_level
from HideSeekLib.case.case import Case
from HideSeekLib.errors import InputError
from HideSeekLib.i18n import _


@dataclass(frozen=True, eq=False)
class Region:
    """One segment of any segmentation, as the worker's "score" method takes it.

    level: of the vertebra that it lies in. voxels: (N, 3) int32 indices on the CT's grid. params:
    of the request, arrays not yet encoded.
    """

    level: str
    voxels: np.ndarray
    params: dict[str, Any]


def region_of(case: Case, segmentation_node: Any, segment_id: str) -> Region:
    """Make the request for a segment: the vertebra that holds most of it is the one it belongs to.

    Raises InputError for a segment without voxels or in no vertebra, NodeGone.
    """
    ct = need(case.ct, _("The CT"))
    vertebrae = need(case.nodes.vertebrae, _("The vertebra segmentation"))
    need(segmentation_node, _("The segmentation of the region"))
    drawn = SegmentVoxels(segmentation_node, segment_id)
    level, vertebra_segment = _vertebra_of(case, vertebrae, segmentation_node, drawn)
    block = blocks.cut_block(
        ct, vertebrae, vertebra_segment, level, body_node=case.node.GetNodeReference("bodies")
    )
    mask = drawn.on_grid(between(ct, segmentation_node) @ block.affine, block.ct.shape)
    if not mask.any():
        raise InputError(
            _("The region has no voxel near {level}. Draw it in the vertebra.").format(level=level)
        )
    others = np.zeros(mask.shape, np.uint16)
    reply = case.record.replies.get(level)
    for number, index in (reply.voxels if reply is not None else {}).items():
        place = index - np.array(block.origin_ijk)
        inside = np.all((place >= 0) & (place < mask.shape), axis=1)
        others[tuple(place[inside].T)] = number
    known = [c.number for c in reply.candidates] if reply is not None else []
    params = {
        "blocks": [block.message()],
        "region": mask.astype(np.uint8),
        "others": others,
        "number": max(known, default=0) + 1,
    }
    voxels = (np.argwhere(mask) + np.array(block.origin_ijk)).astype(np.int32)
    return Region(level, voxels, params)


def _vertebra_of(
    case: Case, vertebrae: Any, segmentation_node: Any, drawn: SegmentVoxels
) -> tuple[str, str]:
    """Level and segment id of the vertebra that holds most of a segment."""
    box = drawn.box()
    if box is None:
        raise InputError(_("The segment is empty. Draw the region first."))
    part = drawn.array[tuple(slice(a, b) for a, b in zip(*box, strict=True))]
    index = np.argwhere(part == drawn.value) + box[0]
    to_vertebrae = between(segmentation_node, vertebrae) @ drawn.affine
    points = index @ to_vertebrae[:3, :3].T + to_vertebrae[:3, 3]
    shares = {
        level: int(SegmentVoxels(vertebrae, segment).contains(points).sum())
        for level, segment in segments_by_level(
            match_levels(vertebrae, case.record.overrides)
        ).items()
    }
    level = max(shares, key=lambda name: shares[name], default="")
    if not shares.get(level):
        raise InputError(
            _(
                "The region lies in no vertebra of '{name}'. Draw it in one, or extend that one."
            ).format(name=vertebrae.GetName())
        )
    return level, segments_by_level(match_levels(vertebrae, case.record.overrides))[level]
