"""Figures of the evaluation pages, as PNG bytes."""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import ArrayLike

from hideseek_backend.optional import import_optional
from hideseek_lab.scoring.agreement import FrocCurve

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

#: red lytic and blue blastic, as everywhere in the product; violet mixed
COLOURS: dict[str, str] = {
    "lytic": "#c8352b", "blastic": "#2a62b8", "mixed": "#7a4aa5", "healthy": "#4d8a52",
    "all": "#444444", "any": "#444444",
}  # fmt: skip
_CYCLE = ("#2a62b8", "#c8352b", "#3d8f5a", "#b8802a", "#7a4aa5", "#3a9aa8", "#8a5a44", "#777777")


def new_figure(
    columns: int = 1, width: float = 4.6, height: float = 3.8
) -> tuple[Figure, list[Axes]]:
    """Make a figure with a row of axes in the house look."""
    figures = import_optional("matplotlib.figure", "A page with figures")
    figure = figures.Figure(figsize=(width * columns, height), dpi=110, layout="constrained")
    import_optional("matplotlib.backends.backend_agg", "A page with figures").FigureCanvasAgg(
        figure
    )
    axes = list(np.atleast_1d(figure.subplots(1, columns)))
    for axis in axes:
        axis.grid(True, alpha=0.25, linewidth=0.6)
        axis.spines[["top", "right"]].set_visible(False)
    return figure, axes


def png(figure: Figure) -> bytes:
    """Render a figure. No date or version goes in, so that equal results give equal bytes."""
    stream = io.BytesIO()
    figure.savefig(stream, format="png", metadata={"Software": None})
    return stream.getvalue()


def colour(name: str, position: int = 0) -> str:
    return COLOURS.get(name, _CYCLE[position % len(_CYCLE)])


def froc_plot(curves: Mapping[str, FrocCurve]) -> bytes:
    """Sensitivity against false positives per case, one step curve a lesion class."""
    figure, (axis,) = new_figure()
    for position, (name, curve) in enumerate(curves.items()):
        x = np.concatenate([[0.0], curve.false_positives])
        y = np.concatenate([[0.0], curve.sensitivity])
        axis.plot(
            x, y, marker="o", markersize=3, color=colour(name, position),
            label=f"{name} (n = {curve.lesions})",
        )  # fmt: skip
    axis.set(xlabel="False positives per case", ylabel="Lesion sensitivity", ylim=(-0.02, 1.02))
    axis.set_xlim(left=0)
    axis.legend(frameon=False, loc="lower right", fontsize=8)
    return png(figure)


def agreement_plot(
    reference: ArrayLike, prediction: ArrayLike, icc: float, unit: str = "mL"
) -> bytes:
    """Predicted against reference volume with the identity line."""
    x, y = np.asarray(reference, dtype=float), np.asarray(prediction, dtype=float)
    figure, (axis,) = new_figure()
    top = float(max(x.max(initial=0), y.max(initial=0)) or 1.0) * 1.05
    axis.plot([0, top], [0, top], color="#999999", linewidth=1)
    axis.plot(x, y, "o", color=_CYCLE[0], alpha=0.7, markersize=5)
    axis.set(
        xlabel=f"Reference volume, {unit}", ylabel=f"Predicted volume, {unit}",
        xlim=(0, top), ylim=(0, top), title=f"ICC(2,1) = {icc:.3f}" if np.isfinite(icc) else "",
    )  # fmt: skip
    return png(figure)


def strip_plot(groups: Mapping[str, Mapping[str, Sequence[float]]]) -> bytes:
    """Every unit's value as a point, the mean as a bar: {panel: {group: values}}."""
    figure, axes = new_figure(max(len(groups), 1), width=3.0, height=3.4)
    rng = np.random.default_rng(0)
    for axis, (panel, values) in zip(axes, groups.items(), strict=False):
        for position, (name, points) in enumerate(values.items()):
            data = np.array([value for value in points if np.isfinite(value)])
            if not data.size:
                continue
            jitter = position + rng.uniform(-0.18, 0.18, data.size)
            axis.plot(jitter, data, "o", markersize=3, alpha=0.45, color=colour(name, position))
            axis.hlines(data.mean(), position - 0.3, position + 0.3, color="black", linewidth=1.6)
        axis.set_xticks(range(len(values)), list(values), fontsize=8)
        axis.set_title(panel, fontsize=9)
        axis.set_xlim(-0.6, len(values) - 0.4)
    return png(figure)


