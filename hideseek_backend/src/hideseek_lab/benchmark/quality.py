"""The quality benchmark: our method and the baselines on the same slices (tables 2 and 6)."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from hideseek_backend.attribution.options import Options
from hideseek_backend.errors import HideSeekError, OptionError
from hideseek_backend.progress import ProgressCallback
from hideseek_lab.benchmark.baselines.cams import CAMS
from hideseek_lab.benchmark.baselines.training import (
    RESNET_PLAN,
    UNET_PLAN,
    TrainingPlan,
    resnet_probability,
    train_resnet,
    train_unet,
)
from hideseek_lab.benchmark.dataset import MIDDLE, SliceSet, Split, load_seeds, load_split
from hideseek_lab.benchmark.inserted import RealCase, inserted_set
from hideseek_lab.benchmark.methods import (
    Labels,
    Method,
    anomaly_method,
    cam_method,
    otsu_methods,
    remembered,
    unet_method,
)
from hideseek_lab.benchmark.ours import (
    Findings,
    analyse_set,
    found_phenotypes,
    kept_labels,
    load,
    malignancy,
    reconstructions,
)
from hideseek_lab.benchmark.ranking import (
    classifier_figures,
    polarity_rows,
    rank,
    ssim_of,
    true_candidates,
)
from hideseek_lab.benchmark.table import Row, make_row, score_labels

CAM_TITLES = dict(zip(CAMS, ("GradCAM", "GradCAM++", "LayerCAM", "EigenCAM"), strict=True))
OURS = {"best": "hideseek", "paper": "hideseek-paper"}
GROUPS: tuple[str, ...] = ("otsu", "cam", "anomaly", "paper", "best", "unet")


@dataclass(frozen=True)
class QualityPlan:
    """What to run. Counts are of vertebrae; steps are (inversion, rendering).

    groups: of GROUPS. healthy_model: folder of a model trained on healthy vertebrae only.
    """

    model: str = "bundled"
    device: str = "auto"
    malignant: int = 200
    healthy: int = 200
    validation: int = 90
    reference_steps: tuple[int, int] = (250, 100)
    groups: tuple[str, ...] = GROUPS
    healthy_model: str | None = None
    real: tuple[RealCase, ...] = ()
    real_per_level: int = 4
    resnet: TrainingPlan = RESNET_PLAN
    unet: TrainingPlan = UNET_PLAN

    def __post_init__(self) -> None:
        unknown = sorted(set(self.groups) - set(GROUPS))
        if unknown:
            raise OptionError(
                f"Unknown methods {', '.join(unknown)}.", f"Choose among {', '.join(GROUPS)}."
            )


@dataclass(frozen=True, eq=False)
class QualityResult:
    """rows: of the phantom test split; real_rows: of lesions inserted into real vertebrae.

    findings: of our two settings, for figures. labels: of each method on the malignant vertebrae,
    in their order. skipped: {group: why}. facts: everything else that
    the page and the JSON give, plain values.
    """

    split: Split
    rows: list[Row]
    real_rows: list[Row]
    findings: dict[str, Findings]
    labels: dict[str, Labels]
    skipped: dict[str, str]
    facts: dict[str, Any] = field(default_factory=dict)


def run_quality(
    plan: QualityPlan, cache: Path, progress: ProgressCallback | None = None
) -> QualityResult:
    """Run the benchmark; what is in the cache is not run again.

    Raises ModelError when our model cannot be loaded. A baseline that cannot run is skipped with
    its reason.
    """
    split = load_split("test", plan.malignant, plan.healthy, cache, progress)
    run = _Run(plan, cache, progress)
    malignant = split.vertebrae.take(split.vertebrae.malignant)
    for method in run.baselines():
        run.add_baseline(method, malignant)
    if {"paper", "best"} & set(plan.groups):
        run.add_ours(split.vertebrae)
    real_rows: list[Row] = []
    if plan.real:
        real_rows = run.real_rows(inserted_set(list(plan.real), plan.real_per_level))
    else:
        run.skipped["inserted lesions"] = "no real vertebrae were given (--real)"
    return QualityResult(
        split,
        _ours_first(run.rows),
        _ours_first(real_rows),
        run.findings,
        run.labels,
        run.skipped,
        run.facts,
    )


def _ours_first(rows: list[Row]) -> list[Row]:
    """Our columns beside the row names: a wide table is read from its left."""
    ours = tuple(OURS.values())
    return sorted(rows, key=lambda row: not row.key.startswith(ours))


class _Run:
    """The state of one run: models made once, rows as they are finished."""

    def __init__(self, plan: QualityPlan, cache: Path, progress: ProgressCallback | None) -> None:
        self.plan, self.cache, self.progress = plan, cache, progress
        self.rows: list[Row] = []
        self.findings: dict[str, Findings] = {}
        self.labels: dict[str, Labels] = {}
        self.skipped: dict[str, str] = {}
        self.facts: dict[str, Any] = {"groups": list(plan.groups)}
        self._predictions = cache / "predictions"
        self._methods: list[Method] = []
        self._validation: SliceSet | None = None
        self._model: Any = None

    @property
    def validation(self) -> SliceSet:
        """Malignant vertebrae of the validation split, for the baselines' choices."""
        if self._validation is None:
            count = self.plan.validation
            self._validation = load_split(
                "validation", count, 0, self.cache, self.progress
            ).vertebrae
        return self._validation

    @property
    def model(self) -> Any:
        if self._model is None:
            self._model = load(self.plan.model, self.plan.device)
            self.facts["model"] = {"name": self.plan.model, "hash": self._model.hash}
        return self._model

    def baselines(self) -> Iterator[Method]:
        """Yield the methods that can run; note why others cannot."""
        makers: dict[str, Callable[[], list[Method]]] = {
            "otsu": otsu_methods,
            "cam": self._cams,
            "anomaly": self._anomaly,
            "unet": self._unet,
        }
        for group, make in makers.items():
            if group not in self.plan.groups:
                continue
            try:
                for method in make():
                    self._methods.append(method)
                    yield method
            except HideSeekError as error:
                self.skipped[group] = str(error)

    def add_baseline(self, method: Method, vertebrae: SliceSet) -> None:
        started = time.perf_counter()
        labels = remembered(method, vertebrae, self._predictions, self.progress)
        seconds = (time.perf_counter() - started) / max(len(vertebrae), 1)
        self.labels[method.key] = labels
        self.rows.append(
            make_row(
                method.key, method.title, score_labels(vertebrae, labels),
                weak=method.weak, settings=method.settings, seconds=seconds,
            )
        )  # fmt: skip

    def options(self, group: str) -> Options:
        """Options of our two settings."""
        if group == "paper":
            invert, render = self.plan.reference_steps
            return Options.for_protocol("reference", invert_steps=invert, render_steps=render)
        return Options.for_protocol("fast", self.model.spec.defaults)

    def add_ours(self, vertebrae: SliceSet) -> None:
        malignant = vertebrae.take(vertebrae.malignant)
        for group in OURS:
            if group not in self.plan.groups:
                continue
            options = self.options(group)
            # the paper's settings are slow, and healthy vertebrae say nothing about its tables
            subject = malignant if group == "paper" else vertebrae
            findings = analyse_set(
                self.model, subject, options,
                cache=self.cache / "findings", progress=self.progress, name=f"ours, {group}",
                told=group == "paper",
            )  # fmt: skip
            self.findings[group] = findings
            self.rows += ours_rows(group, findings, options, subject)
            told = subject.slice_phenotype if group == "paper" else None
            labels = kept_labels(findings, options, phenotype=told)
            self.labels[OURS[group]] = labels[subject.malignant]
            self.facts[group] = self._facts(findings, options, subject)
        options = self.options("best" if "best" in self.plan.groups else "paper")
        p = malignancy(self.model, vertebrae, options)
        self.facts["classifier"] = classifier_figures(p, vertebrae.malignant)

    def real_rows(self, vertebrae: SliceSet) -> list[Row]:
        """Rows of the same methods on lesions inserted into real vertebrae."""
        shown = vertebrae.take(~vertebrae.malignant | (vertebrae.slice_phenotype != "healthy"))
        malignant = shown.take(shown.malignant)
        rows = []
        for method in self._methods:
            labels = remembered(method, malignant, self._predictions, self.progress)
            rows.append(
                make_row(
                    method.key, method.title, score_labels(malignant, labels),
                    weak=method.weak, settings=method.settings,
                )
            )  # fmt: skip
        for group in OURS:
            if group in self.plan.groups:
                options = self.options(group)
                subject = malignant if group == "paper" else shown
                findings = analyse_set(
                    self.model, subject, options,
                    cache=self.cache / "findings", progress=self.progress, name=f"real, {group}",
                    told=group == "paper",
                )  # fmt: skip
                rows += ours_rows(group, findings, options, subject)
        if {"paper", "best"} & set(self.plan.groups):
            p = malignancy(self.model, shown, self.options("best"))
            self.facts["real classifier"] = classifier_figures(p, shown.malignant)
        return rows

    def _facts(self, findings: Findings, options: Options, vertebrae: SliceSet) -> dict[str, Any]:
        """Δ, phenotype and picture figures of one of our settings."""
        table = findings.candidates
        true = true_candidates(findings, vertebrae)
        ranking = {}
        for polarity in ("blastic", "lytic"):
            # candidates that the phenotype takes out were not scored in the paper's settings
            for known in (True, False) if options.polarity == "auto" else (True,):
                rows = polarity_rows(table, vertebrae, polarity, known_phenotype=known)
                name = polarity if known else f"{polarity}, phenotype unknown"
                delta, raw = (
                    rank(table.delta[rows], true[rows]),
                    rank(table.p_hide[rows], true[rows]),
                )
                ranking[name] = {
                    "delta_roc_auc": delta.roc_auc,
                    "probability_roc_auc": raw.roc_auc,
                    "delta_average_precision": delta.average_precision,
                    "true": delta.true,
                    "false": delta.false,
                }
        sick = vertebrae.slice_phenotype != "healthy"
        named = found_phenotypes(findings, options, gate=False)
        return {
            "options": options.to_dict(),
            "seconds_per_vertebra": float(np.median(findings.seconds)),
            "delta": ranking,
            "phenotype_accuracy": float((named == vertebrae.slice_phenotype)[sick].mean())
            if options.polarity == "auto" and sick.any()
            else math.nan,
            "p_healthy_image": vars(_stat_of(findings.p_healthy[sick])),
            "ssim_reconstruction": vars(
                ssim_of(findings.image, reconstructions(self.model, vertebrae, options))
            ),
            "ssim_edit": vars(ssim_of(findings.image, findings.healthy)),
        }

    def _training_set(self, plan: TrainingPlan) -> Callable[[], SliceSet]:
        return lambda: load_seeds("train", plan.vertebrae, self.cache, self.progress)

    def _cams(self) -> list[Method]:
        plan = self.plan.resnet
        network = train_resnet(
            self._training_set(plan), plan, self.cache / "networks", self.progress
        )
        held_out = load_split(
            "validation", self.plan.validation, self.plan.validation, self.cache, self.progress
        ).vertebrae
        p = resnet_probability(network, held_out.hu[:, MIDDLE])
        self.facts["resnet18 on validation"] = classifier_figures(p, held_out.malignant)
        return [
            cam_method(key, title, network, self.validation, self._predictions)
            for key, title in CAM_TITLES.items()
        ]

    def _unet(self) -> list[Method]:
        plan = self.plan.unet
        data = self._training_set(plan)
        return [unet_method(train_unet(data, plan, self.cache / "networks", self.progress))]

    def _anomaly(self) -> list[Method]:
        if self.plan.healthy_model is None:
            self.skipped["anomaly"] = "no healthy-only model was given (--healthy-model DIR)"
            return []
        return [
            anomaly_method(
                load(self.plan.healthy_model, self.plan.device), self.validation, self._predictions
            )
        ]


