"""The quality benchmark's tables, JSON, Markdown and HTML page."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from hideseek_backend.wire.codec import json_text, to_plain
from hideseek_lab.benchmark.contact_sheet import contact_sheet
from hideseek_lab.benchmark.dataset import MIDDLE, MIN_TRUTH_PX, OFFSET, SPLITS
from hideseek_lab.benchmark.quality import QualityResult
from hideseek_lab.benchmark.ranking import polarity_rows, rank, true_candidates
from hideseek_lab.benchmark.table import MERGED, Row
from hideseek_lab.scoring import plots
from hideseek_lab.scoring.metrics import METRICS
from hideseek_lab.scoring.page import Picture, Section, Table, render_page
from hideseek_lab.scoring.summary import PHENOTYPES, as_pairs

TABLE_2 = ("rq", "sq", "pq", "assd", "global_dice")
TABLE_6 = ("precision", "recall", "rvd", "nsd")
_LOWER_IS_BETTER = {"assd"}
_TITLES = {
    "blastic": "Blastic lesions",
    "lytic": "Lytic lesions",
    "mixed": "Mixed, lytic and blastic instances matched within their polarity",
    MERGED: "Mixed, polarity forgotten",
}
INTERVALS = "Means with 95 % intervals, bootstrapped over vertebrae."
PROTOCOL = (
    "Central sagittal slices of phantom vertebrae at 0.8 mm. A malignant vertebra takes part when "
    f"its truth crosses the slice by at least {MIN_TRUTH_PX} px; its phenotype is what the slice "
    "shows. Any overlap finds a lesion, many-to-one (panoptica). Components under "
    f"{MIN_TRUTH_PX} px count neither as predictions nor as references. Baselines are cut to the "
    "body eroded by 2 px, as in the paper. The test seeds are used for nothing else; baselines "
    "choose on validation."
)


def quality_json(rows: Sequence[Row]) -> dict[str, Any]:
    """{method: {phenotype: {metric: [mean, sd], "n": slices, "intervals": …}}}."""
    return {row.key: as_pairs(row.summary) for row in rows}


def quality_files(result: QualityResult) -> dict[str, str | bytes]:
    """Make the files of the benchmark: {name: content}."""
    figures = _figures(result)
    details = {
        "protocol": PROTOCOL,
        "vertebrae": _counts(result),
        "facts": result.facts,
        "skipped": result.skipped,
        "methods": {row.key: _row_details(row) for row in result.rows},
        "real": {row.key: _row_details(row) for row in result.real_rows},
    }
    files: dict[str, str | bytes] = {
        "details.json": json_text(details),
        "quality.md": quality_markdown(result),
        "quality.html": _page(result, figures),
    }
    return files | {f"{name}.png": picture.image for name, picture in figures.items()}


def quality_markdown(result: QualityResult) -> str:
    """The tables as Markdown."""
    lines = [PROTOCOL, "", _sentence(result), ""]
    for name, metrics in (("Detection and segmentation", TABLE_2), ("Further", TABLE_6)):
        lines += [f"**{name}** ({INTERVALS})", "", _table(result.rows, metrics).markdown(), ""]
    if result.real_rows:
        lines += ["**Lesions inserted into real vertebrae**", ""]
        lines += [_table(result.real_rows, TABLE_2).markdown(), ""]
    lines += [f"Skipped: {name}: {why}" for name, why in result.skipped.items()]
    return "\n".join(lines).rstrip() + "\n"


def _counts(result: QualityResult) -> dict[str, Any]:
    vertebrae = result.split.vertebrae
    names, counts = np.unique(vertebrae.slice_phenotype, return_counts=True)
    return {
        "split": result.split.name,
        "first_seed": SPLITS[result.split.name] + OFFSET,
        "malignant": int(vertebrae.malignant.sum()),
        "healthy": int((~vertebrae.malignant).sum()),
        "excluded_malignant_not_crossing": result.split.excluded,
        "slice_phenotypes": dict(zip(names.tolist(), counts.tolist(), strict=True)),
    }


def _sentence(result: QualityResult) -> str:
    counts = _counts(result)
    text = (
        f"{counts['malignant']} malignant and {counts['healthy']} healthy vertebrae from seed "
        f"{counts['first_seed']} on; {counts['excluded_malignant_not_crossing']} malignant ones "
        "left out because no lesion crosses the slice."
    )
    classifier = result.facts.get("classifier")
    if classifier:
        text += f" Classifier: AUC {classifier['auc']:.3f}, F1 {classifier['f1']:.3f}."
    return text


def _row_details(row: Row) -> dict[str, Any]:
    return {
        "title": row.title,
        "weakly_supervised": row.weak,
        "settings": row.settings,
        "seconds_per_vertebra": row.seconds,
        "healthy_vertebrae": None if row.false is None else vars(row.false),
        **to_plain(as_pairs(row.summary), listed=True),
    }


def _table(rows: Sequence[Row], metrics: Sequence[str]) -> Table:
    """A table in the paper's form: phenotypes and metrics down, methods across."""
    lines: list[list[str]] = []
    best: set[tuple[int, int]] = set()
    for phenotype in (*PHENOTYPES, MERGED):
        if not any(phenotype in row.summary for row in rows):
            continue
        count = max(
            s.n for row in rows if phenotype in row.summary for s in row.summary[phenotype].values()
        )
        lines.append([f"{_TITLES[phenotype]} (n = {count})"])
        for metric in metrics:
            cells = [row.summary.get(phenotype, {}).get(metric) for row in rows]
            lines.append([METRICS[metric], *("–" if c is None else str(c) for c in cells)])
            values = [
                _badness(metric, cell.mean) if cell is not None and row.weak else math.nan
                for row, cell in zip(rows, cells, strict=True)
            ]
            # what prints alike is equally good
            least = min((round(v, 2) for v in values if math.isfinite(v)), default=math.nan)
            best |= {(len(lines) - 1, i + 1) for i, v in enumerate(values) if round(v, 2) == least}
    caption = f"{INTERVALS} Bold: best of the weakly supervised methods."
    return Table(["", *(row.title for row in rows)], lines, caption, frozenset(best))


