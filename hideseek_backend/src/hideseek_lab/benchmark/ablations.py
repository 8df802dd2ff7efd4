"""Sweeps over the method's settings on the validation split, one setting at a time."""

from __future__ import annotations

import hashlib
import json
import math
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from hideseek_backend.attribution.options import Options
from hideseek_backend.progress import Progress, ProgressCallback
from hideseek_backend.wire.codec import json_text, to_plain
from hideseek_lab.benchmark.dataset import MIDDLE, SliceSet, load_split
from hideseek_lab.benchmark.memo import Memory
from hideseek_lab.benchmark.ours import (
    BenchmarkModel,
    Findings,
    analyse_set,
    found_phenotypes,
    kept_labels,
    load,
    reconstructions,
)
from hideseek_lab.benchmark.ranking import polarity_rows, rank, ssim_of, true_candidates
from hideseek_lab.benchmark.table import mean_pq, score_labels
from hideseek_lab.scoring.intervals import interval_of_means
from hideseek_lab.scoring.output import write_into
from hideseek_lab.scoring.summary import PHENOTYPES, Stat, mean_of

#: group -> {label: changes to the base settings}
SWEEPS: dict[str, dict[str, dict[str, Any]]] = {
    "projection": {
        "none": {"projection": "none"},
        "same noise (paper)": {"projection": "same-noise"},
    },
    "Δ": {name: {"delta": name} for name in ("probability", "logit-floor")},
    "residual against": {n: {"residual_against": n} for n in ("image", "reconstruction")},
    "binarisation": {
        # thresholds alone, without the later trimming to a share of the peak
        **{n: {"binarize": n, "peak_fraction": 0.0} for n in ("mean", "median")},
        "hysteresis": {"binarize": "hysteresis", "peak_fraction": 0.0},
        "hysteresis, share of peak": {"binarize": "hysteresis", "peak_fraction": 0.4},
    },
    "p_target": {f"{p:g}": {"p_target": p} for p in (0.2, 1e-1, 1e-2, 1e-3, 1e-4, 1e-5)},
    "direction": {n: {"direction": n} for n in ("normal", "pattern", "posterior")},
    "posterior passes": {str(n): {"posterior_passes": n} for n in (1, 2, 3, 4)},
    "edit rounds": {str(n): {"edit_rounds": n} for n in (1, 2, 4)},
    "τ": {f"{t:g}": {"tau": t} for t in (0.0, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8)},
    "erosion": {str(n): {"erode": n} for n in (0, 1, 2)},
    "steps": {
        **{
            f"{i} + {r}": {"invert_steps": i, "render_steps": r}
            for i, r in ((4, 4), (8, 8), (8, 12), (12, 8), (10, 10), (20, 20))
        },
        "DDIM 50 + 25": {"solver": "ddim", "invert_steps": 50, "render_steps": 25},
    },
}


@dataclass(frozen=True)
class Variant:
    """One setting's figures on the validation split.

    pq, rq, sq: {phenotype: mean}. pq_interval: 95 % of mean_pq, drawn within the phenotypes.
    auc: {polarity: ROC-AUC of Δ}.
    """

    group: str
    label: str
    changes: dict[str, Any]
    pq: dict[str, float]
    rq: dict[str, float]
    sq: dict[str, float]
    mean_pq: float
    pq_interval: tuple[float, float]
    auc: dict[str, float]
    phenotype_accuracy: float
    candidates: int


@dataclass(frozen=True, eq=False)
class AblationResult:
    """variants: of all sweeps. scores: {polarity: {name: Ranking}} of the base's candidates.

    similarity: SSIM with the slice, of the reconstruction and the edit.
    projections: {title: (n, 64, 64)} example slices.
    """

    base: Options
    vertebrae: SliceSet
    findings: Findings
    variants: list[Variant]
    scores: dict[str, dict[str, Any]]
    similarity: dict[str, Stat]
    projections: dict[str, NDArray[np.float32]] = field(default_factory=dict)


def run_ablations(
    model_name: str,
    cache: Path,
    *,
    device: str = "auto",
    malignant: int = 90,
    progress: ProgressCallback | None = None,
) -> AblationResult:
    """Run all sweeps from the model's fast settings; finished variants are kept in the cache."""
    model = load(model_name, device)
    base = Options.for_protocol("fast", model.spec.defaults)
    vertebrae = load_split("validation", malignant, 0, cache, progress).vertebrae
    return ablate(model, vertebrae, base, cache / "ablations", progress)


def ablate(
    model: BenchmarkModel,
    vertebrae: SliceSet,
    base: Options,
    cache: Path,
    progress: ProgressCallback | None = None,
    sweeps: dict[str, dict[str, dict[str, Any]]] | None = None,
) -> AblationResult:
    """As `run_ablations`, on a model and vertebrae at hand."""
    memory = Memory()
    findings = analyse_set(model, vertebrae, base, memory=memory)
    chosen = SWEEPS if sweeps is None else sweeps
    todo = [(group, label, c) for group, labels in chosen.items() for label, c in labels.items()]
    variants = []
    for done, (group, label, changes) in enumerate(todo, start=1):
        variants.append(_variant(model, vertebrae, base, group, label, changes, cache, memory))
        if progress is not None:
            progress(Progress(f"ablations: {group}", None, done, len(todo)))
    return AblationResult(
        base,
        vertebrae,
        findings,
        variants,
        _scores(model, vertebrae, base, findings, memory),
        _similarity(findings, reconstructions(model, vertebrae, base, memory)),
        projection_examples(model, vertebrae, base, memory),
    )


