"""A case's results under its review, record by record. No MRML."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

import numpy as np

from HideSeekLib.case.record import Record
from HideSeekLib.case.review import Review
from HideSeekLib.wire.codec import shared
from HideSeekLib.wire.heights import GENANT_GRADE_2, with_fractures
from HideSeekLib.wire.records import Candidate, Vertebra
from HideSeekLib.wire.words import UNEXPLAINED


def candidate_rows(
    record: Record, review: Review, keys: Iterable[str] | None = None
) -> list[Candidate]:
    """Candidates from head to foot, with what the review makes of them; keys limits them."""
    wanted = None if keys is None else set(keys)
    return [
        _reviewed(c, review)
        for c in record.candidates()
        if (wanted is None or c.key in wanted) and not review.withdrawn(c.key)
    ]


def volume_mm3(record: Record, review: Review, level: str, polarity: str) -> float:
    """Volume of what is kept, mm³: the backend's own figure while nothing was changed.

    What a reader drew may lie over other candidates; what they share counts once.
    """
    reply = record.replies[level]
    own = [c for c in reply.candidates if c.polarity == polarity]
    kept = [c for c in own if review.kept(c.key)]
    if any(c.source == "reader" for c in kept):
        voxels = np.concatenate([reply.voxels[c.number] for c in kept])
        return len(np.unique(voxels, axis=0)) * record.grid.voxel_volume_mm3
    if all(review.kept(c.key) == c.kept for c in own if c.source == "model"):
        return reply.lytic_volume_mm3 if polarity == "lytic" else reply.blastic_volume_mm3
    return review.volume_mm3(level, polarity)


def vertebra_rows(record: Record, review: Review) -> list[Vertebra]:
    """Vertebrae from head to foot with what is kept now; those only screened have no volumes.

    Heights are compared anew, because each vertebra came without its neighbours.
    """
    told = [_vertebra_row(record, review, level) for level in record.levels()]
    loss = record.options.get("fracture_loss")
    return with_fractures(told, float(loss) if loss is not None else GENANT_GRADE_2)


def _vertebra_row(record: Record, review: Review, level: str) -> Vertebra:
    """One vertebra with its candidates and volumes as the review makes them."""
    reply = record.replies.get(level)
    if reply is None:
        return record.screen[level]
    candidates = tuple(
        _reviewed(c, review) for c in reply.candidates if not review.withdrawn(c.key)
    )
    explained = reply.reason == UNEXPLAINED and any(c.kept for c in candidates)
    return replace(
        Vertebra(**shared(reply, Vertebra)),
        reason="" if explained else reply.reason,
        candidates=candidates,
        lytic_volume_mm3=volume_mm3(record, review, level, "lytic"),
        blastic_volume_mm3=volume_mm3(record, review, level, "blastic"),
    )


def _reviewed(candidate: Candidate, review: Review) -> Candidate:
    key = candidate.key
    decision = review.decision(key)
    return replace(
        candidate, kept=review.kept(key), decision=decision.verdict, reason=decision.reason
    )
