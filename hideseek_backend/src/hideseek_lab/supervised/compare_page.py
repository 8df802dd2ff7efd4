"""The page, the tables and the printed lines of a comparison."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

import hideseek_backend
from hideseek_backend.wire.codec import json_text
from hideseek_lab.scoring import plots
from hideseek_lab.scoring.output import csv_text
from hideseek_lab.scoring.page import Picture, Section, Table, render_page
from hideseek_lab.supervised.arms import GROWS_FROM
from hideseek_lab.supervised.compare import (
    METRICS,
    SCORE_TITLES,
    ComparePlan,
    Comparison,
    Entry,
    Test,
    removal_line,
)
from hideseek_lab.supervised.compare_pictures import curves, examples, froc
from hideseek_lab.supervised.slice_scores import FROC_LIMIT

_SHORT = {"f2": "F2", "dice": "Dice", "nsd": "NSD"}
RULES = (
    "Any overlap finds a lesion; what overlaps none is false; lesions and marks of under 5 px do "
    "not count; the polarity is forgotten. F2, sensitivity and Dice are means over patients with "
    "bootstrap intervals (2,000 resamples). Dice of all lesions is 0 where every lesion was missed "
    "and where a healthy slice was marked. Each network's threshold and smallest mark have the "
    "best mean F2 on tuning patients, with as many masks again as it learned from, 40 at most. The "
    "F2 of a healthy patient is 1 where nothing was marked, else 0."
)


def comparison_files(found: Comparison) -> dict[str, str | bytes]:
    """All output files: {name: content}."""
    return {
        "comparison.html": _page(found),
        "comparison.json": json_text(comparison_json(found)),
        "comparison.csv": csv_text(
            [_csv_row(e) for e in found.entries],
            ["system", "annotated", "parameters", "threshold", *_csv_columns()],
        ),
    }


def comparison_json(found: Comparison) -> dict[str, Any]:
    """The comparison as plain values, with what it was made with."""
    opinion = {
        name: asdict(value) if hasattr(value, "score") else value
        for name, value in found.opinion.items()
        if name in ("system", "tuning", "tuned_on", "test")
    }
    return {
        "arena": found.arena.name,
        "told": found.arena.told,
        "version": hideseek_backend.__version__,
        "plan": asdict(found.plan),
        "systems": [
            {
                "system": e.title,
                "annotated": e.annotated,
                "parameters": e.parameters,
                "point": asdict(e.point) if e.point else None,
                "polarity_right": e.scores.polarity_right,
                "froc_area": e.scores.froc.area(FROC_LIMIT),
                **{name: asdict(value) for name, value in e.figures.items()},
            }
            for e in found.entries
        ],
        "tests": [
            {**asdict(t.result), "family": t.family, "first": t.first, "second": t.second,
             "metric": t.metric, "p_bonferroni": t.p}
            for t in found.tests
        ],
        "worth": found.worth,
        "detection": {
            name: {**asdict(f), "gradcam_on_lesion": share}
            for name, (f, share) in found.detection.items()
        },
        "second_opinion": opinion,
        "unfinished": found.unfinished,
    }  # fmt: skip


def comparison_lines(found: Comparison) -> str:
    """What the verb prints."""
    lines = [found.arena.told, ""]
    head = ["system", "masks", *METRICS.values()]
    rows = [
        [e.title, str(e.annotated or "–"), *(str(e.figures[m]) for m in METRICS)]
        for e in found.entries
    ]
    widths = [max(len(r[i]) for r in [head, *rows]) for i in range(len(head))]
    lines += [
        "  ".join(c.ljust(w) for c, w in zip(r, widths, strict=True)).rstrip()
        for r in [head, *rows]
    ]
    lines += ["", *found.worth, ""]
    lines += [f"{t.family}: {_verdict(t)}" for t in found.tests if t.family != "against ours"]
    for name, (f, share) in found.detection.items():
        lines.append(
            f"{name}: accuracy {f.accuracy:.2f}, precision {f.precision:.2f}, recall "
            f"{f.recall:.2f}, F1 {f.f1:.2f}, AUC {f.auc:.2f}; GradCAM on the lesion {share:.2f}"
        )
    if "test" in found.opinion:
        lines.append(
            f"Δ as second opinion on {found.opinion['system']}: "
            f"{removal_line(found.opinion['test'])}"
        )
    if found.unfinished:
        lines += ["", "Not finished:", *(f"  {line}" for line in found.unfinished)]
    return "\n".join(lines)


def _csv_columns() -> list[str]:
    return [f"{m}{end}" for m in METRICS for end in ("", "_low", "_high")]


def _csv_row(entry: Entry) -> dict[str, Any]:
    row: dict[str, Any] = {
        "system": entry.title,
        "annotated": entry.annotated,
        "parameters": entry.parameters,
        "threshold": entry.point.threshold if entry.point else math.nan,
        "least": entry.point.least if entry.point else 0,
    }
    for name, value in entry.figures.items():
        row |= {name: value.value, f"{name}_low": value.low, f"{name}_high": value.high}
    return row


def _page(found: Comparison) -> str:
    plan = found.plan
    lead = [
        found.arena.told,
        f"Networks of size “{plan.size}”, {plan.fit.steps} steps of {plan.fit.batch} slices at "
        f"rate {plan.fit.rate:g} for up to {GROWS_FROM} annotated vertebrae, for more of them as "
        f"many more; {_nnunet(plan)}pretraining {plan.pretraining.steps} steps, slice classifiers "
        f"{plan.classifier.steps}; seed {plan.fit.seed}. Model "
        f"of HideSeek: {plan.model}. HideSeek {hideseek_backend.__version__}. “n annotated” means "
        "n diseased vertebrae with lesion masks and n healthy ones. All scores are of one central "
        "sagittal slice a vertebra.",
        RULES,
    ]
    sections = [
        Section("Masks against labels", found.worth, [_main_table(found)], [curves(found)]),
        Section("Networks and what was chosen for them", [], [_points_table(found)]),
        Section(
            "The orders that the papers report, tested",
            ["nnU-Net ≥ ResAttUNet ≥ ResUNet ≥ UNet in Dice; anatomical ≥ self-supervised ≥ chance "
             "in F2 and surface Dice. Differences are the system minus what it is set against, on "
             "the same patients."],
            [_tests_table([t for t in found.tests if t.family != "against ours"])],
        ),
        Section(
            "Every system against labels only",
            [],
            [_tests_table([t for t in found.tests if t.family == "against ours"])],
        ),
        Section(
            "FROC",
            [f"Area up to {FROC_LIMIT:g} false lesions a slice, of the marks at each system's own "
             "threshold, ordered by their surest pixel."],
            [_froc_table(found)],
            [froc(found)],
        ),  # fmt: skip
        Section("Examples", ["Yellow: truth. Red: lytic. Blue: blastic."], [], [examples(found)]),
    ]  # fmt: skip
    if found.detection:
        sections.append(_detection(found))
    if found.opinion:
        sections.append(_opinion(found))
    if found.unfinished:
        sections.append(Section("Not finished", found.unfinished))
    return render_page("Masks against labels", lead, sections)


def _nnunet(plan: ComparePlan) -> str:
    if not plan.nnunet_epochs:
        return ""
    batches = f" of {plan.nnunet_iterations} batches" if plan.nnunet_iterations else ""
    return f"nnU-Net (2D) {plan.nnunet_folds} folds of {plan.nnunet_epochs} epochs{batches}; "


def _main_table(found: Comparison) -> Table:
    rows: list[list[str]] = []
    for n in dict.fromkeys(e.annotated for e in found.entries):
        if n:
            rows.append([f"{n} annotated"])
        for e in (e for e in found.entries if e.annotated == n):
            rows.append(
                [e.title, *(str(e.figures[m]) for m in METRICS),
                 f"{100 * e.scores.polarity_right:.0f} %" if e.scores.polarity_right >= 0 else "–"]
            )  # fmt: skip
    head = ["System", *METRICS.values(), "Polarity right"]
    return Table(head, rows, "Mean over patients (95 % interval).")


def _points_table(found: Comparison) -> Table:
    """What was chosen on tuning patients, of the networks alone."""
    rows = [
        [e.title, str(e.annotated), f"{e.parameters / 1e6:.2f} M", f"{e.point.threshold:.2f}",
         f"{e.point.least} px", f"{e.point.f2:.2f}"]
        for e in found.entries if e.point
    ]  # fmt: skip
    head = ["Network", "annotated", "Parameters", "Threshold", "Smallest", "F2, tuning"]
    return Table(head, rows)


def _verdict(test: Test) -> str:
    r = test.result
    if not r.n:
        return f"{test.second} against {test.first}: no patient in common"
    sign = "higher than" if r.difference > 0 else "lower than" if r.difference < 0 else "equal to"
    sure = "" if math.isfinite(test.p) and test.p < 0.05 else ", not significant"
    return (
        f"{test.second} {sign} {test.first} in {METRICS[test.metric]}: {r.difference:+.3f} "
        f"({r.interval[0]:+.3f} to {r.interval[1]:+.3f}), n = {r.n}, p = {_p(test.p)}{sure}"
    )


def _tests_table(tests: Sequence[Test]) -> Table:
    rows: list[list[str]] = []
    for family in dict.fromkeys(t.family for t in tests):
        rows.append([family])
        for t in (t for t in tests if t.family == family):
            r = t.result
            order = (
                "–" if not r.n or not math.isfinite(t.p)
                else "open" if t.p >= 0.05
                else "higher" if r.difference > 0 else "lower"
            )  # fmt: skip
            rows.append(
                [_short(t.second, t), _short(t.first, t), _SHORT[t.metric], str(r.n),
                 f"{r.difference:+.3f} ({r.interval[0]:+.3f} to {r.interval[1]:+.3f})",
                 _p(r.shapiro), _p(r.t), _p(r.wilcoxon), _p(t.p), order]
            )  # fmt: skip
    head = [
        "System", "against", "in", "n", "Difference (95 %)", "Shapiro p", "paired t p",
        "Wilcoxon p", "p, Bonferroni", "Order",
    ]  # fmt: skip
    return Table(
        head, rows,
        "NSD: surface Dice of the lesions found. The corrected p is of the t-test where the "
        "differences pass for normal, else of Wilcoxon's; the correction is within a family.",
    )  # fmt: skip


def _short(name: str, test: Test) -> str:
    """A row's name without the number of vertebrae that its family has in the heading."""
    number = name.rpartition(", ")[2]
    return name.removesuffix(f", {number}") if f", {number} vertebrae" in test.family else name


