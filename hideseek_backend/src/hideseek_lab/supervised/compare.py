"""How many masks is a label worth? Ours and supervised systems in one table, on the same cases."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch

from hideseek_backend.attribution.options import Options
from hideseek_backend.errors import Cancelled, HideSeekError, OptionError
from hideseek_backend.progress import ProgressCallback
from hideseek_lab.benchmark.dataset import MIDDLE
from hideseek_lab.benchmark.ours import BenchmarkModel, Findings, load
from hideseek_lab.supervised.arenas import Arena
from hideseek_lab.supervised.arms import (
    ROI,
    Arm,
    ArmResult,
    Laboratory,
    count,
    ours,
    run_arm,
)
from hideseek_lab.supervised.clinical.statistics import (
    Interval,
    PairedTest,
    bonferroni,
    bootstrap,
    compare_paired,
)
from hideseek_lab.supervised.detection import (
    DetectionFigures,
    cam_overlays,
    cam_share_inside,
    detection_figures,
    shows_lesion,
    slice_batches,
    slice_probabilities,
)
from hideseek_lab.supervised.networks import CLASSIFIERS, SEGMENTERS, is_3d, make_classifier
from hideseek_lab.supervised.pretraining import INITS, Init
from hideseek_lab.supervised.protocol import OperatingPoint
from hideseek_lab.supervised.second_opinion import (
    SCORES,
    Removal,
    choose_removal,
    opinions,
    pooled,
    removal,
)
from hideseek_lab.supervised.slice_scores import Prediction, SliceScores, paired, score
from hideseek_lab.supervised.training import Deadline, FitPlan, classification_loss, fit

OURS = "HideSeek, labels only"
METRICS: dict[str, str] = {
    "f2": "F2",
    "sensitivity": "Sensitivity",
    "fp": "False lesions a slice",
    "dice": "Dice, all lesions",
    "found_dice": "Dice, lesions found",
    "nsd": "Surface Dice, lesions found",
}
SLICE_NETWORKS = tuple(n for n in SEGMENTERS if not is_3d(n))
SCORE_TITLES = {"delta": "Δ", "suspicion": "suspicion", "p_hide": "p alone"}
ORDER = ("nnunet", "resattunet", "resunet", "unet")


@dataclass(frozen=True)
class ComparePlan:
    """What to compare. annotated: diseased vertebrae with masks. pretrained: the network that also
    starts from self-supervision and from anatomy. budget_minutes: None for no limit."""

    annotated: tuple[int, ...] = (5, 20, 80, 300)
    networks: tuple[str, ...] = SLICE_NETWORKS
    inits: tuple[Init, ...] = INITS
    pretrained: str = "resunet"
    classifiers: tuple[str, ...] = tuple(CLASSIFIERS)
    nnunet: tuple[int, ...] = ()
    nnunet_epochs: int = 0
    nnunet_iterations: int = 0
    nnunet_folds: int = 5
    size: str = "small"
    fit: FitPlan = field(default_factory=FitPlan)
    pretraining: FitPlan = field(default_factory=lambda: FitPlan(steps=800))
    classifier: FitPlan = field(default_factory=FitPlan)
    model: str = "bundled"
    device: str = "cpu"
    budget_minutes: float | None = None

    def __post_init__(self) -> None:
        wrong = [n for n in (*self.networks, self.pretrained) if n not in SLICE_NETWORKS]
        if wrong:
            raise OptionError(
                f"{', '.join(wrong)} cannot be compared on slices.",
                f"Choose among {', '.join(SLICE_NETWORKS)}.",
            )

    def arms(self) -> list[Arm]:
        """All arms, the fewest masks first, so that a spent budget leaves whole columns."""
        made = []
        for n in sorted(self.annotated):
            made += [Arm(name, "random", n) for name in self.networks]
            made += [Arm(self.pretrained, i, n) for i in self.inits if i != "random"]
        made += [Arm("nnunet", "random", n) for n in sorted(self.nnunet or self.annotated)
                 if self.nnunet_epochs]  # fmt: skip
        return list(dict.fromkeys(made))


@dataclass(frozen=True, eq=False)
class Entry:
    """A row of the table. annotated: 0 for ours. figures: of METRICS and "froc"."""

    title: str
    annotated: int
    scores: SliceScores
    figures: dict[str, Interval]
    point: OperatingPoint | None = None
    parameters: int = 0
    arm: Arm | None = None


@dataclass(frozen=True)
class Test:
    """A paired comparison of two rows in one metric; p with Bonferroni over its family."""

    family: str
    first: str
    second: str
    metric: str
    result: PairedTest
    p: float


@dataclass(frozen=True, eq=False)
class Comparison:
    """Everything that the page is made of. unfinished: titles of what the budget did not allow."""

    arena: Arena
    plan: ComparePlan
    entries: list[Entry]
    tests: list[Test]
    worth: list[str]
    detection: dict[str, tuple[DetectionFigures, float]]
    overlays: list[tuple[str, Any, Any, Any]]
    opinion: dict[str, Any]
    predictions: dict[str, Prediction]
    unfinished: list[str]


def run_compare(
    plan: ComparePlan,
    arena: Arena,
    folder: Path,
    progress: ProgressCallback | None = None,
    model: BenchmarkModel | None = None,
) -> Comparison:
    """Run, or go on with, a comparison; what the budget does not allow is named, not guessed.

    model: ours, loaded; by default the plan's.
    """
    lab = Laboratory(
        arena, folder, plan.fit, plan.pretraining, plan.size, torch.device(plan.device),
        Deadline(plan.budget_minutes), progress,
    )  # fmt: skip
    model = model or load(plan.model, plan.device)
    options = Options.for_protocol("fast", model.spec.defaults)
    own, findings = ours(lab, model, arena.test, options, "test")
    predictions = {OURS: own}
    entries = [_entry(OURS, 0, arena, own)]
    results: list[ArmResult] = []
    unfinished: list[str] = []
    for arm in plan.arms():
        try:
            results.append(_run(lab, arm, plan))
        except Cancelled as stop:
            unfinished.append(f"{arm.title}, {arm.annotated} vertebrae: {stop.message}")
            continue
        except HideSeekError as error:
            unfinished.append(f"{arm.title}, {arm.annotated} vertebrae: {error.message}")
            continue
        done = results[-1]
        entries.append(
            _entry(arm.title, arm.annotated, arena, done.test, done.point, done.parameters, arm)
        )
        predictions[arm.key] = done.test
    detection, overlays, missing = _detection(lab, plan)
    opinion = _second_opinion(lab, model, options, results, findings)
    return Comparison(
        arena, plan, entries, tests(entries), worth(entries), detection, overlays, opinion,
        predictions, unfinished + missing,
    )  # fmt: skip


def _run(lab: Laboratory, arm: Arm, plan: ComparePlan) -> ArmResult:
    if arm.network == "nnunet":
        from hideseek_lab.supervised.nnunet import run_nnunet_arm

        return run_nnunet_arm(
            lab, arm, plan.nnunet_epochs, plan.nnunet_iterations, plan.nnunet_folds
        )
    return run_arm(lab, arm)


def _entry(
    title: str,
    annotated: int,
    arena: Arena,
    prediction: Prediction,
    point: OperatingPoint | None = None,
    parameters: int = 0,
    arm: Arm | None = None,
) -> Entry:
    scores = score(arena.test, prediction)
    figures = {name: bootstrap(list(scores.per_patient(name).values())) for name in METRICS}
    return Entry(title, annotated, scores, figures, point, parameters, arm)


def tests(entries: Sequence[Entry]) -> list[Test]:
    """The orders that the papers report, each as a paired test over patients: networks in Dice,
    starts in F2 and surface Dice, and every row against ours in F2 and Dice."""
    found: list[Test] = []
    budgets = sorted({e.annotated for e in entries if e.annotated})
    for n in budgets:
        rows: dict[tuple[str, str], Entry] = {
            (e.arm.network, e.arm.init): e for e in entries if e.arm and e.annotated == n
        }
        present = [name for name in ORDER if (name, "random") in rows]
        pairs = [
            (rows[(b, "random")], rows[(a, "random")], "dice")
            for a, b in zip(present, present[1:], strict=False)
        ]
        found += _family(f"networks, {n} vertebrae", pairs)
        pretrained = {name for name, init in rows if init != "random"}
        pairs = [
            (rows[(name, a)], rows[(name, b)], metric)
            for name in sorted(pretrained)
            for a, b in (("random", "ssl"), ("ssl", "sap"), ("random", "sap"))
            if (name, a) in rows and (name, b) in rows
            for metric in ("f2", "nsd")
        ]
        found += _family(f"starts, {n} vertebrae", pairs)
    own = next((e for e in entries if not e.annotated), None)
    if own is not None:
        others = [e for e in entries if e.annotated]
        found += _family("against ours", [(own, e, m) for e in others for m in ("f2", "dice")])
    return found


def _family(name: str, pairs: Sequence[tuple[Entry, Entry, str]]) -> list[Test]:
    results = [compare_paired(*paired(a.scores, b.scores, metric)) for a, b, metric in pairs]
    # as the papers: t where the differences pass for normal, signed ranks elsewhere
    p = bonferroni(
        [r.t if math.isfinite(r.shapiro) and r.shapiro >= 0.05 else r.wilcoxon for r in results]
    )
    return [
        Test(name, _name(a), _name(b), metric, result, value)
        for (a, b, metric), result, value in zip(pairs, results, p, strict=True)
    ]


def _name(entry: Entry) -> str:
    return f"{entry.title}, {entry.annotated}" if entry.annotated else entry.title


def worth(entries: Sequence[Entry]) -> list[str]:
    """How many masks ours is worth: for each system the fewest vertebrae at which it reaches our
    F2 and Dice, as sentences."""
    own = next((e for e in entries if not e.annotated), None)
    if own is None:
        return []
    said = []
    titles = dict.fromkeys(e.title for e in entries if e.annotated)
    for metric in ("f2", "dice"):
        level = own.figures[metric].value
        parts = []
        for title in titles:
            rows = sorted((e for e in entries if e.title == title), key=lambda e: e.annotated)
            reached = [e.annotated for e in rows if e.figures[metric].value >= level]
            most = rows[-1].annotated
            parts.append(
                f"{title} with {reached[0]} annotated vertebrae"
                if reached
                else f"{title} not with {most}"
            )
        if parts:
            said.append(f"{METRICS[metric]} of labels only, {level:.2f}, is reached by: "
                        + "; ".join(parts) + ".")  # fmt: skip
    return said


def _detection(
    lab: Laboratory, plan: ComparePlan
) -> tuple[dict[str, tuple[DetectionFigures, float]], list[Any], list[str]]:
    """Slice classifiers at the largest number of vertebrae: figures, GradCAM's share on lesions."""
    figures: dict[str, tuple[DetectionFigures, float]] = {}
    overlays: list[Any] = []
    missing: list[str] = []
    arena, n = lab.arena, max(plan.annotated)
    truth = np.moveaxis(arena.test.slices.truth[:, MIDDLE], 0, 2)
    shown = shows_lesion(truth)
    images = np.stack([s.image[:, :, :, MIDDLE] for s in arena.test.scans()]).astype(np.float32)
    for name in plan.classifiers:
        torch.manual_seed(plan.classifier.seed)
        network = make_classifier(name)
        learned_on = arena.train.annotated(n)
        kept = lab.place("detection", f"{name}-{n}", asdict(plan.classifier), learned_on)
        scans = learned_on.scans()
        try:
            fit(
                network, classification_loss, slice_batches(scans, ROI, plan.classifier),
                plan.classifier, kept.with_suffix(".pt"), device=lab.device, deadline=lab.deadline,
                name=CLASSIFIERS[name], progress=lab.progress,
            )  # fmt: skip
        except Cancelled as stop:
            missing.append(f"{CLASSIFIERS[name]}: {stop.message}")
            continue
        network = network.cpu().eval()
        p = slice_probabilities(network, images)
        inside = []
        right = np.flatnonzero(shown & (p >= 0.5))
        heats = cam_overlays(name, network, images[right]) if right.size else ()
        for v, heat in zip(right, heats, strict=True):
            inside.append(cam_share_inside(heat, truth[:, :, v]))
            if len(inside) <= 2:
                overlays.append((CLASSIFIERS[name], images[v, 0], truth[:, :, v], heat))
        share = float(np.nanmean(inside)) if np.isfinite(inside).any() else math.nan
        figures[f"{CLASSIFIERS[name]} ({count(network) / 1e6:.1f} M)"] = (
            detection_figures(p, shown), share,
        )  # fmt: skip
    return figures, overlays, missing


