"""One date: bodies, lesions and pictures of a result, whichever way it came."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hideseek_backend.volumes.volume import FloatArray, Volume
from hideseek_backend.wire.acquisition import UNTOLD, Acquisition
from hideseek_backend.wire.levels import order
from hideseek_backend.wire.records import Candidate, Evidence, Vertebra, VertebraMessage


@dataclass(frozen=True, eq=False)
class Finding:
    """A candidate with its voxels' centres, (N, 3) RAS mm. counts: it is a lesion at its date:
    kept by Δ, or what a reader decided. edges: (3, 3), columns are a voxel's edges, RAS mm."""

    candidate: Candidate
    places: FloatArray
    counts: bool
    edges: FloatArray

    def filled(self, apart_mm: float) -> FloatArray:
        """Points (M, 3), RAS mm, that fill the voxels and lie at most `apart_mm` from the next: the
        centres alone of 5 mm slices would pass by those of another scan's slices."""
        parts = np.maximum(np.ceil(np.linalg.norm(self.edges, axis=0) / apart_mm - 1e-6), 1)
        within = np.indices(parts.astype(int)).reshape(3, -1).T + 0.5
        steps = (within / parts - 0.5) @ self.edges.T
        return np.asarray((self.places[:, None, :] + steps).reshape(-1, 3))


@dataclass(frozen=True, eq=False)
class Timepoint:
    """One date of a patient.

    bodies: level -> mask of its body, a box of the CT or of a crop, head to foot. vertebrae: what
    was found there. evidence: of those analysed. spacing: (3,) mm of the CT's voxels.
    options, model: with which it was analysed; model is the hash, "" where none was.
    date: as the user gave it, "" if not. scan: how the CT was made.
    """

    bodies: Mapping[str, Volume]
    findings: tuple[Finding, ...]
    spacing: FloatArray
    vertebrae: Mapping[str, Vertebra] = field(default_factory=dict)
    evidence: Mapping[str, Evidence] = field(default_factory=dict)
    options: Mapping[str, Any] = field(default_factory=dict)
    model: str = ""
    date: str = ""
    scan: Acquisition = UNTOLD

    @property
    def thickness_mm(self) -> float:
        """Of the slices: thicker than the voxels where they overlap."""
        apart = float(self.spacing.max())
        return max(apart, self.scan.thickness_mm) if self.scan.thickness_mm > 0 else apart

    def of(self, level: str) -> list[Finding]:
        """The findings of one vertebra."""
        return [f for f in self.findings if f.candidate.vertebra == level]


def timepoint(
    vertebrae: tuple[VertebraMessage, ...],
    affine: FloatArray,
    bodies: Mapping[str, Volume],
    *,
    options: Mapping[str, Any],
    model: str,
    decisions: Mapping[str, str] | None = None,
    date: str = "",
    scan: Acquisition = UNTOLD,
) -> Timepoint:
    """Make a date of an analysis.

    affine: of the CT. bodies: of levels that are not analysed too, where they are at hand; the
    others' come from the evidence. decisions: a reader's, "T12:3" -> "accept" or "reject".
    """
    verdicts = decisions or {}
    found = {v.level: v for v in vertebrae}
    masks = {v.level: m for v in vertebrae if (m := _body_of(v)) is not None} | dict(bodies)
    spacing = np.linalg.norm(affine[:3, :3], axis=0)
    return Timepoint(
        {level: masks[level] for level in sorted(masks, key=order)},
        tuple(f for v in vertebrae for f in _findings(v, affine, verdicts)),
        spacing,
        found,
        {v.level: v.evidence for v in vertebrae if v.evidence is not None},
        options,
        model,
        date,
        scan,
    )


def boxes(
    labels: NDArray[np.uint8], levels: Mapping[str, int], affine: FloatArray
) -> dict[str, Volume]:
    """Cut each level's mask out of a label map (I, J, K) of bodies, head to foot."""
    whole = Volume(labels, affine)
    found = {}
    for level in sorted(levels, key=order):
        index = np.argwhere(labels == levels[level])
        if len(index):
            box = whole.box(index.min(axis=0), index.max(axis=0) + 1)
            found[level] = box.with_data(box.data == levels[level])
    return found


def _body_of(vertebra: VertebraMessage) -> Volume | None:
    """The body in the evidence, where all its slices are there."""
    evidence = vertebra.evidence
    if evidence is None or evidence.body is None or len(evidence.slices) < 3:
        return None
    affine = evidence.affine.copy()
    affine[:3, 3] += affine[:3, 2] * evidence.slices[0]
    return Volume(evidence.body > 0, affine)


def _findings(
    vertebra: VertebraMessage, affine: FloatArray, verdicts: Mapping[str, str]
) -> Iterator[Finding]:
    if vertebra.block_labels is None:
        return
    block = Volume(vertebra.block_labels, affine)
    for candidate in vertebra.candidates:
        index = np.argwhere(block.data == candidate.number)
        if not len(index):
            continue
        verdict = verdicts.get(candidate.key, candidate.decision)
        counts = verdict == "accept" if verdict else candidate.kept
        places = block.ras(index + np.asarray(vertebra.block_origin_ijk))
        yield Finding(candidate, places, counts, affine[:3, :3])