def curves_plot(
    panels: Mapping[str, Mapping[str, tuple[ArrayLike, ArrayLike]]],
    xlabel: str,
    ylabel: str,
    diagonal: bool = False,
) -> bytes:
    """Lines on the unit square, one panel each: {panel: {label: (x, y)}}."""
    figure, axes = new_figure(max(len(panels), 1))
    for axis, (panel, lines) in zip(axes, panels.items(), strict=False):
        if diagonal:
            axis.plot([0, 1], [0, 1], color="#bbbbbb", linewidth=1, linestyle="--")
        for position, (label, (x, y)) in enumerate(lines.items()):
            axis.plot(x, y, color=colour(label.split(" ")[0], position), label=label)
        axis.set(xlabel=xlabel, ylabel=ylabel, title=panel, xlim=(-0.02, 1.02), ylim=(-0.02, 1.02))
        if lines:
            axis.legend(frameon=False, fontsize=8, loc="lower right" if diagonal else "lower left")
    return png(figure)


def scatter_plot(
    panels: Mapping[str, Mapping[str, tuple[ArrayLike, ArrayLike]]],
    xlabel: str,
    ylabel: str,
    line: float | None = None,
) -> bytes:
    """Points with a logarithmic x axis, false ones as crosses: {panel: {label: (x, y)}}."""
    figure, axes = new_figure(max(len(panels), 1))
    for axis, (panel, groups) in zip(axes, panels.items(), strict=False):
        for position, (label, (x, y)) in enumerate(groups.items()):
            false = label.startswith("false")
            axis.plot(
                x, y, "x" if false else "o", markersize=4, alpha=0.6, label=label,
                color="#c98a1b" if false else _CYCLE[position % 2],
            )  # fmt: skip
        if line is not None:
            axis.axhline(line, color="#777777", linewidth=1, linestyle="--")
        axis.set(xscale="log", xlabel=xlabel, ylabel=ylabel, title=panel)
        axis.legend(frameon=False, fontsize=8, loc="upper left")
    return png(figure)


def bars_plot(groups: Mapping[str, Mapping[str, tuple[float, float]]], ylabel: str) -> bytes:
    """Grouped bars with SD whiskers: {group: {bar: (mean, sd)}}; bars keep their colour."""
    names = list(dict.fromkeys(name for bars in groups.values() for name in bars))
    figure, (axis,) = new_figure(width=max(6.0, 0.42 * len(names) * len(groups) + 2), height=3.8)
    step = 0.85 / max(len(names), 1)
    palette = import_optional("matplotlib", "A page with figures").colormaps["Set3"]
    for position, name in enumerate(names):
        at = np.arange(len(groups)) - 0.425 + step * (position + 0.5)
        means = np.array([bars.get(name, (np.nan, np.nan))[0] for bars in groups.values()])
        sds = np.array([bars.get(name, (np.nan, np.nan))[1] for bars in groups.values()])
        # red and blue stay with lytic and blastic: methods have colours of their own
        shade = palette(position % palette.N)
        axis.bar(
            at, means, step * 0.92, color=shade, label=name, yerr=sds,
            error_kw={"elinewidth": 0.7, "ecolor": "#555555"},
        )  # fmt: skip
    axis.set_xticks(range(len(groups)), list(groups))
    axis.set(ylabel=ylabel, ylim=(0, None))
    axis.legend(frameon=False, fontsize=7, ncols=2, loc="upper left", bbox_to_anchor=(1.0, 1.0))
    return png(figure)
