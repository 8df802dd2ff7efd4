"""A case's results under its review, row by row. No MRML."""

from __future__ import annotations

import math
from collections.abc import Iterable

from HideSeekLib.case.record import Record
from HideSeekLib.case.review import Review
from HideSeekLib.wire.tables import Row, VertebraRow


def candidate_rows(record: Record, review: Review, keys: Iterable[str] | None = None) -> list[Row]:
    """Candidates from head to foot; keys limits them."""
    wanted = None if keys is None else set(keys)
    rows = []
    for c in record.candidates():
        key = c.key
        if wanted is not None and key not in wanted:
            continue
        decision = review.decision(key)
        rows.append(
            Row(
                key,
                c.vertebra,
                c.number,
                c.polarity,
                c.delta,
                review.kept(key),
                decision.verdict,
                decision.reason,
                c.p_hide,
                c.slices,
                c.area_px,
                c.volume_mm3,
                c.mean_hu,
                c.centroid_ras,
            )  # fmt: skip
        )
    return rows


def volume_mm3(record: Record, review: Review, level: str, polarity: str) -> float:
    """Volume of what is kept, mm³: the backend's own figure while nothing was changed."""
    reply = record.replies[level]
    own = [c for c in reply.candidates if c.polarity == polarity]
    if all(review.kept(c.key) == c.kept for c in own):
        return reply.lytic_volume_mm3 if polarity == "lytic" else reply.blastic_volume_mm3
    return review.volume_mm3(level, polarity)


def vertebra_rows(record: Record, review: Review) -> list[VertebraRow]:
    """Vertebrae from head to foot; those only screened have a P and no volumes (NaN)."""
    return [_vertebra_row(record, review, level) for level in record.levels()]


def _vertebra_row(record: Record, review: Review, level: str) -> VertebraRow:
    nan = math.nan
    reply = record.replies.get(level)
    if reply is None:
        p, reason = record.screen[level]
        return VertebraRow(level, p, None, False, reason, None, nan, nan, nan, nan, nan, ())
    lytic = volume_mm3(record, review, level, "lytic")
    blastic = volume_mm3(record, review, level, "blastic")
    body = reply.body_volume_mm3
    return VertebraRow(
        level, reply.p_malignant, reply.p_healthy_image, reply.analysed, reply.reason,
        reply.phenotype, body, lytic, blastic, lytic / body if body > 0 else nan,
        blastic / body if body > 0 else nan, reply.warnings,
    )  # fmt: skip
