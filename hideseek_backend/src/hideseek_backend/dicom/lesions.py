"""What is exported of a case: lesions with their review state, and whether levels can be right."""

from __future__ import annotations

import csv
import io
import json
import uuid
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from hideseek_backend.dicom.needs import need
from hideseek_backend.errors import InputError, LabelError
from hideseek_backend.report.case_store import StoredCase
from hideseek_backend.volumes.volume import Volume
from hideseek_backend.wire.levels import oddities
from hideseek_backend.wire.records import Candidate, VertebraMessage

State = Literal["accepted", "not reviewed", "rejected"]
Decisions = Mapping[str, str]
"""A reader's verdicts: "T12:3" -> "accept" or "reject"; "keep" or "drop" is what the threshold of
the review makes of a candidate that nobody judged."""

_TRACKING = uuid.UUID("5b0f6f2e-6a0c-4c1e-9f0a-8d9f3c1b7a51")


@dataclass(frozen=True, eq=False)
class Lesion:
    """A candidate that leaves the house: segment `number` (from 1) of the export."""

    number: int
    candidate: Candidate
    vertebra: VertebraMessage
    state: State
    tracking_uid: str

    @property
    def label(self) -> str:
        """As shown in a viewer: "T12 blastic 1", with its state where no reader accepted it."""
        c = self.candidate
        words = f"{c.vertebra} {c.polarity} {c.number}"
        return words if self.state == "accepted" else f"{words} ({self.state})"


def exported_lesions(
    case: StoredCase,
    decisions: Decisions,
    series_uid: str,
    *,
    rejected: bool = False,
    tracking: Mapping[str, str] | None = None,
) -> tuple[Lesion, ...]:
    """Return the lesions to export: accepted ones, and those kept by Δ that nobody judged.

    rejected: rejected ones too, marked as such. A lesion's tracking uid follows from the series,
    the model and its number, so that a second export speaks of the same lesion. tracking: uids
    that lesions have had since an earlier date, "T12:3" -> uid.
    Raises InputError for decisions on candidates that are not in the case, or without voxels.
    """
    known = {c.key for v in case.vertebrae for c in v.candidates}
    strangers = sorted(set(decisions) - known)
    if strangers:
        raise InputError(
            f"Expected decisions on candidates of this case, got {', '.join(strangers[:5])}.",
            "Give the decisions that were made on this very result; for regions that a reader drew "
            "give the folder that the review was exported to as RESULT.",
        )
    model = str(case.provenance.get("model", {}).get("hash", ""))
    found: list[Lesion] = []
    for vertebra, candidate, state in _chosen(case, decisions, rejected):
        if _has_voxels(vertebra, candidate):
            name = f"{series_uid} {model} {candidate.key}"
            uid = (tracking or {}).get(candidate.key) or f"2.25.{uuid.uuid5(_TRACKING, name).int}"
            found.append(Lesion(len(found) + 1, candidate, vertebra, state, uid))
    return tuple(found)


def without_voxels(case: StoredCase, decisions: Decisions, *, rejected: bool = False) -> str:
    """Name the candidates that would be exported but have no voxel on the CT's grid; "" for none.

    They were lost between two thick slices, or a reader erased them.
    """
    lost = [c for v, c, _state in _chosen(case, decisions, rejected) if not _has_voxels(v, c)]
    if not lost:
        return ""
    names = ", ".join(f"{c.vertebra} {c.polarity} {c.number}" for c in lost)
    return (
        f"{len(lost)} candidates have no voxel on the grid of the CT and are not in the objects: "
        f"{names}."
    )


def _chosen(
    case: StoredCase, decisions: Decisions, rejected: bool
) -> Iterator[tuple[VertebraMessage, Candidate, State]]:
    for vertebra in case.vertebrae:
        for candidate in vertebra.candidates:
            state = _state(candidate, decisions)
            if state is not None and (rejected or state != "rejected"):
                yield vertebra, candidate, state


def _has_voxels(vertebra: VertebraMessage, candidate: Candidate) -> bool:
    labels = vertebra.block_labels
    return labels is not None and bool((labels == candidate.number).any())


def _state(candidate: Candidate, decisions: Decisions) -> State | None:
    verdict = decisions.get(candidate.key, candidate.decision)
    if verdict == "accept":
        return "accepted"
    if verdict == "reject":
        return "rejected"
    kept = verdict == "keep" if verdict in ("keep", "drop") else candidate.kept
    return "not reviewed" if kept else None