def _p(value: float) -> str:
    if not math.isfinite(value):
        return "–"
    return "< .001" if value < 0.001 else f"{value:.3f}"


def _froc_table(found: Comparison) -> Table:
    return Table(
        ["System", "annotated", "Area"],
        [[e.title, str(e.annotated or "–"), f"{e.scores.froc.area(FROC_LIMIT):.3f}"]
         for e in found.entries],
    )  # fmt: skip


def _detection(found: Comparison) -> Section:
    most = max(found.plan.annotated)
    rows = [
        [name, *(f"{v:.2f}" if math.isfinite(v) else "–" for v in
                 (f.accuracy, f.precision, f.recall, f.f1, f.auc, share))]
        for name, (f, share) in found.detection.items()
    ]  # fmt: skip
    any_figures = next(iter(found.detection.values()))[0]
    text = (
        f"{any_figures.slices} central slices of as many test vertebrae, {any_figures.positive} "
        f"with a lesion; trained with {most} annotated vertebrae. The last column is the share of "
        "GradCAM that lies on the lesion, over slices rightly called."
    )
    head = ["Network", "Accuracy", "Precision", "Recall", "F1", "AUC", "GradCAM on lesion"]
    figures = []
    if found.overlays:
        figure, _ = plots.new_figure(1)
        figure.clear()
        count = len(found.overlays)
        figure.set_size_inches(2.1 * count, 2.5)
        for axis, (name, image, truth, heat) in zip(
            figure.subplots(1, count, squeeze=False)[0], found.overlays, strict=True
        ):
            axis.imshow(image.T[::-1], cmap="gray", vmin=0, vmax=0.8)
            axis.imshow(heat.T[::-1], cmap="inferno", alpha=0.45, vmin=0, vmax=1)
            axis.contour(truth.T[::-1] > 0, [0.5], colors="#ffffff", linewidths=1)
            axis.set_title(name, fontsize=8)
            axis.axis("off")
        figures.append(
            Picture(plots.png(figure), "GradCAM over test slices rightly called; white: truth.")
        )
    return Section("Slice detection", [text], [Table(head, rows)], figures)


