"""The backend's answer for one vertebra, with its voxels on the CT's own grid. No MRML."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from HideSeekLib.errors import ReplyError
from HideSeekLib.wire.codec import from_plain, shared
from HideSeekLib.wire.errors import WireError
from HideSeekLib.wire.records import Candidate, Evidence, Vertebra, VertebraMessage


@dataclass(frozen=True, eq=False)
class VertebraReply(Vertebra):
    """One vertebra as the case keeps it.

    voxels: candidate number -> (N, 3) int32 voxel indices (i, j, k) on the CT's own grid.
    options: what the analysis was run with.
    """

    voxels: Mapping[int, np.ndarray] = field(default_factory=dict)
    evidence: Evidence | None = None
    options: Mapping[str, Any] = field(default_factory=dict)


def parse_vertebra(message: Any, options: Mapping[str, Any] | None = None) -> VertebraReply:
    """Check and convert a vertebra as the worker streams it.

    options: what the analysis was asked for; the threshold that the worker applied joins them.
    Raises ReplyError naming the field that is missing or wrong; nothing is guessed.
    """
    try:
        read = from_plain(VertebraMessage, message, "vertebra")
    except WireError as error:
        raise ReplyError(str(error)) from error
    return VertebraReply(
        **shared(read, Vertebra),
        voxels=_voxels(read),
        evidence=read.evidence,
        options={**(options or {}), **({} if read.tau is None else {"tau": read.tau})},
    )


def parse_candidate(message: Any) -> Candidate:
    """Check and convert one candidate. Raises ReplyError."""
    try:
        return from_plain(Candidate, message, "candidate")
    except WireError as error:
        raise ReplyError(str(error)) from error


def parse_screened(message: Any) -> Vertebra:
    """Check and convert a vertebra as a screening reports it. Raises ReplyError."""
    try:
        return from_plain(Vertebra, message, "vertebra")
    except WireError as error:
        raise ReplyError(str(error)) from error


def _voxels(read: VertebraMessage) -> dict[int, np.ndarray]:
    """Voxel indices on the CT's grid of every candidate, from the block's label array."""
    if read.block_labels is None:
        return {}
    index = np.argwhere(read.block_labels)
    values = read.block_labels[tuple(index.T)]
    index = (index + np.array(read.block_origin_ijk, int)).astype(np.int32)
    return {c.number: index[values == c.number] for c in read.candidates}