def label_map(case: StoredCase, lesions: Sequence[Lesion]) -> Volume:
    """Segment numbers on the grid of the analysed CT (I, J, K) uint16."""
    labels: NDArray[np.uint16] = np.zeros(case.shape, dtype=np.uint16)
    for lesion in lesions:
        block = lesion.vertebra.block_labels
        assert block is not None  # as `exported_lesions` chose them
        origin = lesion.vertebra.block_origin_ijk
        box = tuple(slice(o, o + n) for o, n in zip(origin, block.shape, strict=True))
        labels[box][block == lesion.candidate.number] = lesion.number
    return Volume(labels, case.affine)


def check_levels(case: StoredCase) -> tuple[str, ...]:
    """Say what is odd about the levels of a case, as `wire.levels.oddities` does."""
    present = [v for v in case.vertebrae if v.block_labels is not None or v.p_malignant >= 0]
    # All that the mask holds, where it is known: often few of them are analysed.
    labelled = case.provenance.get("labels", {}).get("levels")
    heights = {v.level: _height(v) for v in present if v.evidence is not None}
    return oddities(list(labelled or [v.level for v in present]), heights)


def require_levels(case: StoredCase, *, checked: bool) -> None:
    """Refuse a case whose levels look wrong unless somebody has checked them.

    Raises LabelError.
    """
    odd = check_levels(case)
    if odd and not checked:
        raise LabelError(
            f"The vertebral levels look odd: {' '.join(odd)}",
            "Count them in the images, correct the vertebra mask, or say --levels-checked.",
        )


def _height(vertebra: VertebraMessage) -> float:
    assert vertebra.evidence is not None
    centre = np.array([*(np.array(vertebra.evidence.image.shape[:1] * 3) / 2), 1.0])
    return float((vertebra.evidence.affine @ centre)[2])


def read_tracking(path: Path) -> dict[str, str]:
    """Tracking uids of an exported segmentation, "T12:3" -> uid.

    path: seg.dcm, or the folder that holds it. Raises InputError where it has none of ours.
    """
    pydicom = need("pydicom")
    file = path / "seg.dcm" if path.is_dir() else path
    try:
        segments = pydicom.dcmread(file, stop_before_pixels=True).SegmentSequence
        words = [(str(s.TrackingID).split(), str(s.TrackingUID)) for s in segments]
        return {f"{level}:{int(number)}": uid for (level, _kind, number), uid in words}
    except Exception as error:  # whatever a damaged or foreign object leads the parser to
        raise InputError(
            f"Expected a segmentation of `hideseek dicom export` in {file.name}, got none.",
            "Give the seg.dcm of the earlier result.",
        ) from error


def read_decisions(path: Path) -> dict[str, str]:
    """Read verdicts from JSON ({"T12:3": "accept"}) or from an exported candidates.csv.

    Raises InputError for another file or verdict.
    """
    try:
        text = path.read_text(encoding="utf-8")
        if path.suffix.lower() == ".csv":
            rows = csv.DictReader(io.StringIO(text))
            given = {f"{row['vertebra']}:{row['candidate']}": _verdict(row) for row in rows}
        else:
            given = json.loads(text)
            given = given.get("decisions", given)
            given = {k: v["verdict"] if isinstance(v, dict) else v for k, v in given.items()}
    except (OSError, ValueError, KeyError, AttributeError, TypeError) as error:
        raise InputError(
            f"Expected decisions in {path.name}, as candidates.csv has them or as JSON "
            '{"T12:3": "accept"}.',
            "Export the tables of the review again.",
        ) from error
    wrong = {str(v) for v in given.values()} - {"accept", "reject", "keep", "drop", ""}
    if wrong:
        raise InputError(
            f"Expected the verdicts accept and reject in {path.name}, got {', '.join(wrong)}.",
            "Correct the file.",
        )
    return {key: verdict for key, verdict in given.items() if verdict}


def _verdict(row: Mapping[str, str]) -> str:
    """Of a row of candidates.csv; without a decision the threshold of the review has kept it."""
    return row["decision"] or {"true": "keep", "false": "drop"}[row["kept"].strip().lower()]