def _opinion(found: Comparison) -> Section:
    told = found.opinion
    texts = [
        f"Candidates of {told['system']} (of the networks with the most masks the one with the "
        "best mean F2 on tuning patients), each scored by Hide-and-Seek against the vertebra's own "
        "candidates. Δ is a share of the vertebra's malignancy; “suspicion” is Δ times that "
        "malignancy; “p alone” is the malignancy of the slice that shows this candidate and hides "
        "all else that is suspected. Score and threshold were chosen on tuning patients, on the "
        f"candidates of all {len(told['tuned_on'])} networks with as many masks together: most "
        "false lesions removed at 5 % of the found lesions lost at most."
    ]
    if told.get("tuning") is not None:
        texts.append(f"Tuning patients: {removal_line(told['tuning'])}.")
    if "test" in told:
        texts.append(f"Test patients: {removal_line(told['test'])}.")
    figure, (axis,) = plots.new_figure(width=5.2)
    for position, (name, curve) in enumerate(told["curves"].items()):
        axis.plot(
            [r.recall_lost for r in curve], [r.false_removed for r in curve], marker=".",
            color=plots.colour("", position), label=SCORE_TITLES[name],
        )  # fmt: skip
    axis.axvline(0.05, color="#999999", linewidth=1, linestyle="--")
    axis.set(xlabel="Found lesions lost", ylabel="False lesions removed", xlim=(-0.02, 1.02),
             ylim=(-0.02, 1.02))  # fmt: skip
    axis.legend(frameon=False, loc="lower right")
    picture = Picture(
        plots.png(figure), "Every threshold on the test patients, for the reader only."
    )
    return Section("Δ as a second opinion", texts, [], [picture])