def _badness(metric: str, value: float) -> float:
    if metric == "rvd":
        return abs(value)
    return value if metric in _LOWER_IS_BETTER else -value


def _settings_table(rows: Sequence[Row]) -> Table:
    lines = []
    for row in rows:
        seconds = "–" if math.isnan(row.seconds) else f"{row.seconds:.2f}"
        false = "–" if row.false is None else (
            f"{100 * row.false.clean:.0f} % clean, median {row.false.median_mm3:.0f} mm²"
        )  # fmt: skip
        lines.append([row.title, row.settings or "–", seconds, false])
    head = ["Method", "Settings", "Seconds per vertebra", "Healthy vertebrae"]
    return Table(head, lines)


def _delta_table(result: QualityResult) -> Table:
    lines = []
    for group, title in (("paper", "paper's settings"), ("best", "best settings")):
        for name, values in result.facts.get(group, {}).get("delta", {}).items():
            lines.append(
                [
                    f"{title}: {name}",
                    f"{values['delta_roc_auc']:.3f}",
                    f"{values['probability_roc_auc']:.3f}",
                    f"{values['delta_average_precision']:.3f}",
                    f"{values['true']} / {values['false']}",
                ]
            )
    head = ["", "ROC-AUC of Δ", "ROC-AUC of p", "Average precision of Δ", "True / false candidates"]
    return Table(head, lines)


def _figures(result: QualityResult) -> dict[str, Picture]:
    figures = {}
    main = [row for row in result.rows if not row.key.endswith(("-forced", "-known"))]
    for metric in ("rq", "sq"):
        bars = {
            phenotype: {
                row.title: (row.summary[phenotype][metric].mean, row.summary[phenotype][metric].sd)
                for row in main
                if phenotype in row.summary
            }
            for phenotype in PHENOTYPES
        }
        title = METRICS[metric].rstrip(" ↑")
        figures[metric] = Picture(plots.bars_plot(bars, title), f"{title}: mean and SD.")
    for group, findings in result.findings.items():
        vertebrae = result.split.vertebrae
        subject = vertebrae.take(vertebrae.malignant) if group == "paper" else vertebrae
        figures |= delta_figures(group, findings, subject, result.facts[group]["options"]["tau"])
    if result.labels:
        figures["examples"] = Picture(
            _examples(result), "Lytic red, blastic blue, undecided yellow; first slices by seed."
        )
    return figures


