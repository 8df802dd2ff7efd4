"""What a DICOM export must know of a case: where its study is, whether its levels can be right."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from HideSeekLib.anatomy.geometry import SegmentVoxels, local_to_world
from HideSeekLib.anatomy.vertebrae import match_levels, segments_by_level
from HideSeekLib.case.case import Case
from HideSeekLib.case.dicom_database import instances
from HideSeekLib.case.stored_case import known_levels
from HideSeekLib.wire.levels import oddities

FOLDER = "dicom"
"""Below the folder of the exports, so that objects and other files never mix."""


def study_files(ct_node: Any) -> list[str]:
    """Files of a CT that was loaded from Slicer's DICOM database; none where it was not, or where
    one of them is gone."""
    database, uids = instances(ct_node)
    if database is None:
        return []
    files = [str(database.fileForInstance(uid) or "") for uid in uids]
    return files if all(name and Path(name).is_file() for name in files) else []


def odd_levels(case: Case) -> tuple[str, ...]:
    """Say what is odd about the levels of the vertebra segmentation, a sentence each."""
    node, heights = case.nodes.vertebrae, {}
    if node is not None:
        by_level = segments_by_level(match_levels(node, case.record.overrides))
        for level, segment in by_level.items():
            voxels = SegmentVoxels(node, segment)
            box = voxels.box()
            if box is not None:
                middle = voxels.affine[:3, :3] @ ((box[0] + box[1] - 1) / 2) + voxels.affine[:3, 3]
                heights[level] = local_to_world(node, middle)[2]
    return oddities(known_levels(case), heights)
