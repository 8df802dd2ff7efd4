"""What the images show of each item of the worksheet."""

from __future__ import annotations

import math
from collections.abc import Mapping

import numpy as np

from hideseek_backend.errors import LabelError
from hideseek_backend.followup.timepoint import Timepoint
from hideseek_backend.report.sentences import KEPT_LOSS
from hideseek_backend.sins.measure import BodyFrame, alignment, corner_shares
from hideseek_backend.wire.heights import collapses
from hideseek_backend.wire.sins import Sheet, Suggestion, location

_MIXED = 0.1  # share of the smaller polarity from which a vertebra is mixed
# White and Panjabi 1990: translation of 4.5 mm and more, 11° more than the segment beside it.
_STEP_MM, _WEDGE_DEG = 4.5, 11.0
_CORNER = 0.2  # share of a posterolateral corner


def suggest(date: Timepoint, frames: Mapping[str, BodyFrame], level: str) -> Sheet:
    """Fill in what can be seen of a vertebra; pain is the reader's alone.

    frames: of `measure.body_frames`. Lesions are those that count: kept by Δ, or a reader's.
    Raises LabelError for a level without a body.
    """
    if level not in frames:
        raise LabelError(
            f"Expected a body of {level} to measure, got none.",
            f"Choose among {', '.join(frames) or 'no levels at all'}.",
        )
    return Sheet(
        level,
        (
            Suggestion("location", location(level), f"{level} is a {location(level)} level"),
            _lesion(date, level),
            _alignment(frames, level),
            _collapse(date, frames, level),
            _corners(date, frames[level], level),
        ),
    )


def _lesion(date: Timepoint, level: str) -> Suggestion:
    volume = {"lytic": 0.0, "blastic": 0.0}
    for found in date.of(level):
        if found.counts:
            volume[found.candidate.polarity] += found.candidate.volume_mm3
    total = sum(volume.values())
    if not total:
        return Suggestion("lesion", "", "no lesion is kept or accepted here")
    share = volume["lytic"] / total
    kind = "mixed" if _MIXED <= share <= 1 - _MIXED else "lytic" if share > 0.5 else "blastic"
    return Suggestion(
        "lesion", kind, f"{volume['lytic'] / 1000:.1f} mL lytic, {volume['blastic'] / 1000:.1f} mL "
        "blastic", 100 * share, "% lytic",
    )  # fmt: skip


def _alignment(frames: Mapping[str, BodyFrame], level: str) -> Suggestion:
    found = alignment(frames, level)
    told = []
    if found.step_mm is not None:
        told.append(f"posterior wall {found.step_mm:.1f} mm off {found.step_to}")
    if found.wedge_deg is not None:
        told.append(f"endplates {found.wedge_deg:+.0f}° against the other bodies")
    if not told:
        return Suggestion("alignment", "", "no neighbour to compare with")
    slipped = (found.step_mm or 0.0) >= _STEP_MM
    bent = abs(found.wedge_deg or 0.0) >= _WEDGE_DEG
    choice = "subluxation" if slipped else "deformity" if bent else "normal"
    if bent and not slipped:
        told.append("whether it is new, earlier images must tell")
    value, unit = (found.step_mm, "mm") if slipped else (found.wedge_deg, "°")
    return Suggestion(
        "alignment", choice, "; ".join(told), math.nan if value is None else value, unit
    )


def _collapse(date: Timepoint, frames: Mapping[str, BodyFrame], level: str) -> Suggestion:
    found = collapses({name: frame.heights.mm for name, frame in frames.items()}).get(level)
    if found is None:
        return Suggestion("collapse", "", "heights could not be measured")
    lost = ", ".join(
        f"{a:.1f} of {b:.1f}" for a, b in zip(found.measured, found.expected, strict=True)
    )
    because = f"anterior, middle, posterior height {lost} mm expected"
    if not found.compared_with:
        because += " (no neighbours: its own greatest height)"
    percent = 100 * found.loss
    if found.loss >= 0.5:
        return Suggestion("collapse", "over half", because, percent, "% lost")
    if found.loss >= KEPT_LOSS:
        return Suggestion("collapse", "under half", because, percent, "% lost")
    body = float(len(frames[level].points)) * frames[level].voxel_mm3
    volume = sum(f.candidate.volume_mm3 for f in date.of(level) if f.counts)
    share = 100 * volume / body
    because += f"; lesions fill {share:.0f} % of the body"
    choice = "half involved" if share > 50 else "none"
    return Suggestion("collapse", choice, because, percent, "% lost")


def _corners(date: Timepoint, frame: BodyFrame, level: str) -> Suggestion:
    places = [f.places for f in date.of(level) if f.counts]
    caution = "the arch is not analysed: look at pedicles and facets"
    if not places:
        return Suggestion("posterolateral", "", caution)
    voxel = float(np.prod(date.spacing))
    left, right = corner_shares(frame, np.concatenate(places), voxel)
    sides = sum(share >= _CORNER for share in (left, right))
    return Suggestion(
        "posterolateral", ("none", "one side", "both sides")[sides],
        f"lesions fill {100 * left:.0f} % of the left and {100 * right:.0f} % of the right "
        f"posterolateral corner of the body; {caution}", 100 * max(left, right), "% of a corner",
    )  # fmt: skip
