"""A reviewed case as one object, as `hideseek segment` stores its own: for a DICOM export."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import numpy as np

from HideSeekLib.anatomy.vertebrae import match_levels, segments_by_level
from HideSeekLib.case.case import Case
from HideSeekLib.case.report_message import evidence_message, settings
from HideSeekLib.case.reviewed import Reviewed, reviewed
from HideSeekLib.case.rows import vertebra_rows
from HideSeekLib.wire.codec import shared, to_plain
from HideSeekLib.wire.records import Vertebra, VertebraMessage
from HideSeekLib.wire.words import CASE_FORMAT


def stored_case(case: Case, vertebrae: list[dict[str, Any]] | None = None) -> dict[str, Any]:
    """Give the object, its arrays not yet encoded: voxels, states and measures of the review.

    vertebrae: what `vertebra_messages` gave, where that was gone through in steps. It names no
    patient: neither the nodes nor the files of the case are in it.
    Raises NodeGone when the CT or the lesions were deleted.
    """
    grid = case.record.grid
    told = settings(case)
    provenance = {**told["provenance"], "labels": {"levels": list(known_levels(case))}}
    return {
        "format": CASE_FORMAT,
        "grid": {"shape": list(grid.shape), "affine": grid.affine.tolist()},
        "vertebrae": list(vertebra_messages(case)) if vertebrae is None else vertebrae,
        "options": told["options"],
        "provenance": to_plain(provenance),
    }


def vertebra_messages(case: Case) -> Iterator[dict[str, Any]]:
    """Yield the vertebrae from head to foot; each `next()` does one. Raises as `stored_case`."""
    for row in vertebra_rows(case.record, case.review):
        yield to_plain(_message(case, row))


def known_levels(case: Case) -> tuple[str, ...]:
    """Levels of the vertebra segmentation, or those of the results without one."""
    node = case.nodes.vertebrae
    if node is None:
        return tuple(case.record.levels())
    return tuple(segments_by_level(match_levels(node, case.record.overrides)))


def changed_by_hand(case: Case) -> tuple[str, ...]:
    """Keys of kept candidates whose voxels are no longer those that were scored."""
    rows = vertebra_rows(case.record, case.review)
    return tuple(
        key
        for row in rows
        if row.level in case.record.replies
        for key in reviewed(case, row).changed
    )


def _message(case: Case, row: Vertebra) -> VertebraMessage:
    reply = case.record.replies.get(row.level)
    if reply is None:
        return VertebraMessage(**shared(row, Vertebra))
    now = reviewed(case, row)
    labels, origin = _block(now)
    return VertebraMessage(
        **shared(replace(row, candidates=now.candidates), Vertebra),
        evidence=evidence_message(case, replace(reply, voxels=now.voxels)),
        block_labels=labels,
        block_origin_ijk=origin,
    )


def _block(now: Reviewed) -> tuple[np.ndarray | None, tuple[int, int, int]]:
    """Candidate numbers on the smallest box that holds them all, and its corner."""
    given = [index for index in now.voxels.values() if len(index)]
    if not given:
        return None, (0, 0, 0)
    everything = np.concatenate(given)
    low = everything.min(0)
    labels = np.zeros(everything.max(0) + 1 - low, np.uint16)
    for number, index in now.voxels.items():
        labels[tuple((index - low).T)] = number
    i, j, k = (int(n) for n in low)
    return labels, (i, j, k)
