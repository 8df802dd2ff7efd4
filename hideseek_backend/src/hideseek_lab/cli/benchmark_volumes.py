"""The verb `hideseek benchmark volumes`: whole phantom spines in three dimensions."""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hideseek_backend.cli import values
from hideseek_backend.cli.progress import ProgressBar
from hideseek_backend.progress import Progress
from hideseek_backend.report.output import writing
from hideseek_backend.wire.codec import json_text
from hideseek_lab.benchmark.memory import peak_memory
from hideseek_lab.scoring.cases import find_cases
from hideseek_lab.scoring.evaluate import Evaluation, ScoringOptions, evaluate_cases
from hideseek_lab.scoring.evaluation_report import (
    evaluation_files,
    summary_lines,
)
from hideseek_lab.scoring.metrics import METRICS
from hideseek_lab.scoring.output import write_into
from hideseek_lab.scoring.summary import stat

if TYPE_CHECKING:
    from hideseek_backend.attribution.options import Options

DESCRIPTION = (
    "Segment whole phantom spines of the test split with --slices all and compare lesions and "
    "their volumes with the truth. A stopped run goes on with the cases that are not done."
)
FIRST_SEED = 2_300_000
"""In the test split, beyond the seeds of the central-slice benchmark."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the verb's arguments to its parser."""
    parser.description = DESCRIPTION
    parser.add_argument(
        "--out", type=Path, default=Path("runs/volumes"), metavar="DIR",
        help="folder for cases, tables and the page (default runs/volumes)",
    )  # fmt: skip
    parser.add_argument("--model", default="bundled", metavar="NAME_OR_DIR")
    parser.add_argument("--device", type=values.device, default="auto")
    parser.add_argument(
        "--cases", type=values.whole(1, 1000), default=8, metavar="N", help="phantoms (default 8)"
    )
    parser.add_argument(
        "--seed", type=values.whole(0, 2**31), default=FIRST_SEED, metavar="N",
        help=f"of the first phantom (default {FIRST_SEED}, the test split; validation: 2200000 on)",
    )  # fmt: skip
    parser.add_argument(
        "--against", type=values.setting, action="append", default=[], metavar="NAME=VALUE",
        help="segment with these settings as well and print the paired differences",
    )  # fmt: skip
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the figures as JSON")


def main(args: argparse.Namespace) -> int:
    """Run the verb; returns the exit status."""
    from hideseek_backend.attribution.options import Options
    from hideseek_backend.models.store import load_model
    from hideseek_backend.phantom import PHANTOM_VERSION

    model = load_model(args.model, device=args.device)
    settings = {"slices": "all"}
    options = Options.for_protocol("fast", model.spec.defaults, **settings)
    other = Options.for_protocol("fast", model.spec.defaults, **settings | dict(args.against))
    # Cases of other weights, phantoms or settings are not this run's.
    folder = args.out / f"{model.hash[:12]}-phantom{PHANTOM_VERSION}"
    apart = "-".join([folder.name, *(f"{name}={value}" for name, value in args.against)])
    seeds = range(args.seed, args.seed + args.cases)
    with writing(args.out), ProgressBar() as bar:
        evaluation, costs = _spines(model, options, seeds, folder, bar)
        write_into(args.out, evaluation_files(evaluation))
        if args.against:
            compared, slower = _spines(model, other, seeds, folder.with_name(apart), bar)
    seconds = sorted(cost["seconds"] for cost in costs)
    memory = max(cost["peak_memory_mb"] for cost in costs)
    flagged, unexplained = (sum(c[key] for c in costs) for key in ("flagged", "unexplained"))
    lines = [
        *summary_lines(evaluation),
        f"{len(costs)} spines, {model.device}: median {seconds[len(seconds) // 2]:.0f} s, longest "
        f"{seconds[-1]:.0f} s; analysis takes {memory:.0f} MB at most",
        f"Flagged, nothing found that explains it: {unexplained:.0f} of {flagged:.0f}",
        f"Page: {args.out / 'evaluation.html'}",
    ]
    if args.against:
        told = ", ".join(f"{name}={value}" for name, value in args.against)
        ratio = stat([a["seconds"] / b["seconds"] for a, b in zip(slower, costs, strict=True)])
        lines += [
            f"This less {told}, the same vertebrae (95 % interval over spines):",
            *difference_lines(evaluation, compared),
            f"seconds of {told} over seconds of this: {ratio}, spine by spine",
        ]
    sys.stdout.write("\n".join(lines) + "\n")
    if args.json is not None:
        files = {args.json.name: json_text({"model": model.hash, "cases": costs})}
        write_into(args.json.parent, files)
    return 0


def difference_lines(one: Evaluation, other: Evaluation) -> list[str]:
    """Mean of `one` less `other` over units of both, for the figures that lesions are told by."""
    before = {(unit.case, unit.name): unit.scores.values for unit in other.units}
    lines = []
    for key in ("pq", "rq", "sq", "recall"):
        pairs = [(u.scores.values[key] - before[u.case, u.name][key], u.case) for u in one.units]
        found = stat([difference for difference, _ in pairs], [case for _, case in pairs])
        lines.append(
            f"{METRICS[key]:<26} {found.mean:+.3f} ({found.low:+.3f} to {found.high:+.3f}) of "
            f"{found.n} vertebrae"
        )
    return lines


def _spines(
    model: Any, options: Options, seeds: Sequence[int], folder: Path, bar: ProgressBar
) -> tuple[Evaluation, list[dict[str, float]]]:
    """Segment the phantoms that are not done, score all; with what each cost."""
    costs = []
    for index, seed in enumerate(seeds):
        bar(Progress("phantom cases", None, index, len(seeds)))
        costs.append(_case(model, options, seed, folder))
    found, truth = folder / "found", folder / "truth"
    wanted = {f"{seed}" for seed in seeds}
    cases = [case for case in find_cases(found, truth, truth) if case.name in wanted]
    return evaluate_cases(cases, ScoringOptions(), bar), costs


def _case(model: Any, options: Options, seed: int, folder: Path) -> dict[str, float]:
    """Make and segment one phantom unless that is done; return its seconds and memory."""
    from hideseek_backend.case import segment_ct
    from hideseek_backend.phantom import make_phantom
    from hideseek_backend.report.summary import totals
    from hideseek_backend.volumes.vertebrae import load_case
    from hideseek_backend.volumes.writing import write_nifti

    cost_file = folder / "cost" / f"{seed}.json"
    if cost_file.is_file():
        return dict(json.loads(cost_file.read_text(encoding="utf-8")))
    phantom = make_phantom(seed)
    case = load_case(phantom.ct, phantom.vertebrae, bodies_path=phantom.bodies, labels="verse")
    started = time.perf_counter()
    with peak_memory(model.device) as peak:
        result = segment_ct(case.ct, case.vertebrae, model=model, options=options)
    counted = totals(result.vertebrae, options.p_threshold)
    cost = {
        "seed": seed,
        "seconds": time.perf_counter() - started,
        "peak_memory_mb": peak.mb,
        "flagged": counted.flagged,
        "unexplained": counted.unexplained,
    }
    write_nifti(result.lesions, folder / "found" / str(seed) / "lesions.nii.gz")
    write_nifti(phantom.bodies, folder / "truth" / str(seed) / "bodies.nii.gz")
    write_nifti(phantom.truth, folder / "truth" / str(seed) / "truth.nii.gz")
    write_into(cost_file.parent, {cost_file.name: json_text(cost)})
    return cost
