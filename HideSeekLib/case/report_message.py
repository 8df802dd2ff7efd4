"""The worker's `report` request, rebuilt from the scene.

Everything comes from the nodes of the case, so that the report can be made of a reopened scene,
or after the worker was restarted, and says what the review says now.
"""

from __future__ import annotations

import html
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np
import slicer.util
import vtk

from HideSeekLib.anatomy.geometry import need
from HideSeekLib.case import rows
from HideSeekLib.case.reply import VertebraReply
from HideSeekLib.i18n import _
from HideSeekLib.wire.codec import shared, to_plain
from HideSeekLib.wire.records import Evidence, Vertebra, VertebraMessage

# The name of a CT may name a patient, and the worker may be on another computer: the title is put
# in on this side.
TITLE_MARK = "@hideseek-title@"


def report_params(case: Any) -> dict[str, Any]:
    """Return the parameters of the `report` request for a case, arrays not yet encoded.

    Raises NodeGone when the case is no longer in the scene.
    """
    need(case.node, _("The HideSeek case"))
    record = case.record
    return {
        "title": TITLE_MARK,
        **settings(case),
        "vertebrae": [
            to_plain(vertebra_message(case, row))
            for row in rows.vertebra_rows(record, case.review)
            if row.level in record.replies
        ],
    }


def settings(case: Any) -> dict[str, Any]:
    """Return the options and the provenance of a case; inputs, whose names may name a patient,
    are left out."""
    record = case.record
    provenance = {k: v for k, v in record.provenance.items() if k != "inputs"}
    return {
        "options": {**record.options, "tau": case.review.threshold},
        "provenance": {"model": record.model, **provenance},
    }


def put_title(page: str, title: str) -> str:
    """Put the case's name into the page that the worker made."""
    return page.replace(TITLE_MARK, html.escape(title))


def vertebra_message(case: Any, row: Vertebra) -> VertebraMessage:
    """Return one vertebra as the worker streams it, with what the review makes of it."""
    reply = case.record.replies[row.level]
    shown = {c.number for c in row.candidates}
    reply = replace(reply, voxels={n: v for n, v in reply.voxels.items() if n in shown})
    evidence = evidence_message(case, reply)
    return VertebraMessage(**shared(row, Vertebra), evidence=evidence)


def evidence_message(case: Any, reply: VertebraReply) -> Evidence | None:
    """Return the evidence of a vertebra from its two volumes, or None where they are gone."""
    healthy_node, difference_node = (
        case.nodes.healthy(reply.level),
        case.nodes.difference(reply.level),
    )
    if healthy_node is None or difference_node is None:
        return None
    slices = [int(k) for k in (healthy_node.GetAttribute("HideSeek.Slices") or "").split()]
    if not slices:
        return None
    last = max(slices)
    affine = _affine(healthy_node)
    # The volume's third axis runs the other way, so that it is right-handed: see evidence.py.
    crop = affine.copy()
    crop[:3, 2] = -affine[:3, 2]
    crop[:3, 3] = affine[:3, 3] + affine[:3, 2] * last
    layers = [last - k for k in slices]
    healthy, difference = (
        slicer.util.arrayFromVolume(node).transpose(2, 1, 0)[:, :, layers].astype(np.float32)
        for node in (healthy_node, difference_node)
    )
    return Evidence(
        affine=crop,
        slices=tuple(slices),
        image=healthy - difference,
        healthy=healthy,
        difference=difference,
        unit="model" if healthy_node.GetAttribute("HideSeek.Unit") == "model" else "HU",
        labels=crop_labels(reply.voxels, case.record.grid.affine, crop, healthy.shape, slices),
    )


def crop_labels(
    voxels: Mapping[int, np.ndarray],
    ct_affine: np.ndarray,
    crop_affine: np.ndarray,
    shape: tuple[int, ...],
    slices: list[int],
) -> np.ndarray:
    """Return candidate numbers on crop slices, (64, 64, n) uint16, nearest voxel of the CT.

    voxels: candidate number -> (N, 3) indices on the CT; affines: index -> RAS mm.
    """
    found = [index for index in voxels.values() if len(index)]
    labels = np.zeros(shape, np.uint16)
    if not found:
        return labels
    low = np.min([index.min(0) for index in found], axis=0)
    high = np.max([index.max(0) for index in found], axis=0)
    box = np.zeros(high - low + 1, np.uint16)
    for number, index in voxels.items():
        box[tuple((index - low).T)] = number
    i, j, n = np.indices(shape)
    crop_index = np.stack([i, j, np.asarray(slices)[n], np.ones(shape)], axis=-1)
    to_ct = np.linalg.inv(ct_affine) @ crop_affine
    ct_index = np.rint(crop_index @ to_ct.T)[..., :3].astype(np.int64) - low
    inside = np.all((ct_index >= 0) & (ct_index < box.shape), axis=-1)
    labels[inside] = box[tuple(ct_index[inside].T)]
    return labels


def _affine(node: Any) -> np.ndarray:
    matrix = vtk.vtkMatrix4x4()
    node.GetIJKToRASMatrix(matrix)
    return np.array([[matrix.GetElement(r, c) for c in range(4)] for r in range(4)])
