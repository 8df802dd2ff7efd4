"""Search for better settings on the validation split: `python -m hideseek_lab.benchmark.tune`.

The search keeps the best settings so far, changes one to three of them at random and goes on from
there when the score rises; now and then it starts from the model's defaults again. Settings that
only cut the finished candidates (τ, the mixed fraction) are swept for every trial at no cost. The
test split is never touched.
"""

from __future__ import annotations

import argparse
import json
import math
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from hideseek_backend.attribution.options import Options
from hideseek_backend.cli.progress import ProgressBar
from hideseek_backend.cli.values import device
from hideseek_backend.errors import OptionError
from hideseek_backend.progress import Progress, ProgressCallback
from hideseek_backend.wire.codec import json_text, to_plain
from hideseek_lab.benchmark.ablations import figures_of
from hideseek_lab.benchmark.dataset import SliceSet, load_split
from hideseek_lab.benchmark.memo import Memory
from hideseek_lab.benchmark.ours import (
    BenchmarkModel,
    Findings,
    analyse_set,
    kept_labels,
    load,
)
from hideseek_lab.benchmark.table import mean_pq, score_labels
from hideseek_lab.scoring.output import write_into
from hideseek_lab.scoring.summary import PHENOTYPES

#: settings that the search may change, and the values it may give them
SPACE: dict[str, tuple[Any, ...]] = {
    "p_target": (0.2, 0.1, 3e-2, 1e-2, 1e-3, 1e-4),
    "direction": ("normal", "pattern", "posterior"),
    "posterior_passes": (1, 2, 3, 4),
    "edit_rounds": (1, 2, 3),
    "residual_against": ("image", "reconstruction"),
    "smooth_sigma": (0.0, 0.5, 0.8, 1.2),
    "binarize": ("mean", "hysteresis"),
    "hysteresis_low": (0.1, 0.15, 0.2, 0.3, 0.4),
    "hysteresis_high": (0.3, 0.4, 0.5, 0.6, 0.7),
    "min_contrast": (0.0, 25.0, 35.0, 50.0, 80.0, 120.0),
    "peak_fraction": (0.0, 0.25, 0.4, 0.5),
    "closing": (0, 1, 2),
    "fill_holes": (True, False),
    "split_distance": (0, 4, 6),
    "merge_depth": (0.0, 0.5, 0.7, 0.9),
    "connectivity": (4, 8),
    "erode": (0, 1, 2),
    "min_area": (5, 8, 12, 16),
    "delta": ("probability", "logit-floor"),
    "min_presence": (0.0, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7),
    "min_evidence": (0.0, 0.3, 0.5, 0.7),
}
TAUS = (0.05, 0.1, 0.15, 0.2, 0.3, 0.4, 0.5, 0.6)
MIXED_FRACTIONS = (0.0, 0.05, 0.1, 0.15, 0.2, 0.3)
_RESTART = 0.15


@dataclass(frozen=True)
class Goal:
    """What a trial must keep to: false area in forced healthy vertebrae and Δ's ranking.

    max_false_mm2: greatest median over healthy vertebrae. min_clean: least share of them in which
    nothing is marked. A trial that misses a bound is ranked behind all that keep it.
    """

    max_false_mm2: float = 0.0
    min_clean: float = 0.6


@dataclass(frozen=True)
class Trial:
    """One tried setting: its changes from the defaults, score, whether it keeps to the goal."""

    changes: dict[str, Any]
    score: float
    allowed: bool
    figures: dict[str, Any]

    @property
    def order(self) -> tuple[bool, float]:
        return self.allowed, self.score if math.isfinite(self.score) else -1.0


def search(
    model: BenchmarkModel,
    vertebrae: SliceSet,
    base: Options,
    trials: int,
    log: Path,
    *,
    goal: Goal | None = None,
    seed: int = 0,
    space: dict[str, tuple[Any, ...]] | None = None,
    memory: Memory | None = None,
    progress: ProgressCallback | None = None,
) -> list[Trial]:
    """Try settings until `trials` are in the log (one JSON line each) and return them all.

    A search that was stopped goes on: the same seed draws the same proposals from the same log.
    """
    done = list(_read(log))
    memory = memory or Memory()
    goal = goal or Goal()
    while len(done) < trials:
        rng = np.random.default_rng([seed, len(done)])
        changes = _propose(done, base, SPACE if space is None else space, rng)
        trial = evaluate(model, vertebrae, base, changes, goal, memory)
        done.append(trial)
        log.parent.mkdir(parents=True, exist_ok=True)
        with log.open("a", encoding="utf-8") as stream:
            stream.write(json.dumps(to_plain(vars(trial), listed=True), sort_keys=True) + "\n")
        if progress is not None:
            best = max(done, key=lambda t: t.order)
            progress(Progress(f"tuning, best PQ {best.score:.3f}", None, len(done), trials))
    return done


