"""cohort.html: how far a run is while it runs, and what it found."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any
from urllib.parse import quote

import numpy as np
from jinja2 import Environment, PackageLoader, StrictUndefined, Template

from hideseek_backend.files import whole_file
from hideseek_backend.report.summary import DISCLAIMER
from hideseek_backend.wire.levels import LEVELS
from hideseek_lab.cohort.tables import Result
from hideseek_lab.cohort.work import THUMBNAIL, Outcome

REFRESH_SECONDS = 10
MAX_CARDS = 12
MAX_FAILED = 200
MAX_RUNNING = 64
MAX_OUTLIERS = 100


@dataclass(frozen=True)
class State:
    """A run as it stands. seconds: since it started. running: cases that workers have now."""

    total: int
    done: int
    kept: int
    failed: tuple[Outcome, ...]
    seconds: float
    workers: int
    finished: bool
    running: tuple[str, ...] = ()

    @property
    def left(self) -> int:
        return self.total - self.done - self.kept - len(self.failed)

    @property
    def rate(self) -> float:
        """Cases an hour."""
        worked = self.done + len(self.failed)
        return worked / self.seconds * 3600 if self.seconds > 0 else 0.0

    @property
    def time_left(self) -> str:
        if self.left == 0 or self.rate == 0:
            return "–"
        return _hours(self.left / self.rate * 3600)

    @property
    def time_taken(self) -> str:
        return _hours(self.seconds)


def _hours(seconds: float) -> str:
    minutes = math.ceil(seconds / 60)
    return f"{minutes // 60} h {minutes % 60:02d} min" if minutes >= 60 else f"{minutes} min"


@dataclass(frozen=True)
class Bar:
    """One bar of a chart: name, count, height from 0 to 1."""

    name: str
    count: int
    height: float


@dataclass(frozen=True)
class Card:
    """A case to look at first, and why."""

    case: str
    why: str
    report: str
    picture: str


def write_page(run: Path, state: State, results: Sequence[Result] = ()) -> None:
    """Write the page; it reloads itself until the run is finished."""
    text = _template().render(
        state=state,
        refresh=0 if state.finished else REFRESH_SECONDS,
        disclaimer=DISCLAIMER,
        failed=state.failed[:MAX_FAILED],
        running=state.running[:MAX_RUNNING],
        charts=charts(results) if results else (),
        cards=cards(results),
        outliers=outliers(results),
        cases=len(results),
        central=any(r.report["options"]["slices"] == "central" for r in results),
    )
    with whole_file(run / "cohort.html") as part:
        part.write_text(text, encoding="utf-8")


def charts(results: Sequence[Result]) -> tuple[tuple[str, tuple[Bar, ...]], ...]:
    """Distributions: flagged vertebrae by level, phenotypes, volumes of cases with lesions."""
    flagged = Counter(v["vertebra"] for r in results for v in r.flagged)
    present = {v["vertebra"] for r in results for v in r.vertebrae}
    by_level = [(level, flagged[level]) for level in LEVELS if level in present]
    kinds = Counter(v["phenotype"] or "no lesion kept" for r in results for v in r.flagged)
    volumes = [r.volume_mm3 / 1000 for r in results if r.volume_mm3 > 0]
    edges = (0.0, 0.3, 1.0, 3.0, 10.0, 30.0, math.inf)
    names = ("< 0.3", "0.3–1", "1–3", "3–10", "10–30", "> 30")
    counts, _ = np.histogram(volumes, edges)
    return (
        ("Flagged vertebrae by level", _bars(by_level)),
        ("Finding of flagged vertebrae", _bars(sorted(kinds.items()))),
        ("Cases by volume of lesions, mL", _bars(list(zip(names, counts, strict=True)))),
    )


def cards(results: Sequence[Result]) -> tuple[Card, ...]:
    """Cases to look at first: the largest lesion volumes, then the highest p."""

    def rank(result: Result) -> tuple[float, float]:
        return result.volume_mm3, max(
            (v["p_malignant"] or 0.0 for v in result.vertebrae), default=0
        )

    ranked = sorted((r for r in results if r.flagged), key=rank, reverse=True)
    return tuple(
        Card(
            result.case,
            f"{result.volume_mm3 / 1000:.1f} mL in "
            + ", ".join(v["vertebra"] for v in result.flagged[:6]),
            f"results/{quote(result.case)}/report.html",
            f"results/{quote(result.case)}/{THUMBNAIL}",
        )
        for result in ranked[:MAX_CARDS]
    )


def outliers(results: Sequence[Result]) -> tuple[tuple[str, str], ...]:
    """Cases unlike the others, and in what: share of vertebrae flagged, time, a warning."""
    found: list[tuple[str, str]] = []
    if len(results) < 5:
        return ()
    share = np.array([len(r.flagged) / max(1, len(r.vertebrae)) for r in results])
    seconds = np.array([r.seconds for r in results])
    for values, what, shown in (
        (share, "of the vertebrae flagged", lambda v: f"{v:.0%}"),
        (seconds, "to analyse", lambda v: f"{v:.0f} s"),
    ):
        low, middle, high = np.percentile(values, (25, 50, 75))
        limit = high + 3 * max(high - low, 0.1 * middle)
        found += [
            (r.case, f"{shown(v)} {what}, where half of the cases have {shown(middle)} or less")
            for r, v in zip(results, values, strict=True)
            if v > limit
        ]
    warned = [r for r in results if r.report["warnings"]]
    if len(warned) <= len(results) / 2:
        found += [(r.case, str(r.report["warnings"][0])) for r in warned]
    return tuple(found[:MAX_OUTLIERS])


def _bars(counts: Sequence[tuple[str, Any]]) -> tuple[Bar, ...]:
    most = max((int(n) for _, n in counts), default=0)
    return tuple(Bar(name, int(n), int(n) / most if most else 0.0) for name, n in counts)


@lru_cache(maxsize=1)
def _template() -> Template:
    environment = Environment(
        loader=PackageLoader("hideseek_lab.cohort", "templates"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    return environment.get_template("cohort.html")
