"""What the worker is told of a case's date, and what it answers: follow-up, worksheets. With MRML.

Both are kept in text nodes of the case, so that a reopened scene shows them again.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import Any

import numpy as np
import vtk

from HideSeekLib.anatomy import blocks
from HideSeekLib.anatomy.geometry import need
from HideSeekLib.case.case import Case, cases_in_scene
from HideSeekLib.errors import SceneError
from HideSeekLib.i18n import _
from HideSeekLib.wire.changes import FollowUp, LevelPair
from HideSeekLib.wire.codec import from_plain, shared, to_plain
from HideSeekLib.wire.errors import WireError
from HideSeekLib.wire.records import Vertebra, VertebraMessage
from HideSeekLib.wire.sins import Sheet

FOLLOW_UP, SHEETS = "followUp", "sheets"
_EARLIER = "earlierCase"
_EARLIER_CT = "earlierCt"


def date_message(case: Case) -> dict[str, Any]:
    """One date as the worker takes it, arrays not yet encoded; it carries no identifiers.

    Raises NodeGone where CT or segmentation is gone, InputError for a level without voxels.
    """
    ct = need(case.ct, _("The CT"))
    vertebrae = need(case.nodes.vertebrae, _("The vertebra segmentation"))
    record = case.record
    found = blocks.iter_blocks(
        ct,
        vertebrae,
        body_node=case.node.GetNodeReference("bodies"),
        overrides=record.overrides,
    )
    return {
        "affine": record.grid.affine.tolist(),
        "model": str(record.model.get("hash", "")),
        "scan": record.provenance.get("scan") or {},
        "options": {**record.options, **(record.provenance.get("options") or {})},
        "vertebrae": [to_plain(_message(case, row)) for row in case.vertebra_rows()],
        "bodies": [
            {"level": b.level, "affine": b.affine.tolist(), "vertebra": b.vertebra, "body": b.body}
            for b in found
        ],
    }


def _message(case: Case, row: Vertebra) -> VertebraMessage:
    """One vertebra with what the review makes of it, and its candidates' voxels."""
    reply = case.record.replies.get(row.level)
    voxels = {} if reply is None else {n: v for n, v in reply.voxels.items() if len(v)}
    if not voxels:
        return VertebraMessage(**shared(row, Vertebra))
    low = np.min([v.min(0) for v in voxels.values()], axis=0)
    high = np.max([v.max(0) for v in voxels.values()], axis=0)
    labels = np.zeros(high - low + 1, np.uint16)
    for number, index in voxels.items():
        labels[tuple((index - low).T)] = number
    i, j, k = (int(n) for n in low)
    return VertebraMessage(**shared(row, Vertebra), block_labels=labels, block_origin_ijk=(i, j, k))


def other_cases(case: Case) -> list[Case]:
    """Cases of the scene that may be an earlier date of this one."""
    return [one for one in cases_in_scene(case.node.GetScene()) if one.node is not case.node]


def keep_follow_up(case: Case, earlier: Case, message: Any) -> FollowUp:
    """Read the worker's answer and keep it with the case. Raises SceneError where it is damaged."""
    told = _read(FollowUp, message)
    case.node.SetNodeReferenceID(_EARLIER, earlier.node.GetID())
    case.nodes.keep_text(FOLLOW_UP, json.dumps(to_plain(told, listed=True)))
    return told


def follow_up_of(case: Case) -> FollowUp | None:
    """The follow-up kept with a case, or None. Raises SceneError where it is damaged."""
    text = case.nodes.text_of(FOLLOW_UP)
    return _read(FollowUp, json.loads(text)) if text else None


def earlier_of(case: Case) -> Case | None:
    """The case that this one was compared with, while it is in the scene."""
    node = case.node.GetNodeReference(_EARLIER)
    return next((one for one in other_cases(case) if one.node is node), None)


def keep_sheets(case: Case, sheets: Iterable[Sheet]) -> None:
    """Keep worksheets with the case, one a level."""
    case.nodes.keep_text(SHEETS, json.dumps(to_plain(list(sheets))))


def sheets_of(case: Case) -> dict[str, Sheet]:
    """Level -> worksheet kept with a case. Raises SceneError where they are damaged."""
    text = case.nodes.text_of(SHEETS)
    sheets = [read_sheet(one) for one in json.loads(text)] if text else []
    return {sheet.level: sheet for sheet in sheets}


def read_sheet(message: Any) -> Sheet:
    """Read a worksheet as the worker tells it. Raises SceneError."""
    return _read(Sheet, message)


def earlier_ct(case: Case, pair: LevelPair) -> Any:
    """The earlier CT where a vertebra of it lies on the current one: a volume node of ours.

    It shares the earlier CT's voxels and has a place of its own, so that nothing of the user's
    moves. It is never saved. Raises NodeGone.
    """
    earlier = earlier_of(case)
    source = need(None if earlier is None else earlier.ct, _("The earlier CT"))
    node = case.node.GetNodeReference(_EARLIER_CT)
    if node is None:
        node = case.nodes.ours(
            _EARLIER_CT, "vtkMRMLScalarVolumeNode", _("{case} earlier CT"), _("Evidence")
        )
        node.SetSaveWithScene(False)
        node.CreateDefaultDisplayNodes()
    node.SetAndObserveImageData(source.GetImageData())
    if source.GetDisplayNode() is not None and node.GetDisplayNode() is not None:
        node.GetDisplayNode().Copy(source.GetDisplayNode())
    place = vtk.vtkMatrix4x4()
    source.GetIJKToRASMatrix(place)
    motion = vtk.vtkMatrix4x4()
    for row in range(4):
        for column in range(4):
            motion.SetElement(row, column, float(pair.matrix[row, column]))
    vtk.vtkMatrix4x4.Multiply4x4(motion, place, place)
    node.SetIJKToRASMatrix(place)
    return node


def _read(record: type[Any], message: Any) -> Any:
    try:
        return from_plain(record, message)
    except WireError as error:
        raise SceneError(
            _("A stored comparison or worksheet cannot be read ({error}). Make it again.").format(
                error=error
            )
        ) from error
