"""The figures that were asked of the method, against what the benchmark measured."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from hideseek_lab.benchmark.quality import QualityResult
from hideseek_lab.benchmark.table import Row
from hideseek_lab.scoring.summary import PHENOTYPES

#: RQ and SQ of the paper on its own data (its table 2)
PAPER = {"blastic": (0.91, 0.87), "lytic": (0.85, 0.78), "mixed": (0.64, 0.62)}
#: the paper's lead over its best baseline
MARGINS = {
    ("blastic", "rq"): 0.12,
    ("lytic", "rq"): 0.18,
    ("blastic", "sq"): 0.13,
    ("lytic", "sq"): 0.23,
}
_OURS = "hideseek"


@dataclass(frozen=True)
class Check:
    """One figure: what, the target and the measurement as text, and whether it was reached."""

    what: str
    target: str
    measured: str
    reached: bool


def checks(result: QualityResult) -> list[Check]:
    """Compare what was measured with what was asked for; figures that were not run are left out."""
    rows = {row.key: row for row in result.rows}
    return [
        *_classifier(result),
        *_absolute(rows),
        *_against_baselines(result.rows, rows.get("hideseek-paper")),
        *_against_paper_settings(rows.get(_OURS), rows.get("hideseek-paper")),
        *_delta(result),
        *_healthy(rows.get("hideseek-forced")),
    ]


def _at_least(what: str, value: float, least: float, sign: bool = False) -> Check:
    form = "+.2f" if sign else ".2f"
    reached = math.isfinite(value) and value >= least
    # two digits decide nothing: .849 is printed as .85 and has not reached it
    shown = f"{value:{form}}" if reached or f"{value:.2f}" != f"{least:.2f}" else f"{value:.4f}"
    return Check(what, f"≥ {least:{form}}", shown, reached)


def _classifier(result: QualityResult) -> Iterator[Check]:
    figures = result.facts.get("classifier")
    if figures:
        yield _at_least("Classifier AUC", figures["auc"], 0.97)
        yield _at_least("Classifier F1", figures["f1"], 0.90)
    accuracy = result.facts.get("best", {}).get("phenotype_accuracy")
    if accuracy is not None and math.isfinite(accuracy):
        yield _at_least("Phenotype found without a label, accuracy", accuracy, 0.90)


def _absolute(rows: dict[str, Row]) -> Iterator[Check]:
    ours = rows.get(_OURS)
    if ours is None:
        return
    for phenotype, (rq, sq) in PAPER.items():
        if phenotype in ours.summary:
            yield _at_least(f"RQ {phenotype}", ours.summary[phenotype]["rq"].mean, rq)
            yield _at_least(f"SQ {phenotype}", ours.summary[phenotype]["sq"].mean, sq)
    if "mixed" in ours.summary:
        yield _at_least("SQ mixed, best settings", ours.summary["mixed"]["sq"].mean, 0.75)


def _against_baselines(rows: Sequence[Row], ours: Row | None) -> Iterator[Check]:
    rivals = [row for row in rows if row.weak and not row.key.startswith(_OURS)]
    if ours is None or not rivals:
        return
    for phenotype in PHENOTYPES:
        for metric in ("rq", "sq", "pq"):
            values = [r.summary[phenotype][metric].mean for r in rivals if phenotype in r.summary]
            if not values or phenotype not in ours.summary:
                continue
            lead = ours.summary[phenotype][metric].mean - max(values)
            least = MARGINS.get((phenotype, metric), 0.0)
            name = f"Paper's settings over the best baseline, {metric.upper()} {phenotype}"
            yield _at_least(name, lead, least, sign=True)


def _against_paper_settings(best: Row | None, paper: Row | None) -> Iterator[Check]:
    if best is None or paper is None:
        return
    for phenotype in PHENOTYPES:
        if phenotype in best.summary and phenotype in paper.summary:
            gain = best.summary[phenotype]["pq"].mean - paper.summary[phenotype]["pq"].mean
            yield _at_least(f"Best over paper's settings, PQ {phenotype}", gain, 0.05, sign=True)


def _delta(result: QualityResult) -> Iterator[Check]:
    ranking = result.facts.get("best", {}).get("delta", {})
    for polarity, least in (("blastic", 0.95), ("lytic", 0.85)):
        if polarity in ranking:
            yield _at_least(f"ROC-AUC of Δ, {polarity}", ranking[polarity]["delta_roc_auc"], least)


def _healthy(forced: Row | None) -> Iterator[Check]:
    if forced is not None and forced.false is not None:
        median = forced.false.median_mm3
        yield Check(
            "False lesion area in healthy vertebrae, forced, median", "0 mm²",
            f"{median:.1f} mm²", median == 0,
        )  # fmt: skip