def figures_of(findings: Findings, vertebrae: SliceSet, options: Options) -> dict[str, Any]:
    """Mean scores per phenotype, Δ's ROC-AUC per polarity and phenotype accuracy of one setting.

    Nothing is told beforehand: the phenotype is found and vertebrae below p_threshold are empty.
    """
    units = score_labels(vertebrae, kept_labels(findings, options), known_phenotype=False)
    table, true = findings.candidates, true_candidates(findings, vertebrae)
    sick = vertebrae.slice_phenotype != "healthy"
    auc = {}
    for polarity in ("blastic", "lytic"):
        rows = polarity_rows(table, vertebrae, polarity)
        auc[polarity] = rank(table.delta[rows], true[rows]).roc_auc
    means = {
        metric: {
            name: mean_of(u.scores.values[metric] for u in units if u.phenotype == name)
            for name in PHENOTYPES
        }
        for metric in ("pq", "rq", "sq")
    }
    named = found_phenotypes(findings, options) == vertebrae.slice_phenotype
    return {
        **means,
        "mean_pq": mean_pq(units, PHENOTYPES),
        "pq_interval": interval_of_means(
            [[u.scores.values["pq"] for u in units if u.phenotype == name] for name in PHENOTYPES]
        ),
        "auc": auc,
        "phenotype_accuracy": float(named[sick].mean()) if sick.any() else math.nan,
        "candidates": len(table),
    }


def _variant(
    model: BenchmarkModel,
    vertebrae: SliceSet,
    base: Options,
    group: str,
    label: str,
    changes: dict[str, Any],
    cache: Path,
    memory: Memory,
) -> Variant:
    options = base.with_changes(**changes)
    digest = hashlib.sha256(json.dumps(options.to_dict(), sort_keys=True).encode())
    digest.update(model.hash.encode() + vertebrae.hu.tobytes())
    path = cache / f"{digest.hexdigest()[:24]}.json"
    if path.is_file():
        figures = json.loads(path.read_text(encoding="utf-8"))
    else:
        findings = analyse_set(model, vertebrae, options, memory=memory)
        figures = to_plain(figures_of(findings, vertebrae, options), listed=True)
        write_into(cache, {path.name: json_text(figures)})
    return Variant(group, label, changes, **_defined(figures))


def _defined(figures: Any) -> Any:
    """Undefined figures, null in JSON, as NaN."""
    if isinstance(figures, dict):
        return {key: _defined(value) for key, value in figures.items()}
    return math.nan if figures is None else figures


def _scores(
    model: BenchmarkModel, vertebrae: SliceSet, base: Options, findings: Findings, memory: Memory
) -> dict[str, dict[str, Any]]:
    """Rankings of the base's candidates by Δ, by the raw p, by Δ₀ and by the paper's Δ.

    Δ₀ is eq. 3 without a projection: one encoding of the composite and no more.
    """
    plainest = base.with_changes(delta="probability", projection="none")
    paper = base.with_changes(delta="probability", projection="same-noise")
    tables = {
        "Δ": findings.candidates.delta,
        "p": findings.candidates.p_hide,
        "Δ₀": analyse_set(model, vertebrae, plainest, memory=memory).candidates.delta,
        "paper's Δ": analyse_set(model, vertebrae, paper, memory=memory).candidates.delta,
    }
    true = true_candidates(findings, vertebrae)
    found: dict[str, dict[str, Any]] = {}
    for polarity in ("blastic", "lytic"):
        rows = polarity_rows(findings.candidates, vertebrae, polarity)
        found[polarity] = {name: rank(s[rows], true[rows]) for name, s in tables.items()}
    return found


def _similarity(findings: Findings, rebuilt: NDArray[np.float32]) -> dict[str, Stat]:
    pairs = {"reconstruction": rebuilt, "healthy edit": findings.healthy}
    return {name: ssim_of(findings.image, pictures) for name, pictures in pairs.items()}


def projection_examples(
    model: BenchmarkModel,
    vertebrae: SliceSet,
    options: Options,
    memory: Memory,
    count: int = 4,
) -> dict[str, NDArray[np.float32]]:
    """Slices with all candidates hidden, before and after each projection: {title: (n, 64, 64)}.

    The first vertebrae of the set whose slice has a candidate.
    """
    from hideseek_backend.attribution.edit import healthy_edit
    from hideseek_lab.benchmark.ours import images_of, make_network

    probe = analyse_set(model, vertebrae, options, memory=memory)
    shown = np.flatnonzero(probe.labels.any(axis=(1, 2)))[:count]
    if not shown.size:
        return {}
    chosen = vertebrae.take(shown)
    network = make_network(model, options, memory)
    edit = healthy_edit(network, model.classifier, images_of(model, chosen, MIDDLE), options)
    hidden = torch.from_numpy(probe.labels[shown] > 0)[:, None]
    composite = torch.where(hidden, edit.healthy, edit.base(options))
    z = network.encode(composite)
    pictures = {
        "slice": edit.images,
        "healthy edit": edit.healthy,
        "all candidates hidden": composite,
        "projected, same noise": network.render(network.invert(composite, z), z),
    }
    return {title: images[:, 0].numpy() for title, images in pictures.items()}
