"""Which segment is which vertebra: by terminology code, segment id, name; or by the user."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from HideSeekLib.anatomy.geometry import SegmentVoxels, world_to_local
from HideSeekLib.errors import InputError
from HideSeekLib.i18n import _
from HideSeekLib.wire import codes, levels

__all__ = [
    "Hit",
    "SegmentLevel",
    "level_at",
    "match_label_values",
    "match_levels",
    "segments_by_level",
]


@dataclass(frozen=True)
class SegmentLevel:
    """One segment and the level it was matched to.

    level: a name in `levels.LEVELS`, or None. source: how it was found, "user", "terminology",
    "segment id", "name", or "" where nothing was. is_body: the segment is the body alone.
    note: why there is no level, or why it cannot be used, as a sentence; "" when all is well.
    """

    segment_id: str
    name: str
    level: str | None
    source: str
    is_body: bool = False
    note: str = ""


@dataclass(frozen=True)
class Hit:
    """The vertebra found at a point: its level, its segment, and how far off it was in mm."""

    level: str
    segment_id: str
    distance_mm: float


def _entry_of(segment: Any) -> str:
    getter = getattr(segment, "GetTerminology", None)  # Slicer 5.10 and later
    if getter is not None:
        return getter() or ""
    return segment.GetTag("TerminologyEntry") or ""


def _match(segment_id: str, segment: Any, override: str | None) -> SegmentLevel:
    name = segment.GetName() or ""
    body = levels.names_a_body(name) or levels.names_a_body(segment_id)
    if override is not None:
        if override == "":
            return SegmentLevel(segment_id, name, None, "user", body, _("Set aside by you."))
        if override not in levels.LEVELS:
            raise InputError(
                _("'{level}' is not a vertebral level; choose one of {known}.").format(
                    level=override, known=", ".join(levels.LEVELS)
                )
            )
        return SegmentLevel(segment_id, name, override, "user", body)
    for source, level in (
        ("terminology", codes.level_of_entry(_entry_of(segment))),
        ("segment id", levels.parse_level(segment_id)),
        ("name", levels.parse_level(name)),
    ):
        if level is not None:
            return SegmentLevel(segment_id, name, level, source, body)
    if levels.is_sacrum(name) or levels.is_sacrum(segment_id):
        note = _("The sacrum is not analysed.")
    else:
        note = _("No level in the code, id or name. Choose the level if this is a vertebra.")
    return SegmentLevel(segment_id, name, None, "", body, note)


def match_levels(
    segmentation_node: Any, overrides: Mapping[str, str] | None = None
) -> tuple[SegmentLevel, ...]:
    """Match every segment of a node to a level, in the node's order.

    overrides: segment id -> level, as the user set it; "" says that it is no vertebra. Two whole
    vertebrae with one level both get a note and are left out by `segments_by_level`; where a node
    has a vertebra and its body, the whole vertebra stands for the level.
    Raises InputError for an override that is no level.
    """
    overrides = overrides or {}
    segmentation = segmentation_node.GetSegmentation()
    found = []
    for index in range(segmentation.GetNumberOfSegments()):
        segment_id = segmentation.GetNthSegmentID(index)
        segment = segmentation.GetSegment(segment_id)
        found.append(_match(segment_id, segment, overrides.get(segment_id)))
    whole = Counter(m.level for m in found if m.level and not m.is_body)
    bodies = Counter(m.level for m in found if m.level and m.is_body)
    checked = []
    for match in found:
        if match.level is None:
            checked.append(match)
        elif match.is_body and whole[match.level]:
            note = _("The body of {level}; the whole vertebra is used.").format(level=match.level)
            checked.append(replace(match, note=note))
        elif (bodies if match.is_body else whole)[match.level] > 1:
            note = _("Another segment is {level} too. Correct one of them.").format(
                level=match.level
            )
            checked.append(replace(match, note=note))
        else:
            checked.append(match)
    return tuple(checked)


def match_label_values(segmentation_node: Any, scheme: str) -> dict[str, str]:
    """Read levels from label values, in a scheme that the user names: segment id -> level.

    A value alone says nothing (20 is L1 in VerSe, L3 in TotalSegmentator v1), so this is never
    done unasked. The value is the number in an id or name such as "Segment_20" or "label 20", else
    the segment's value in its labelmap. The answer goes to `match_levels` as overrides.
    Raises KeyError for an unknown scheme.
    """
    table = levels.LABEL_SCHEMES[scheme]
    segmentation = segmentation_node.GetSegmentation()
    answer = {}
    for index in range(segmentation.GetNumberOfSegments()):
        segment_id = segmentation.GetNthSegmentID(index)
        segment = segmentation.GetSegment(segment_id)
        value = _number_in(segment_id) or _number_in(segment.GetName() or "")
        level = table.get(value or int(segment.GetLabelValue()))
        if level is not None:
            answer[segment_id] = level
    return answer


def _number_in(text: str) -> int | None:
    digits = "".join(c if c.isdigit() else " " for c in text).split()
    return int(digits[0]) if len(digits) == 1 else None


def segments_by_level(matches: Iterable[SegmentLevel]) -> dict[str, str]:
    """Usable matches as level -> segment id, from head to foot; noted ones are left out."""
    usable = [m for m in matches if m.level is not None and not m.note]
    usable.sort(key=lambda m: levels.order(m.level or ""))
    return {m.level: m.segment_id for m in usable if m.level is not None}


def level_at(
    segmentation_node: Any,
    ras_world: Any,
    overrides: Mapping[str, str] | None = None,
    tolerance_mm: float = 3.0,
) -> Hit | None:
    """Find the vertebra at a point in world RAS (mm), or the nearest one within tolerance_mm.

    Returns None where there is no vertebra. Segments with a duplicate level are not found.
    """
    by_level = segments_by_level(match_levels(segmentation_node, overrides))
    center = np.array(world_to_local(segmentation_node, ras_world))
    # Points on growing shells about the click, nearest first; the click itself is the first.
    steps = np.arange(-3, 4) * (max(tolerance_mm, 0.0) / 3.0)
    offsets = np.stack(np.meshgrid(steps, steps, steps, indexing="ij"), axis=-1).reshape(-1, 3)
    distance = np.linalg.norm(offsets, axis=1)
    near = distance <= tolerance_mm + 1e-6
    offsets, distance = offsets[near], distance[near]
    by_distance = np.argsort(distance, kind="stable")
    offsets, distance = offsets[by_distance], distance[by_distance]
    best: Hit | None = None
    for level, segment_id in by_level.items():
        inside = SegmentVoxels(segmentation_node, segment_id).contains(center + offsets)
        if inside.any():
            off = float(distance[int(np.argmax(inside))])
            if best is None or off < best.distance_mm:
                best = Hit(level, segment_id, off)
    return best
