"""The pictures of a comparison: curves, FROC, and examples."""

from __future__ import annotations

import numpy as np

from hideseek_lab.benchmark.dataset import MIDDLE
from hideseek_lab.scoring import plots
from hideseek_lab.scoring.page import Picture
from hideseek_lab.supervised.compare import METRICS, OURS, Comparison, Entry
from hideseek_lab.supervised.slice_scores import FROC_LIMIT

_LINES = ("-", "--", ":", "-.")
_SHOWN_CASES = 6


def _styles(found: Comparison) -> dict[str, tuple[str, str]]:
    """Colour and line of each title; ours is black."""
    titles = [t for t in dict.fromkeys(e.title for e in found.entries) if t != OURS]
    styles = {t: (plots.colour("", i), _LINES[i // 4 % 4]) for i, t in enumerate(titles)}
    return {OURS: ("#111111", "-"), **styles}


def curves(found: Comparison) -> Picture:
    """Figures against the number of annotated vertebrae; ours is a level."""
    styles = _styles(found)
    figure, axes = plots.new_figure(3, width=4.4)
    own = next((e for e in found.entries if e.title == OURS), None)
    for axis, metric in zip(axes, ("f2", "dice", "nsd"), strict=True):
        if own is not None:
            level = own.figures[metric]
            axis.axhline(level.value, color="#111111", linewidth=1.4, label=OURS)
            axis.axhspan(level.low, level.high, color="#111111", alpha=0.08, linewidth=0)
        for title, (shade, line) in styles.items():
            rows = sorted(
                (e for e in found.entries if e.title == title and e.annotated),
                key=lambda e: e.annotated,
            )
            if rows:
                values = [e.figures[metric] for e in rows]
                x = [e.annotated for e in rows]
                axis.plot(x, [v.value for v in values], line, marker="o", markersize=4,
                          color=shade, label=title)  # fmt: skip
        axis.set(xscale="log", xlabel="Annotated vertebrae", ylabel=METRICS[metric], ylim=(0, 1.02))
        budgets = sorted({e.annotated for e in found.entries if e.annotated})
        axis.set_xticks(budgets, [str(b) for b in budgets])
        axis.minorticks_off()
    axes[-1].legend(frameon=False, fontsize=7, loc="lower right")
    return Picture(plots.png(figure), "What masks buy. The band is the interval of labels only.")


def _froc_rows(found: Comparison) -> list[Entry]:
    most = max((e.annotated for e in found.entries), default=0)
    return [e for e in found.entries if e.annotated in (0, most)]


def froc(found: Comparison) -> Picture:
    """FROC of the rows with the most masks, and of ours."""
    styles = _styles(found)
    figure, (axis,) = plots.new_figure(width=6.5, height=4.2)
    for e in _froc_rows(found):
        curve, (shade, line) = e.scores.froc, styles[e.title]
        x = np.concatenate([[0.0], curve.false_positives])
        y = np.concatenate([[0.0], curve.sensitivity])
        axis.plot(x, y, line, color=shade, label=e.title)
    axis.set(xlabel="False lesions a slice", ylabel="Lesion sensitivity", ylim=(0, 1.02),
             xlim=(0, FROC_LIMIT))  # fmt: skip
    axis.legend(frameon=False, fontsize=7, loc="lower right")
    return Picture(plots.png(figure), "FROC at the largest number of masks, and of labels only.")


def examples(found: Comparison) -> Picture:
    """Truth and predictions on some test slices: every phenotype in turn."""
    test = found.arena.test
    phenotype = test.slices.slice_phenotype
    turns = [np.flatnonzero(phenotype == name) for name in ("lytic", "blastic", "mixed", "healthy")]
    order = [int(group[r]) for r in range(4) for group in turns if r < len(group)]
    chosen = order[:_SHOWN_CASES]
    most = max((e.annotated for e in found.entries), default=0)
    shown = [e for e in found.entries if e.title == OURS or e.annotated == most]
    columns = ["truth", *(e.title for e in shown)]
    figure, axes = plots.new_figure(1)
    figure.clear()
    figure.set_size_inches(1.5 * len(columns), 1.62 * len(chosen))
    grid = figure.subplots(len(chosen), len(columns), squeeze=False)
    for row, v in enumerate(chosen):
        image = test.slices.hu[v, MIDDLE].T[::-1]
        truth = test.slices.truth[v, MIDDLE].T[::-1]
        for column, name in enumerate(columns):
            axis = grid[row][column]
            axis.imshow(image, cmap="gray", vmin=-150, vmax=700)
            axis.axis("off")
            if row == 0:
                axis.set_title(name.replace(", ", "\n"), fontsize=7)
            if (truth > 0).any():
                axis.contour(truth > 0, [0.5], colors="#f2c230", linewidths=0.9)
            if column:
                entry = shown[column - 1]
                key = OURS if entry.arm is None else entry.arm.key
                labels = found.predictions[key].labels[v].T[::-1]
                for value, shade in ((1, "lytic"), (2, "blastic")):
                    if (labels == value).any():
                        axis.contour(labels == value, [0.5], colors=plots.colour(shade),
                                     linewidths=0.9)  # fmt: skip
    return Picture(
        plots.png(figure),
        f"Test slices (posterior to the right, superior up): {', '.join(columns[1:])}"
        f"; networks with {most} annotated vertebrae.",
    )
