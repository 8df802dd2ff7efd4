"""report.html: one page without outside resources, for the screen and for paper."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import PurePath
from typing import TYPE_CHECKING, Any

from jinja2 import Environment, PackageLoader, StrictUndefined, Template

from hideseek_backend.report.panels import Panels, vertebra_panels
from hideseek_backend.report.sentences import LANGUAGES, report_text
from hideseek_backend.report.summary import DISCLAIMER, case_warnings, totals
from hideseek_backend.wire.codec import to_plain
from hideseek_backend.wire.records import Candidate
from hideseek_backend.wire.tables import number

if TYPE_CHECKING:
    from hideseek_backend.case import CaseResult, VertebraResult

# Kept out of the page, so that the same seed gives the same bytes; report.json has them.
TIMES = ("timings", "seconds", "date", "time", "started", "finished")
# Shown by themselves or too long for the page's list.
ELSEWHERE = ("warnings", "inputs", *TIMES)


@dataclass(frozen=True)
class CandidateView:
    """One row of a candidate table."""

    candidate: Candidate
    state: str
    centroid: str


@dataclass(frozen=True)
class VertebraView:
    """One vertebra as the page shows it; panels is None where it was not analysed."""

    result: VertebraResult
    p: float | None
    malignant: bool
    kept: int
    candidates: tuple[CandidateView, ...]
    panels: Panels | None


def case_page(result: CaseResult, title: str | None = None) -> str:
    """Return the report of a case as one HTML document.

    title: of the page; by default the CT's file name.
    """
    views = [_vertebra_view(v, result.options.p_threshold) for v in result.vertebrae]
    return template("report.html").render(
        title=title or _case_name(result),
        disclaimer=DISCLAIMER,
        totals=totals(result.vertebrae, result.options.p_threshold),
        threshold=result.options.p_threshold,
        tau=result.options.tau,
        central=result.options.slices == "central",
        warnings=case_warnings(result),
        vertebrae=views,
        reviewed=any(c.decision for v in result.vertebrae for c in v.candidates),
        texts=_texts(result),
        inputs=_pairs(result.provenance.get("inputs", {})),
        provenance=_pairs({k: v for k, v in result.provenance.items() if k not in ELSEWHERE}),
        options=_pairs(to_plain(result.options)),
    )


def _texts(result: CaseResult) -> dict[str, str]:
    volumes = result.options.slices != "central"
    found = {
        name: report_text(result.vertebrae, language=name, volumes=volumes) for name in LANGUAGES
    }
    return {name: text for name, text in found.items() if text}


def _vertebra_view(vertebra: VertebraResult, p_threshold: float) -> VertebraView:
    p = vertebra.p_malignant if math.isfinite(vertebra.p_malignant) else None
    return VertebraView(
        result=vertebra,
        p=p,
        malignant=p is not None and p >= p_threshold,
        kept=sum(c.kept for c in vertebra.candidates),
        candidates=tuple(_candidate_view(c) for c in vertebra.candidates),
        panels=vertebra_panels(vertebra) if vertebra.evidence else None,
    )


def _candidate_view(candidate: Candidate) -> CandidateView:
    decided = {"accept": "accepted", "reject": "rejected"}
    state = decided.get(candidate.decision, "kept" if candidate.kept else "dropped")
    r, a, s = candidate.centroid_ras
    words = (_side(r, "R", "L"), _side(a, "A", "P"), _side(s, "S", "I"))
    return CandidateView(candidate, state, ", ".join(words))


def _side(value: float, positive: str, negative: str) -> str:
    return f"{positive if value >= 0 else negative} {abs(value):.1f}"


def _case_name(result: CaseResult) -> str:
    inputs = result.provenance.get("inputs", {})
    name = inputs.get("ct") if isinstance(inputs, Mapping) else None
    return PurePath(str(name)).name if name else "CT"


def _pairs(values: Any, prefix: str = "") -> list[tuple[str, str]]:
    """Flatten nested values into (name, text) rows."""
    if not isinstance(values, Mapping):
        return [(prefix, str(values))]
    rows: list[tuple[str, str]] = []
    for key, value in values.items():
        name = f"{prefix} {key}".strip().replace("_", " ")
        if key in TIMES:
            continue
        if isinstance(value, Mapping):
            rows += _pairs(value, name)
        elif isinstance(value, Sequence) and not isinstance(value, str):
            rows.append((name, ", ".join(str(item) for item in value)))
        else:
            rows.append((name, "" if value is None else str(value)))
    return rows


def _probability(value: float | None) -> str:
    """Write a probability for a reader: two decimals, and never 0.00 or 1.00 for what is not."""
    if value is None or not math.isfinite(value):
        return "–"
    if 0 < value < 0.005:
        return "< 0.01"
    if 0.995 < value < 1:
        return "> 0.99"
    return f"{value:.2f}"


def _delta(value: float) -> str:
    """Write Δ with two decimals and a real minus sign, never a negative zero."""
    text = number(value, 2)
    return text.replace("-", "\N{MINUS SIGN}") if text else "–"


def _volume(value: float) -> str:
    """Write mm³ as such below 1 mL, as mL above."""
    if not math.isfinite(value):
        return "–"
    return f"{value / 1000:.2f} mL" if value >= 1000 else f"{value:.0f} mm³"


def _whole(value: float) -> str:
    return number(value, 0) or "–"


@lru_cache(maxsize=8)
def template(name: str) -> Template:
    """Return a page's template with the filters that pages share."""
    environment = Environment(
        loader=PackageLoader("hideseek_backend.report", "templates"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["probability"] = _probability
    environment.filters["volume"] = _volume
    environment.filters["delta"] = _delta
    environment.filters["whole"] = _whole
    return environment.get_template(name)
