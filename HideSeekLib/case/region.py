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

CLICKED = "clicked"
"""Role of the bodies about clicks, of which a case may have several."""


@dataclass(frozen=True, eq=False)
class Region:
    """One segment of any segmentation, as the worker's "score" method takes it.

    level: of the vertebra that it lies in. voxels: (N, 3) int32 indices on the CT's grid. params:
    of the request, arrays not yet encoded.
    """

    level: str
    voxels: np.ndarray
    params: dict[str, Any]


@dataclass(frozen=True)
class _Place:
    """A vertebra that a region may lie in. clicked: only a body about a click is known of it."""

    level: str
    node: Any
    segment_id: str
    clicked: bool

    def block(self, case: Case) -> blocks.Block:
        """Cut the block of the vertebra out of the CT."""
        if self.clicked:
            return blocks.block_from_body(case.ct, self.node, self.segment_id, self.level)
        body_node = case.node.GetNodeReference("bodies")
        return blocks.cut_block(
            case.ct, self.node, self.segment_id, self.level, body_node=body_node
        )


def remember_clicked(case: Case, body_node: Any) -> None:
    """Let regions be scored in a vertebra that was clicked and has no segmentation of its own."""
    hub = need(case.node, _("The HideSeek case"))
    known = [hub.GetNthNodeReferenceID(CLICKED, n) for n in range(_count(hub))]
    if body_node.GetID() not in known:
        hub.AddNodeReferenceID(CLICKED, body_node.GetID())


def has_vertebrae(case: Case) -> bool:
    """Tell whether there is any vertebra that a region may lie in."""
    return case.nodes.vertebrae is not None or _count(case.node) > 0


def clicked_bodies(case: Case) -> list[Any]:
    """Bodies about clicks, as nodes; None for one that was deleted."""
    return [case.node.GetNthNodeReference(CLICKED, n) for n in range(_count(case.node))]


def _count(hub: Any) -> int:
    return int(hub.GetNumberOfNodeReferences(CLICKED))


def _places(case: Case) -> dict[str, _Place]:
    found = {}
    for node in [*clicked_bodies(case), case.nodes.vertebrae]:
        if node is not None:
            of_case = node is case.nodes.vertebrae
            matches = match_levels(node, case.record.overrides if of_case else {})
            for level, segment_id in segments_by_level(matches).items():
                found[level] = _Place(level, node, segment_id, not of_case)
    return found


def region_of(case: Case, segmentation_node: Any, segment_id: str) -> Region:
    """Make the request for a segment: the vertebra that holds most of it is the one it belongs to.

    Raises InputError for a segment without voxels or in no vertebra, NodeGone.
    """
    ct = need(case.ct, _("The CT"))
    need(segmentation_node, _("The segmentation of the region"))
    drawn = SegmentVoxels(segmentation_node, segment_id)
    place = _place_of(case, segmentation_node, drawn)
    level, block = place.level, place.block(case)
    mask = drawn.on_grid(between(ct, segmentation_node) @ block.affine, block.ct.shape)
    if not mask.any():
        raise InputError(
            _("The region has no voxel near {level}. Draw it in the vertebra.").format(level=level)
        )
    others = np.zeros(mask.shape, np.uint16)
    reply = case.record.replies.get(level)
    known = list(reply.candidates) if reply is not None else []
    for candidate in known:
        if reply is None or case.review.withdrawn(candidate.key):
            continue
        inside = reply.voxels[candidate.number] - np.array(block.origin_ijk)
        inside = inside[np.all((inside >= 0) & (inside < mask.shape), axis=1)]
        others[tuple(inside.T)] = candidate.number
    params = {
        "blocks": [block.message()],
        "region": mask.astype(np.uint8),
        "others": others,
        "number": max((c.number for c in known), default=0) + 1,
    }
    voxels = (np.argwhere(mask) + np.array(block.origin_ijk)).astype(np.int32)
    return Region(level, voxels, params)


def _place_of(case: Case, segmentation_node: Any, drawn: SegmentVoxels) -> _Place:
    """The vertebra that holds most of a segment."""
    box = drawn.box()
    if box is None:
        raise InputError(_("The segment is empty. Draw the region first."))
    part = drawn.array[tuple(slice(a, b) for a, b in zip(*box, strict=True))]
    index = np.argwhere(part == drawn.value) + box[0]
    places = _places(case)
    if not places:
        need(case.nodes.vertebrae, _("The vertebra segmentation"))

    def share(place: _Place) -> int:
        to_vertebra = between(segmentation_node, place.node) @ drawn.affine
        points = index @ to_vertebra[:3, :3].T + to_vertebra[:3, 3]
        return int(SegmentVoxels(place.node, place.segment_id).contains(points).sum())

    shares = {level: share(place) for level, place in places.items()}
    level = max(shares, key=lambda name: shares[name], default="")
    if not shares.get(level):
        names = {place.node.GetName() for place in places.values()}
        raise InputError(
            _(
                "The region lies in no vertebra of '{name}'. Draw it in one, or extend that one."
            ).format(name="', '".join(sorted(names)))
        )
    return places[level]