def _second_opinion(
    lab: Laboratory,
    model: BenchmarkModel,
    options: Options,
    results: Sequence[ArmResult],
    findings: Findings,
) -> dict[str, Any]:
    """Δ on the candidates of the best network; both chosen on tuning patients.

    Score and threshold say what Hide-and-Seek's figures mean, whoever drew the candidate: they are
    chosen on the candidates of all networks with as many masks, for one network has few.
    """
    if not results:
        return {}
    # F2 of few tuning vertebrae is chance: among the arms with the most masks
    best = max(results, key=lambda r: (r.arm.annotated, r.point.f2))
    _, tuned = ours(lab, model, lab.arena.tune, options, "tuning")
    among = [r for r in results if r.arm.annotated == best.arm.annotated]
    on_tuning = [opinions(model, lab.arena.tune, _labels(r.tune), tuned, options) for r in among]
    chosen = choose_removal(pooled(on_tuning, len(lab.arena.tune)))
    on_test = opinions(model, lab.arena.test, _labels(best.test), findings, options)
    curves = {
        name: [
            removal(on_test, name, t)
            for t in np.unique([getattr(o, name) for o in on_test]).tolist()
        ]
        for name in SCORES
    }
    told: dict[str, Any] = {
        "system": f"{best.arm.title}, {best.arm.annotated}",
        "tuning": chosen,
        "tuned_on": [r.arm.title for r in among],
        "curves": curves,
        "opinions": on_test,
    }
    if chosen is not None:
        told["test"] = removal(on_test, chosen.score, chosen.threshold, lab.arena.test.patients)
    return told


def _labels(prediction: Prediction) -> Any:
    from hideseek_lab.supervised.slice_scores import without_specks

    return without_specks(prediction.labels)


def removal_line(found: Removal) -> str:
    """A removal as text."""
    removed, lost = f"{100 * found.false_removed:.0f} %", f"{100 * found.recall_lost:.0f} %"
    if found.intervals is not None:
        removed, lost = (
            f"{part}, {100 * i.low:.0f}–{100 * i.high:.0f}"
            for part, i in zip((removed, lost), found.intervals, strict=True)
        )
    return (
        f"{SCORE_TITLES[found.score]} ≥ {found.threshold:.2f}: "
        f"{found.false_before - found.false_after} of "
        f"{found.false_before} false lesions removed ({removed}), "
        f"{found.lesions_before - found.lesions_after} of {found.lesions_before} found lesions "
        f"lost ({lost})"
    )