def ours_rows(group: str, findings: Findings, options: Options, vertebrae: SliceSet) -> list[Row]:
    """The lines of one of our settings.

    "paper": the polarity known and vertebrae below the threshold empty, as published. "best": the
    same without any knowledge of the phenotype. "forced": no threshold, as the baselines have none.
    "known": forced and with the phenotype known, the baselines' own terms.
    """
    known = vertebrae.slice_phenotype
    seconds = float(np.median(findings.seconds))
    title = "HideSeek, paper's settings" if group == "paper" else "HideSeek"
    # healthy slices must show what auto polarity finds there, not be emptied by a known label
    open_label = np.where(known == "healthy", "mixed", known)
    variants: list[tuple[str, str, Any, bool, bool]] = (
        [("hideseek-paper", title, open_label, True, True),
         ("hideseek-paper-forced", f"{title}, forced", open_label, False, True)]
        if group == "paper"
        else [("hideseek", title, None, True, False),
              ("hideseek-forced", f"{title}, forced", None, False, False),
              ("hideseek-known", f"{title}, forced, phenotype known", open_label, False, True)]
    )  # fmt: skip
    rows = []
    for key, name, phenotype, gate, told in variants:
        labels = kept_labels(findings, options, phenotype=phenotype, gate=gate)
        units = score_labels(vertebrae, labels, known_phenotype=told)
        settings = "; ".join(
            [
                "phenotype known" if told else "phenotype found",
                "below p = 0.5 empty" if gate else "no threshold",
                f"{options.invert_steps} + {options.render_steps} steps",
            ]
        )
        rows.append(make_row(key, name, units, settings=settings, seconds=seconds))
    return rows


def _stat_of(values: Any) -> Any:
    from hideseek_lab.scoring.summary import stat

    return stat(float(value) for value in values)
