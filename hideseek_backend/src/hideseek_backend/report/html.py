"""report.html: one page without outside resources, for the screen and for paper."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import PurePath
from typing import TYPE_CHECKING, Any

from jinja2 import Environment, PackageLoader, StrictUndefined, Template

from hideseek_backend.report.json_report import to_plain
from hideseek_backend.report.panels import Panels, vertebra_panels
from hideseek_backend.report.summary import DISCLAIMER, case_warnings, totals
from hideseek_backend.report.tables import fraction, number

if TYPE_CHECKING:
    from hideseek_backend.case import Candidate, CaseResult, VertebraResult

Decisions = Mapping[str, str]
"""What the user decided: "T12:3" (level, candidate number) -> "accept" or "reject"."""

# Kept out of the page, so that the same seed gives the same bytes; report.json has them.
TIMES = ("timings", "seconds", "date", "time", "started", "finished")
# Shown by themselves or too long for the page's list.
ELSEWHERE = ("warnings", "inputs", *TIMES)


@dataclass(frozen=True)
class CandidateView:
    """One row of a candidate table."""

    candidate: Candidate
    decision: str
    state: str
    centroid: str


@dataclass(frozen=True)
class VertebraView:
    """One vertebra as the page shows it; panels is None where it was not analysed."""

    result: VertebraResult
    p: float | None
    malignant: bool
    kept: int
    lytic_share: float | None
    blastic_share: float | None
    candidates: tuple[CandidateView, ...]
    panels: Panels | None


def case_page(
    result: CaseResult, decisions: Decisions | None = None, title: str | None = None
) -> str:
    """Return the report of a case as one HTML document.

    decisions: the user's, shown beside each candidate where given.
    title: of the page; by default the CT's file name.
    """
    views = [_vertebra_view(v, result, decisions or {}) for v in result.vertebrae]
    return _template().render(
        title=title or _case_name(result),
        disclaimer=DISCLAIMER,
        totals=totals(result.vertebrae, result.options.p_threshold),
        threshold=result.options.p_threshold,
        tau=result.options.tau,
        central=result.options.slices == "central",
        warnings=case_warnings(result),
        vertebrae=views,
        reviewed=bool(decisions),
        inputs=_pairs(result.provenance.get("inputs", {})),
        provenance=_pairs({k: v for k, v in result.provenance.items() if k not in ELSEWHERE}),
        options=_pairs(to_plain(result.options)),
    )


def _vertebra_view(
    vertebra: VertebraResult, result: CaseResult, decisions: Decisions
) -> VertebraView:
    body = vertebra.body_volume_mm3
    p = vertebra.p_malignant if math.isfinite(vertebra.p_malignant) else None
    return VertebraView(
        result=vertebra,
        p=p,
        malignant=p is not None and p >= result.options.p_threshold,
        kept=sum(c.kept for c in vertebra.candidates),
        lytic_share=fraction(vertebra.lytic_volume_mm3, body) if vertebra.analysed else None,
        blastic_share=fraction(vertebra.blastic_volume_mm3, body) if vertebra.analysed else None,
        candidates=tuple(
            _candidate_view(c, decisions.get(f"{vertebra.level}:{c.candidate}", ""))
            for c in vertebra.candidates
        ),
        panels=vertebra_panels(vertebra, in_hu=_in_hu(result)) if vertebra.evidence else None,
    )


def _candidate_view(candidate: Candidate, decision: str) -> CandidateView:
    state = "kept" if candidate.kept else "dropped"
    if decision:
        state = {"accept": "accepted", "reject": "rejected"}.get(decision, decision)
    r, a, s = candidate.centroid_ras
    words = (_side(r, "R", "L"), _side(a, "A", "P"), _side(s, "S", "I"))
    return CandidateView(candidate, decision, state, ", ".join(words))


def _side(value: float, positive: str, negative: str) -> str:
    return f"{positive if value >= 0 else negative} {abs(value):.1f}"


def _in_hu(result: CaseResult) -> bool:
    """Tell whether the slices are in HU; a model that scales each slice by its own grey values
    cannot be undone, and its slices come in model intensity."""
    return str(result.provenance.get("evidence_units", "HU")) == "HU"


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
    return f"{value / 1000:.2f} mL" if value >= 1000 else f"{value:.0f} mm³"


@lru_cache(maxsize=1)
def _template() -> Template:
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
    return environment.get_template("report.html")
