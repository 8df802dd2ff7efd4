"""Files and printed lines of a clinical analysis."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

import numpy as np

import hideseek_backend
from hideseek_backend.wire.codec import json_text
from hideseek_lab.scoring import plots
from hideseek_lab.scoring.agreement import froc
from hideseek_lab.scoring.evaluate import combine_froc
from hideseek_lab.scoring.evaluation_report import FROC_LIMITS
from hideseek_lab.scoring.output import csv_text
from hideseek_lab.scoring.page import Picture, Section, Table, render_page
from hideseek_lab.supervised.clinical.analysis import (
    ClinicalOptions,
    Difference,
    System,
)
from hideseek_lab.supervised.clinical.lesions import LEAST_BONE_PX, NEAR_SLICES, Lesion
from hideseek_lab.supervised.clinical.statistics import Interval

_ROWS = {
    "sensitivity": "Sensitivity", "precision": "Precision", "false": "False lesions a case",
    "f2": "F2", "large_sensitivity": "Sensitivity, ≥ 1 mL", "large_false": "False, ≥ 1 mL, a case",
    "found_dice": "Dice, lesions found", "nsd": "Surface Dice, lesions found",
    "dice": "Dice, mean over lesions, missed 0", "global_dice": "Global Dice",
}  # fmt: skip


def rules(options: ClinicalOptions) -> str:
    """How lesions are counted and named, as text."""
    return (
        "A lesion hangs together within a slice, diagonals included, or overlaps from slice to "
        f"slice. Lesions within {NEAR_SLICES} slices are neighbours. A lesion is diffuse where it "
        f"fills {100 * options.diffuse_share:g} % of its bone in a slice that shows at least "
        f"{LEAST_BONE_PX} pixels of the bone (the paper gives no number; --diffuse changes it). "
        "Legs, pelvis and spine bear weight; sacrum and S1 count as pelvis. Tasks are anchored on "
        "true lesions: what the overlapping prediction says of each, a missed one says no."
    )


def clinical_files(
    systems: Sequence[System], compared: Sequence[Difference], options: ClinicalOptions
) -> dict[str, str | bytes]:
    """All files of the analysis: {name: content}."""
    return {
        "clinical.html": _page(systems, compared, options),
        "clinical.json": json_text(clinical_json(systems, compared, options)),
        "clinical_lesions.csv": csv_text(
            [row for system in systems for row in _lesion_rows(system)],
            ["system", "case", "of", "lesion", "voxels", "volume_mm3", "first_slice", "last_slice",
             "neighbours", "bone", "group", "weight_bearing", "bone_share", "diffuse", "found_by"],
        ),
        "clinical_cases.csv": csv_text(
            [{"system": s.name, **asdict(c)} for s in systems for c in s.figures.cases],
            ["system", *(systems[0].figures.cases[0].__dataclass_fields__)],
        ),
    }  # fmt: skip


def clinical_json(
    systems: Sequence[System], compared: Sequence[Difference], options: ClinicalOptions
) -> dict[str, Any]:
    """The analysis as plain values."""
    return {
        "version": hideseek_backend.__version__,
        "rules": rules(options),
        "diffuse_share": options.diffuse_share,
        "systems": [
            {
                "system": s.name,
                "cases": len(s.figures.cases),
                "median": {n: asdict(v) for n, v in s.figures.summary.items()},
                "mean": {n: asdict(v) for n, v in s.figures.means.items()},
                "icc_2_1_burden": asdict(s.figures.burden),
                "froc": _froc_areas(s),
                "by_size": [asdict(row) for row in s.figures.by_size],
                "lesions_by_the_paper's_rule": _counts(s),
                "tasks": [
                    {**asdict(t), "sensitivity": t.sensitivity, "specificity": t.specificity}
                    for t in s.tasks
                ],
                "radiomics": {
                    "lesions": s.radiomic_lesions,
                    "families": [asdict(f) for f in s.radiomics],
                },
            }
            for s in systems
        ],
        "differences": [asdict(d) for d in compared],
    }


def clinical_lines(system: System) -> list[str]:
    """What the verb prints of one system."""
    means, counts = system.figures.means, _counts(system)
    lines = [
        f"Clinical analysis of {counts['true']} true lesions (the paper's rule), "
        f"{counts['predicted']} predicted; found {counts['found']}, sensitivity "
        f"{_number(system.count_sensitivity)}"
        + (f", bones without a lesion left clean {_number(system.bone_specificity)}"
           if math.isfinite(system.bone_specificity) else ""),
        f"F2 {means['f2']}; ≥ 1 mL: sensitivity {means['large_sensitivity']} at "
        f"{means['large_false']} false a case; mean Dice {means['dice']}, global Dice "
        f"{means['global_dice']}; ICC(2,1) of burden {system.figures.burden}",
    ]  # fmt: skip
    lines += [
        f"{task.task}: sensitivity {_number(task.sensitivity)}, specificity "
        f"{_number(task.specificity)} (n = {task.tp + task.fn + task.fp + task.tn})"
        for task in system.tasks
    ]
    lines += [
        f"Radiomics, {family.family}: ICC {family.icc} over {system.radiomic_lesions} lesions"
        for family in system.radiomics
    ]
    return lines


def _counts(system: System) -> dict[str, int]:
    pairs = [pair for case in system.lesions for pair in case.pairs]
    return {
        "true": len(pairs),
        "predicted": sum(len(case.predicted) for case in system.lesions),
        "found": sum(pair.predicted is not None for pair in pairs),
        "bones_without_lesion": sum(case.healthy_bones[0] for case in system.lesions),
        "of_them_unmarked": sum(case.healthy_bones[1] for case in system.lesions),
    }


def _froc_areas(system: System) -> dict[str, float]:
    return {name: c.area(FROC_LIMITS[name]) for name, c in system.evaluation.froc.items()}


def _lesion_rows(system: System) -> list[dict[str, Any]]:
    rows = []
    for case in system.lesions:
        found = {p.truth.number: p.predicted.number for p in case.pairs if p.predicted is not None}
        for of, lesions in (("truth", case.truth), ("prediction", case.predicted)):
            rows += [
                {"system": system.name, "case": case.case, "of": of, **_lesion_cells(le),
                 "found_by": found.get(le.number) if of == "truth" else None}
                for le in lesions
            ]  # fmt: skip
    return rows


def _lesion_cells(lesion: Lesion) -> dict[str, Any]:
    bone = lesion.bone
    return {
        "lesion": lesion.number,
        "voxels": lesion.voxels,
        "volume_mm3": lesion.volume_mm3,
        "first_slice": lesion.first,
        "last_slice": lesion.last,
        "neighbours": lesion.neighbours,
        "bone": bone.name if bone else "",
        "group": bone.group if bone else "",
        "weight_bearing": bone.weight_bearing if bone else None,
        "bone_share": lesion.share,
        "diffuse": lesion.diffuse,
    }


def _page(
    systems: Sequence[System], compared: Sequence[Difference], options: ClinicalOptions
) -> str:
    cases = len(systems[0].figures.cases)
    lead = [
        f"{cases} cases, {', '.join(s.name for s in systems)}. HideSeek "
        f"{hideseek_backend.__version__}.",
        rules(options),
    ]
    sections = [
        Section(
            "Detection and segmentation over cases",
            ["Median over cases with a bootstrap interval (2,000 resamples), as table 1 of Wuts et "
             "al.; means after it. Any overlap finds a lesion."],
            [_figures_table(systems)],
        ),
        Section("Lesions by the paper's rule", [], [_count_table(systems)]),
        Section("Clinical tasks", [], [_task_table(systems)], _task_figure(systems)),
        Section("FROC", [], [_froc_table(systems)], [_froc_picture(systems)]),
        Section(
            "Lesion size",
            ["Cumulative: lesions and false components of at least a volume."],
            [_size_table(systems)],
            [_size_picture(systems)],
        ),
        _burden(systems),
    ]  # fmt: skip
    if any(s.radiomics for s in systems):
        sections.append(_radiomics(systems))
    if compared:
        sections.append(_differences(compared))
    return render_page("Clinical analysis", lead, sections)


def _figures_table(systems: Sequence[System]) -> Table:
    rows = []
    for name, title in _ROWS.items():
        row = [title]
        for s in systems:
            n = s.figures.summary[name].n
            row += [str(s.figures.summary[name]), str(s.figures.means[name]), str(n)]
        rows.append(row)
    head = [""]
    for s in systems:
        head += [f"{s.name}, median (95 %)", "mean (95 %)", "cases"]
    return Table(head, rows)


def _count_table(systems: Sequence[System]) -> Table:
    rows = []
    for s in systems:
        c = _counts(s)
        rows.append(
            [s.name, str(c["true"]), str(c["predicted"]), str(c["found"]),
             _number(s.count_sensitivity), str(c["bones_without_lesion"]),
             _number(s.bone_specificity)]
        )  # fmt: skip
    head = [
        "System", "True lesions", "Predicted", "Found", "Sensitivity", "Bones without a lesion",
        "of them unmarked (specificity)",
    ]  # fmt: skip
    return Table(head, rows)


def _task_table(systems: Sequence[System]) -> Table:
    rows: list[list[str]] = []
    for s in systems:
        rows.append([s.name])
        rows += [
            [t.task, str(t.tp + t.fn), str(t.fp + t.tn), _number(t.sensitivity),
             _number(t.specificity), _number(t.sensitivity_found), _number(t.specificity_found)]
            for t in s.tasks
        ]  # fmt: skip
    head = [
        "Task", "Yes", "No", "Sensitivity", "Specificity", "Sensitivity, found only",
        "Specificity, found only",
    ]  # fmt: skip
    return Table(head, rows, "Yes, No: true lesions. A missed lesion counts as “no”.")


def _task_figure(systems: Sequence[System]) -> list[Picture]:
    groups = {
        t.task.partition(" (")[0]: {
            f"{s.name}, {kind}": (getattr(own, kind), 0.0)
            for s in systems
            for kind in ("sensitivity", "specificity")
            for own in s.tasks
            if own.task == t.task
        }
        for t in systems[0].tasks
    }
    if not groups:
        return []
    return [Picture(plots.bars_plot(groups, "share"), "Clinical tasks anchored on true lesions.")]


def _froc_table(systems: Sequence[System]) -> Table:
    rows = []
    for s in systems:
        for name, curve in s.evaluation.froc.items():
            area = curve.area(FROC_LIMITS[name])
            rows.append(
                [s.name, name, str(curve.lesions), f"{_number(area)} of {FROC_LIMITS[name]:g}"]
            )
    return Table(["System", "", "Lesions", "Area"], rows)


def _froc_picture(systems: Sequence[System]) -> Picture:
    if len(systems) == 1:
        return Picture(plots.froc_plot(systems[0].evaluation.froc), "FROC.")
    curves = {}
    for s in systems:
        cases = [
            combine_froc([u for u in s.evaluation.units if u.case == t.case])
            for t in s.evaluation.totals
        ]
        curves[s.name] = froc(cases)
    return Picture(plots.froc_plot(curves), "FROC, all lesions.")


def _size_table(systems: Sequence[System]) -> Table:
    rows: list[list[str]] = []
    for s in systems:
        rows.append([s.name])
        rows += [
            [f"≥ {b.least_ml:g} mL", str(b.lesions), _number(b.sensitivity),
             f"{b.false_per_case:.2f}"]
            for b in s.figures.by_size
        ]  # fmt: skip
    return Table(["Lesions of", "n", "Sensitivity", "False a case"], rows)


def _size_picture(systems: Sequence[System]) -> Picture:
    figure, (axis,) = plots.new_figure(width=5.5)
    other = axis.twinx()
    for position, s in enumerate(systems):
        x = [b.least_ml for b in s.figures.by_size]
        shade = plots.colour("", position)
        axis.plot(x, [b.sensitivity for b in s.figures.by_size], "-o", markersize=3, color=shade,
                  label=s.name)  # fmt: skip
        other.plot(x, [b.false_per_case for b in s.figures.by_size], "--", color=shade)
    axis.axvline(1.0, color="#c8352b", linewidth=1)
    axis.set(xlabel="At least, mL", ylabel="Sensitivity (line)", ylim=(0, 1.02))
    axis.set_xscale("symlog", linthresh=0.1)
    other.set(ylabel="False a case (dashed)", ylim=(0, None))
    axis.legend(frameon=False, fontsize=8)
    return Picture(plots.png(figure), "Sensitivity and false lesions against size; red: 1 mL.")


def _burden(systems: Sequence[System]) -> Section:
    rows = [[s.name, _icc(s.figures.burden), str(s.figures.burden.n)] for s in systems]
    figures = [
        Picture(
            plots.agreement_plot(
                [c.reference_ml for c in s.figures.cases],
                [c.predicted_ml for c in s.figures.cases],
                s.figures.burden.value,
            ),
            f"{s.name}: total lesion volume of each case.",
        )
        for s in systems
    ]  # fmt: skip
    return Section("Burden", [], [Table(["System", "ICC(2,1) (95 %)", "Cases"], rows)], figures)


def _icc(value: Interval) -> str:
    return "undefined (fewer than 2 cases)" if value.n < 2 else str(value)


def _radiomics(systems: Sequence[System]) -> Section:
    names = list(dict.fromkeys(f.family for s in systems for f in s.radiomics))
    rows = []
    for s in systems:
        own = {f.family: f for f in s.radiomics}
        rows.append(
            [f"{s.name} ({s.radiomic_lesions} lesions)",
             *(str(own[n].icc) if n in own else "–" for n in names)]
        )  # fmt: skip
        rows.append(
            ["lowest and highest feature",
             *(f"{own[n].lowest:.2f}, {own[n].highest:.2f}" if n in own else "–" for n in names)]
        )  # fmt: skip
    text = (
        "ICC(2,1) between features of the true and the predicted region, of lesions that were "
        "found; mean over a family's features with its interval over lesions. By mirp, bins of "
        "25 HU."
    )
    return Section("Radiomics", [text], [Table(["System", *names], rows)])


def _differences(compared: Sequence[Difference]) -> Section:
    rows = []
    for d in compared:
        r = d.paired
        rows.append(
            [d.second, d.first, d.metric,
             "" if r is None else f"{r.difference:+.3f} ± {r.sd:.3f} (n = {r.n})",
             *("" if r is None else _p(v) for v in
               ((0.0,) * 3 if r is None else (r.shapiro, r.t, r.wilcoxon))),
             _p(d.unpaired), _p(d.p)]
        )  # fmt: skip
    head = ["System", "against", "in", "Mean difference ± SD", "Shapiro-Wilk p", "paired t p",
            "Wilcoxon p", "Mann-Whitney p", "p, Bonferroni"]  # fmt: skip
    caption = (
        "Patients are compared in pairs; the lesions that each system found are not the same ones "
        "and are compared unpaired. The corrected p is of the t-test where the differences pass "
        "for normal."
    )
    return Section("Differences", [], [Table(head, rows, caption)])


def _p(value: float) -> str:
    if not math.isfinite(value):
        return "–"
    return "< .001" if value < 0.001 else f"{value:.3f}"


def _number(value: float) -> str:
    return f"{value:.2f}" if np.isfinite(value) else "–"
