"""What a case comes to, in a few numbers and sentences."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from hideseek_backend.wire.words import UNEXPLAINED

if TYPE_CHECKING:
    from hideseek_backend.case import CaseResult, VertebraResult

DISCLAIMER = (
    "Research use only. HideSeek is not a medical device and is not cleared for diagnosis. "
    "Every candidate needs review by a radiologist; Δ is a score, not a probability of cancer."
)


@dataclass(frozen=True)
class Totals:
    """Counts over a case; volumes in mm³ of kept lesions.

    unexplained: flagged vertebrae of which nothing that is kept explains it. outside: those whose p
    is not to be trusted.
    """

    vertebrae: int
    flagged: int
    unexplained: int
    outside: int
    analysed: int
    candidates: int
    kept_lytic: int
    kept_blastic: int
    lytic_volume_mm3: float
    blastic_volume_mm3: float


def totals(vertebrae: Iterable[VertebraResult], p_threshold: float) -> Totals:
    """Count a case; a vertebra is flagged where its p (NaN: not computed) reaches `p_threshold`."""
    levels = list(vertebrae)
    candidates = [c for v in levels for c in v.candidates]
    return Totals(
        vertebrae=len(levels),
        flagged=sum(v.p_malignant >= p_threshold for v in levels),
        unexplained=sum(v.reason == UNEXPLAINED for v in levels),
        outside=sum(bool(v.outside) for v in levels),
        analysed=sum(v.analysed for v in levels),
        candidates=len(candidates),
        kept_lytic=sum(c.kept and c.polarity == "lytic" for c in candidates),
        kept_blastic=sum(c.kept and c.polarity == "blastic" for c in candidates),
        lytic_volume_mm3=sum(v.lytic_volume_mm3 for v in levels if v.analysed),
        blastic_volume_mm3=sum(v.blastic_volume_mm3 for v in levels if v.analysed),
    )


def case_warnings(result: CaseResult) -> tuple[str, ...]:
    """Return the warnings of the whole case and of each vertebra, once each, in order."""
    found = [str(text) for text in result.provenance.get("warnings", ())]
    found += [f"{v.level}: {text}" for v in result.vertebrae for text in v.warnings]
    return tuple(dict.fromkeys(found))