def delta_figures(group: str, findings: Any, vertebrae: Any, tau: float) -> dict[str, Picture]:
    """ROC, precision-recall and size against Δ of one setting's candidates."""
    table = findings.candidates
    true = true_candidates(findings, vertebrae)
    roc: dict[str, dict[str, Any]] = {}
    recall: dict[str, Any] = {}
    sizes: dict[str, dict[str, Any]] = {}
    for polarity in ("blastic", "lytic"):
        rows = polarity_rows(table, vertebrae, polarity)
        delta, raw = rank(table.delta[rows], true[rows]), rank(table.p_hide[rows], true[rows])
        roc[polarity] = {
            f"Δ, {delta.roc_auc:.2f}": (delta.false_rate, delta.true_rate),
            f"p, {raw.roc_auc:.2f}": (raw.false_rate, raw.true_rate),
        }
        recall[f"{polarity} {delta.average_precision:.2f}"] = (delta.recall, delta.precision)
        sizes[polarity] = {
            "true": (table.area[rows & true], table.delta[rows & true]),
            "false": (table.area[rows & ~true], table.delta[rows & ~true]),
        }
    return {
        f"roc-{group}": Picture(
            plots.curves_plot(roc, "False positive rate", "True positive rate", diagonal=True),
            "True against false candidates: Δ and the raw probability p of the composite.",
        ),
        f"precision-recall-{group}": Picture(
            plots.curves_plot({"Δ": recall}, "Recall", "Precision"), "Precision and recall of Δ."
        ),
        f"size-{group}": Picture(
            plots.scatter_plot(sizes, "Size, px", "Δ", line=tau), "Candidate size against Δ."
        ),
    }


def _examples(result: QualityResult, each: int = 3) -> bytes:
    vertebrae = result.split.vertebrae
    malignant = vertebrae.take(vertebrae.malignant)
    phenotype = malignant.slice_phenotype
    chosen = np.concatenate([np.flatnonzero(phenotype == name)[:each] for name in PHENOTYPES])
    columns: dict[str, Any] = {"slice": None, "truth": malignant.truth[chosen, MIDDLE]}
    titles = {row.key: row.title for row in result.rows}
    columns |= {titles.get(key, key): labels[chosen] for key, labels in result.labels.items()}
    rows = [f"{phenotype[i]} {malignant.level[i]}" for i in chosen]
    return contact_sheet(malignant.hu[chosen, MIDDLE], columns, rows)


def _page(result: QualityResult, figures: dict[str, Picture]) -> str:
    sections = [
        Section("Detection and segmentation", [], [_table(result.rows, TABLE_2)],
                [figures["rq"], figures["sq"]]),
        Section("Precision, recall, volume and surface", [], [_table(result.rows, TABLE_6)]),
        Section("Settings, time and healthy vertebrae", [], [_settings_table(result.rows)]),
    ]  # fmt: skip
    if result.findings:
        shown = [figures[name] for name in figures if name.startswith(("roc", "prec", "size"))]
        sections.append(
            Section("Δ of true and false candidates", [], [_delta_table(result)], shown)
        )
    if "examples" in figures:
        sections.append(Section("Examples", [], [], [figures["examples"]]))
    if result.real_rows:
        sections.append(
            Section("Lesions inserted into real vertebrae", [], [_table(result.real_rows, TABLE_2)])
        )
    if result.skipped:
        texts = [f"{name}: {why}" for name, why in result.skipped.items()]
        sections.append(Section("Not run", texts))
    return render_page("Quality benchmark", [PROTOCOL, _sentence(result)], sections)
