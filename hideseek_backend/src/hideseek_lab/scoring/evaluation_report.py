"""Tables, JSON and the HTML page of an evaluation."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from hideseek_backend.wire.codec import json_text
from hideseek_lab.scoring import plots
from hideseek_lab.scoring.agreement import RaterCounts
from hideseek_lab.scoring.evaluate import Evaluation
from hideseek_lab.scoring.metrics import METRICS
from hideseek_lab.scoring.output import csv_text
from hideseek_lab.scoring.page import Picture, Section, Table, render_page
from hideseek_lab.scoring.summary import Stat, as_pairs

#: false positives per case up to which FROC curves are integrated, as the whole-body MRI paper
FROC_LIMITS = {"all lesions": 15.0, "lesions ≥ 1 mL": 4.0}
_RATER_METRICS = ("precision", "recall", "rq", "sq", "pq", "global_dice", "assd", "rvd")
INTERVALS = "intervals are 95 %, bootstrapped over cases."
RULES = (
    "Any overlap finds a lesion; several predictions on one lesion are judged as their union; a "
    "prediction counts for one lesion, the one with the higher Dice. A unit with lesions and no "
    "match has SQ, PQ and Dice 0; its ASSD, RVD and NSD are undefined and left out of the means, "
    "as is precision where nothing was predicted. Units without a lesion are listed apart."
)


def evaluation_files(evaluation: Evaluation, inter_rater: bool = False) -> dict[str, str | bytes]:
    """Make all output files of an evaluation: {name: content}."""
    figures = _figures(evaluation)
    files: dict[str, str | bytes] = {
        "summary.csv": _summary_csv(evaluation.summary),
        "units.csv": _units_csv(evaluation),
        "lesions.csv": _lesions_csv(evaluation),
        "components.csv": _components_csv(evaluation),
        "evaluation.json": json_text(evaluation_json(evaluation)),
        "evaluation.html": _page(evaluation, figures, inter_rater),
    }
    return files | {f"{name}.png": picture.image for name, picture in figures.items()}


def evaluation_json(evaluation: Evaluation) -> dict[str, Any]:
    """The evaluation as plain values."""
    false = evaluation.false
    return {
        "dimensions": evaluation.dimensions,
        "per_vertebra": evaluation.per_vertebra,
        "cases": len(evaluation.totals),
        "units": len(evaluation.units),
        "options": vars(evaluation.options),
        "rules": RULES,
        "summary": as_pairs(evaluation.summary),
        "false_findings_in_healthy_units": None if false is None else vars(false),
        "froc": {
            name: {
                "confidence": evaluation.confidence,
                "lesions": curve.lesions,
                "sensitivity": curve.sensitivity,
                "false_positives_per_case": curve.false_positives,
                "thresholds": curve.thresholds,
                "area": curve.area(FROC_LIMITS[name]),
                "area_limit": FROC_LIMITS[name],
            }
            for name, curve in evaluation.froc.items()
        },
        "icc_2_1_total_volume": evaluation.icc,
        "volume_error_of_large_lesions": vars(evaluation.volume_error),
        "counts": {name: _counts(counts) for name, counts in evaluation.counts.items()},
        "case_totals": [vars(total) for total in evaluation.totals],
        "unit_scores": _unit_rows(evaluation),
    }


def summary_table(summary: Mapping[str, Mapping[str, Stat]]) -> Table:
    """Metrics down, phenotypes across."""
    rows = [
        [title, *(str(row[metric]) for row in summary.values())]
        for metric, title in METRICS.items()
    ]
    rows.append(["Units", *(str(max(s.n for s in row.values())) for row in summary.values())])
    return Table(["Mean (95 % interval)", *summary], rows)


def summary_lines(evaluation: Evaluation) -> list[str]:
    """What a verb prints of an evaluation: the table, false findings, volumes."""
    summary, false = evaluation.summary, evaluation.false
    lines = [summary_table(summary).text() if summary else "No unit holds a lesion."]
    if false is not None:
        lines.append(
            f"{false.units} units without a lesion: nothing marked in {100 * false.clean:.1f} %, "
            f"median false volume {false.median_mm3:.1f} mm³"
        )
    if math.isfinite(evaluation.icc):
        lines.append(f"ICC(2,1) of total volume: {evaluation.icc:.3f}")
    if evaluation.dimensions == 3:
        lines.append(volume_sentence(evaluation))
    return lines


def volume_sentence(evaluation: Evaluation) -> str:
    """The volume error of the larger lesions, as text."""
    error = evaluation.volume_error
    if not error.lesions:
        return f"No lesion of {error.least_mm3 / 1000:g} mL or more was found."
    return (
        f"Volume of {error.lesions} lesions of {error.least_mm3 / 1000:g} mL or more that were "
        f"found: off by {100 * error.median_absolute:.1f} % (median)."
    )


def _counts(counts: RaterCounts) -> dict[str, Any]:
    return {**vars(counts), "fn_rate": counts.fn_rate, "fp_rate": counts.fp_rate}


def _unit_rows(evaluation: Evaluation) -> list[dict[str, Any]]:
    return [
        {
            "case": unit.case,
            "unit": unit.name,
            "phenotype": unit.phenotype,
            "tp": unit.scores.tp,
            "fp": unit.scores.fp,
            "fn": unit.scores.fn,
            "predicted_mm3": unit.scores.predicted_mm3,
            "reference_mm3": unit.scores.reference_mm3,
            **unit.scores.values,
        }
        for unit in evaluation.units
    ]


def _units_csv(evaluation: Evaluation) -> str:
    columns = ["case", "unit", "phenotype", "tp", "fp", "fn", "predicted_mm3", "reference_mm3"]
    return csv_text(_unit_rows(evaluation), [*columns, *METRICS])


def _lesions_csv(evaluation: Evaluation) -> str:
    rows = [
        {"case": unit.case, "unit": unit.name, "phenotype": unit.phenotype, **vars(lesion)}
        for unit in evaluation.units
        for lesion in unit.scores.lesions
    ]
    columns = ["case", "unit", "phenotype", "polarity", "lesion", "voxels", "volume_mm3"]
    return csv_text(rows, [*columns, "matched", "predictions", "dice", "assd", "rvd", "nsd"])


def _components_csv(evaluation: Evaluation) -> str:
    rows = [
        {"case": unit.case, "unit": unit.name, "confidence": confidence, **vars(part)}
        for unit in evaluation.units
        for part, confidence in zip(unit.scores.predictions, unit.confidences, strict=True)
    ]
    columns = ["case", "unit", "polarity", "component", "voxels", "volume_mm3", "confidence"]
    return csv_text(rows, [*columns, "matched_to", "hits"])


def _summary_csv(summary: Mapping[str, Mapping[str, Stat]]) -> str:
    rows = [
        {"phenotype": phenotype, "metric": metric, **vars(value)}
        for phenotype, row in summary.items()
        for metric, value in row.items()
    ]
    return csv_text(rows, ["phenotype", "metric", "mean", "low", "high", "sd", "n"])


def _figures(evaluation: Evaluation) -> dict[str, Picture]:
    confidence = "Δ" if evaluation.confidence == "delta" else "component volume"
    groups: dict[str, dict[str, list[float]]] = {
        metric: {
            phenotype: [
                unit.scores.values[metric]
                for unit in evaluation.units
                if unit.phenotype == phenotype
            ]
            for phenotype in evaluation.summary
            if phenotype != "all"
        }
        for metric in ("rq", "sq", "pq", "global_dice")
    }
    named = {METRICS[name].rstrip(" ↑"): values for name, values in groups.items()}
    reference = [total.reference_mm3 / 1000 for total in evaluation.totals]
    predicted = [total.predicted_mm3 / 1000 for total in evaluation.totals]
    figures = {
        "scores": Picture(
            plots.strip_plot(named), "Each point is one unit; the bar is the phenotype's mean."
        ),
        "froc": Picture(
            plots.froc_plot(evaluation.froc), f"FROC; confidence of a component: {confidence}."
        ),
    }
    if evaluation.dimensions == 3:
        figures["volumes"] = Picture(
            plots.agreement_plot(reference, predicted, evaluation.icc),
            "Total lesion volume of each case, predicted against reference.",
        )
    return figures


def _page(evaluation: Evaluation, figures: Mapping[str, Picture], inter_rater: bool) -> str:
    summary = evaluation.summary
    unit = "vertebra" if evaluation.per_vertebra else "case"
    sections = [
        Section(
            "Scores by phenotype",
            [f"One unit is one {unit}; {INTERVALS}"],
            [summary_table(summary)],
            [figures["scores"]],
        ),
        Section(
            "Lesions found and missed",
            ["A: reference. B: prediction." if not inter_rater else "A: reference rater."],
            [_counts_table(evaluation.counts)],
        ),
        Section("FROC", [], [_froc_table(evaluation)], [figures["froc"]]),
    ]
    if "volumes" in figures:
        icc = "undefined (fewer than 2 cases)" if math.isnan(evaluation.icc) else (
            f"{evaluation.icc:.3f}"
        )  # fmt: skip
        texts = [f"ICC(2,1) of total volume: {icc}.", volume_sentence(evaluation)]
        sections.append(Section("Volumes", texts, [], [figures["volumes"]]))
    if evaluation.false is not None:
        sections.append(_false_section(evaluation))
    if inter_rater:
        sections.insert(1, Section("Inter-rater table", [], [_rater_table(evaluation)]))
    title = "Agreement of two raters" if inter_rater else "Evaluation against reference masks"
    lead = [f"{len(evaluation.totals)} cases, {len(evaluation.units)} units.", RULES]
    return render_page(title, lead, sections)


def _rater_table(evaluation: Evaluation) -> Table:
    summary = {name: row for name, row in evaluation.summary.items() if name != "all"}
    rows = [
        [METRICS[metric], *(str(row[metric]) for row in summary.values())]
        for metric in _RATER_METRICS
    ]
    return Table(["Rater B against A", *summary], rows)


def _counts_table(counts: Mapping[str, RaterCounts]) -> Table:
    def percent(value: float) -> str:
        return "–" if math.isnan(value) else f"{100 * value:.2f} %"

    rows = [
        ["Annotated lesions (A)", *(str(c.annotated_a) for c in counts.values())],
        ["Annotated lesions (B)", *(str(c.annotated_b) for c in counts.values())],
        ["Matched lesions (A)", *(str(c.matched_a) for c in counts.values())],
        ["Missed lesions (A), FN", *(str(c.missed_a) for c in counts.values())],
        ["FN rate", *(percent(c.fn_rate) for c in counts.values())],
        ["Extra lesions (B), FP", *(str(c.extra_b) for c in counts.values())],
        ["FP rate (per B)", *(percent(c.fp_rate) for c in counts.values())],
    ]
    return Table(["", *counts], rows)


def _froc_table(evaluation: Evaluation) -> Table:
    rows = []
    for name, curve in evaluation.froc.items():
        limit = FROC_LIMITS[name]
        rows.append(
            [
                name,
                str(curve.lesions),
                f"{curve.sensitivity[-1]:.2f}" if curve.lesions else "–",
                f"{curve.false_positives[-1]:.2f}",
                f"{curve.area(limit):.2f} of {limit:.0f}" if curve.lesions else "–",
            ]
        )
    head = ["", "Lesions", "Sensitivity, all kept", "False positives per case", "FROC area"]
    return Table(head, rows)


def _false_section(evaluation: Evaluation) -> Section:
    false = evaluation.false
    assert false is not None
    table = Table(
        ["Units", "Nothing marked", "False components", "Median volume, mm³", "Mean volume, mm³"],
        [
            [
                str(false.units),
                f"{100 * false.clean:.1f} %",
                f"{false.components:.2f}",
                f"{false.median_mm3:.1f}",
                f"{false.mean_mm3:.1f}",
            ]
        ],
    )
    return Section("Units without a lesion", [], [table])
