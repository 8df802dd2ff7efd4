"""Tables and plots of the ablations, as the paper's appendix."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hideseek_backend.wire.codec import json_text
from hideseek_lab.benchmark.ablations import AblationResult, Variant
from hideseek_lab.benchmark.contact_sheet import upright
from hideseek_lab.benchmark.quality_report import delta_figures
from hideseek_lab.scoring import plots
from hideseek_lab.scoring.page import Picture, Section, Table, render_page
from hideseek_lab.scoring.summary import PHENOTYPES

LEAD = (
    "Validation split, central slices, malignant vertebrae. One setting is changed at a time from "
    "the fast protocol; the phenotype is found, not told, and vertebrae below p = 0.5 count as "
    "empty. PQ mean with its 95 % bootstrap interval over vertebrae. Bold: the setting in use."
)
_HEAD = (
    "", *(f"PQ {name}" for name in PHENOTYPES), "PQ mean", *(f"RQ {name}" for name in PHENOTYPES),
    *(f"SQ {name}" for name in PHENOTYPES), "ROC-AUC Δ blastic", "ROC-AUC Δ lytic", "Phenotype",
    "Candidates",
)  # fmt: skip


def ablation_files(result: AblationResult) -> dict[str, str | bytes]:
    """Make the files: {name: content}."""
    figures = _figures(result)
    data = {
        "base": result.base.to_dict(),
        "vertebrae": len(result.vertebrae),
        "variants": [vars(variant) for variant in result.variants],
        "ssim": {name: vars(value) for name, value in result.similarity.items()},
        "ranking": {
            polarity: {
                name: {"roc_auc": r.roc_auc, "average_precision": r.average_precision}
                for name, r in rows.items()
            }
            for polarity, rows in result.scores.items()
        },
    }
    files: dict[str, str | bytes] = {
        "ablations.json": json_text(data),
        "ablations.html": _page(result, figures),
    }
    return files | {f"ablation-{name}.png": p.image for name, p in figures.items()}


def ablation_text(result: AblationResult) -> str:
    """The mean PQ of every variant, for a terminal."""
    lines = []
    for group in dict.fromkeys(variant.group for variant in result.variants):
        lines.append(group)
        lines += [
            f"  {v.label:<28} PQ {v.mean_pq:.3f} "
            f"({v.pq_interval[0]:.3f}–{v.pq_interval[1]:.3f})   Δ ROC-AUC "
            f"{v.auc['blastic']:.2f} blastic "
            f"{v.auc['lytic']:.2f} lytic"
            for v in result.variants
            if v.group == group
        ]
    return "\n".join(lines)


def _variant_table(result: AblationResult, variants: Sequence[Variant]) -> Table:
    base = result.base.to_dict()
    rows, best = [], set()
    for line, variant in enumerate(variants):
        values = [
            *(variant.pq[name] for name in PHENOTYPES), variant.mean_pq,
            *(variant.rq[name] for name in PHENOTYPES), *(variant.sq[name] for name in PHENOTYPES),
            variant.auc["blastic"], variant.auc["lytic"], variant.phenotype_accuracy,
        ]  # fmt: skip
        cells = ["–" if np.isnan(value) else f"{value:.3f}" for value in values]
        cells[len(PHENOTYPES)] += " ({:.3f}–{:.3f})".format(*variant.pq_interval)
        rows.append([variant.label, *cells, str(variant.candidates)])
        if all(base[key] == value for key, value in variant.changes.items()):
            best |= {(line, column) for column in range(len(_HEAD))}
    return Table(_HEAD, rows, best=frozenset(best))


def _figures(result: AblationResult) -> dict[str, Picture]:
    figures = {
        "roc": Picture(
            plots.curves_plot(
                {
                    polarity: {
                        f"{name}, {r.roc_auc:.2f}": (r.false_rate, r.true_rate)
                        for name, r in rows.items()
                    }
                    for polarity, rows in result.scores.items()
                },
                "False positive rate", "True positive rate", diagonal=True,
            ),
            "True against false candidates. Δ: the setting in use; p: raw probability of the "
            "composite; Δ₀: eq. 3 without a projection; the paper's Δ: eq. 3 with its projection.",
        )
    }  # fmt: skip
    own = delta_figures("base", result.findings, result.vertebrae, result.base.tau)
    figures["precision-recall"] = own["precision-recall-base"]
    figures["size"] = own["size-base"]
    if result.projections:
        figures["projections"] = Picture(
            _grid(result.projections), "Slices with all candidates hidden, before and after."
        )
    return figures


def _grid(pictures: dict[str, NDArray[Any]]) -> bytes:
    count = len(next(iter(pictures.values())))
    figure, _ = plots.new_figure(1)
    figure.clear()
    figure.set_size_inches(1.7 * len(pictures), 1.75 * count)
    axes = figure.subplots(count, len(pictures), squeeze=False)
    for column, (title, images) in enumerate(pictures.items()):
        for row in range(count):
            axis = axes[row][column]
            axis.imshow(upright(images[row]), cmap="gray", vmin=0, vmax=1)
            axis.set_axis_off()
            if row == 0:
                axis.set_title(title, fontsize=7)
    return plots.png(figure)


def _page(result: AblationResult, figures: dict[str, Picture]) -> str:
    sections = [
        Section(
            "Δ against the raw probability", [], [],
            [figures["roc"], figures["precision-recall"], figures["size"]],
        ),
        Section("Reconstruction and edit", [], [_similarity_table(result)]),
    ]  # fmt: skip
    for group in dict.fromkeys(variant.group for variant in result.variants):
        chosen = [variant for variant in result.variants if variant.group == group]
        shown = []
        if group == "projection" and "projections" in figures:
            shown = [figures["projections"]]
        sections.append(Section(group, [], [_variant_table(result, chosen)], shown))
    lead = [LEAD, f"{len(result.vertebrae)} vertebrae."]
    return render_page("Ablations", lead, sections)


def _similarity_table(result: AblationResult) -> Table:
    return Table(["SSIM with the slice", ""], [[n, str(s)] for n, s in result.similarity.items()])