def evaluate(
    model: BenchmarkModel,
    vertebrae: SliceSet,
    base: Options,
    changes: dict[str, Any],
    goal: Goal,
    memory: Memory,
) -> Trial:
    """Score one setting with its best τ and mixed fraction: mean PQ over the phenotypes."""
    options = base.with_changes(**changes)
    findings = analyse_set(model, vertebrae, options, memory=memory)
    sick = vertebrae.slice_phenotype != "healthy"
    best, best_order = options, (False, -1.0)
    # τ first, then the mixed fraction at that τ: a full grid gains nothing for six times the work
    for values in (
        [{"tau": tau} for tau in TAUS],
        [{"mixed_fraction": share} for share in MIXED_FRACTIONS],
    ):
        start = best
        for extra in values:
            trial = start.with_changes(**extra)
            score, allowed, _ = _judge(findings, vertebrae, sick, trial, goal)
            if (allowed, score) > best_order:
                best, best_order = trial, (allowed, score)
    score, allowed, false = _judge(findings, vertebrae, sick, best, goal)
    figures = figures_of(findings, vertebrae, best) | false
    final = {**changes, "tau": best.tau, "mixed_fraction": best.mixed_fraction}
    return Trial(final, score, allowed, to_plain(figures, listed=True))


def _judge(
    findings: Findings, vertebrae: SliceSet, sick: Any, options: Options, goal: Goal
) -> tuple[float, bool, dict[str, float]]:
    labels = kept_labels(findings, options)
    score = mean_pq(
        score_labels(vertebrae.take(sick), labels[sick], known_phenotype=False), PHENOTYPES
    )
    forced = kept_labels(findings, options, gate=False)[~vertebrae.malignant]
    areas = (forced > 0).sum(axis=(1, 2)) * 0.64
    median = float(np.median(areas)) if areas.size else 0.0
    clean = float((areas == 0).mean()) if areas.size else 1.0
    allowed = median <= goal.max_false_mm2 and clean >= goal.min_clean
    return score, allowed, {"healthy_median_mm2": median, "healthy_clean": clean}


def _propose(
    done: list[Trial], base: Options, space: dict[str, tuple[Any, ...]], rng: np.random.Generator
) -> dict[str, Any]:
    """The defaults first; then the best so far with one to three settings drawn anew."""
    if not done:
        return {}
    best = max(done, key=lambda trial: trial.order)
    start = {} if rng.random() < _RESTART else best.changes
    for _ in range(100):
        changes = {key: value for key, value in start.items() if key in space}
        names = rng.choice(
            list(space), size=min(int(rng.integers(1, 4)), len(space)), replace=False
        )
        for name in names:
            values = space[str(name)]
            changes[str(name)] = values[int(rng.integers(len(values)))]
        try:
            base.with_changes(**changes)
        except OptionError:
            continue  # two drawn values exclude each other
        return changes
    return dict(start)


def _read(log: Path) -> Iterator[Trial]:
    if log.is_file():
        for line in log.read_text(encoding="utf-8").splitlines():
            values = json.loads(line)
            score = values.pop("score")
            yield Trial(score=math.nan if score is None else score, **values)


def main(arguments: list[str] | None = None) -> int:
    """Run a search and write the best settings to `best.json`."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--model", default="bundled", help="name or folder")
    parser.add_argument("--device", default="auto", type=device)
    parser.add_argument("--out", type=Path, default=Path("runs/tune"), help="log and best.json")
    parser.add_argument("--cache", type=Path, default=Path("runs/quality/cache"))
    parser.add_argument("--trials", type=int, default=100)
    parser.add_argument("--malignant", type=int, default=120)
    parser.add_argument("--healthy", type=int, default=60)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--memory-mb", type=float, default=3000.0)
    args = parser.parse_args(arguments)

    model = load(args.model, args.device)
    base = Options.for_protocol("fast", model.spec.defaults)
    with ProgressBar() as bar:
        vertebrae = load_split(
            "validation", args.malignant, args.healthy, args.cache, bar
        ).vertebrae
        trials = search(
            model, vertebrae, base, args.trials, args.out / f"trials-{model.hash[:12]}.jsonl",
            seed=args.seed, memory=Memory(args.memory_mb), progress=bar,
        )  # fmt: skip
    best = max(trials, key=lambda trial: trial.order)
    write_into(args.out, {"best.json": json_text(vars(best))})
    sys.stdout.write(json_text(vars(best)))
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
