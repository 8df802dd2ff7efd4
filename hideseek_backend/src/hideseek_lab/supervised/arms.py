"""The systems of a comparison: each trained, its threshold chosen, and its predictions kept."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from functools import partial
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from hideseek_backend.attribution.options import Options
from hideseek_backend.files import whole_file
from hideseek_backend.progress import ProgressCallback
from hideseek_lab.benchmark.baselines.common import MIN_AREA_PX
from hideseek_lab.benchmark.dataset import MIDDLE
from hideseek_lab.benchmark.ours import BenchmarkModel, Findings, analyse_set, kept_labels
from hideseek_lab.supervised.arenas import MOST_TUNING, Arena, Vertebrae
from hideseek_lab.supervised.networks import SEGMENTERS, make_segmenter
from hideseek_lab.supervised.patches import BalancedPatches, Roi
from hideseek_lab.supervised.predicting import labels_at, lesion_probability, probabilities
from hideseek_lab.supervised.pretraining import (
    INIT_TITLES,
    Init,
    fine_tuning,
    pretraining_task,
    take_over,
)
from hideseek_lab.supervised.protocol import SIZES, OperatingPoint, choose_point
from hideseek_lab.supervised.scans import Scan
from hideseek_lab.supervised.slice_scores import Prediction
from hideseek_lab.supervised.training import (
    Deadline,
    FitPlan,
    fit,
    patch_batches,
    segmentation_loss,
)

ROI: Roi = (64, 64, 1)
CLASSES = 3


@dataclass(frozen=True)
class Arm:
    """A system: network, what it starts from, and how many diseased vertebrae have masks."""

    network: str
    init: Init
    annotated: int

    @property
    def title(self) -> str:
        return f"{TITLES[self.network]}, {INIT_TITLES[self.init]}"

    @property
    def key(self) -> str:
        return f"{self.network}-{self.init}-{self.annotated}"


#: more annotated vertebrae than these are learned from in as many more steps
GROWS_FROM = 80


def grown(plan: FitPlan, annotated: int) -> FitPlan:
    """The plan for so many annotated vertebrae: from GROWS_FROM on every one is seen as often."""
    return replace(plan, steps=round(plan.steps * max(1.0, annotated / GROWS_FROM)))


TITLES = {**SEGMENTERS, "nnunet": "nnU-Net v2"}


@dataclass(frozen=True, eq=False)
class ArmResult:
    """point: chosen on tuning vertebrae. parameters: counted."""

    arm: Arm
    point: OperatingPoint
    tune: Prediction
    test: Prediction
    parameters: int


@dataclass(frozen=True, eq=False)
class Laboratory:
    """Where a comparison works: its arena, folder, plans, and until when.

    size: width of the networks. plan: of learning lesions, up to GROWS_FROM annotated vertebrae;
    pretraining: of what comes before.
    """

    arena: Arena
    folder: Path
    plan: FitPlan
    pretraining: FitPlan
    size: str
    device: torch.device
    deadline: Deadline
    progress: ProgressCallback | None = None

    def place(self, kind: str, name: str, *decides: object) -> Path:
        """A file of the run, named after what decides its content: the vertebrae among them."""
        said = json.dumps(
            [self.size, *(d.digest if isinstance(d, Vertebrae) else str(d) for d in decides)]
        )
        digest = hashlib.sha256(said.encode()).hexdigest()[:8]
        return self.folder / self.arena.name / kind / f"{name}-{digest}"


def run_arm(lab: Laboratory, arm: Arm) -> ArmResult:
    """Train and predict, or read what was kept.

    Raises Cancelled when the time is over; what was done until then is kept.
    """
    plan = fine_tuning(grown(lab.plan, arm.annotated), arm.init)
    learned_on = lab.arena.train.annotated(arm.annotated)
    decides: list[object] = [asdict(plan), learned_on]
    if arm.init != "random":
        decides += [asdict(lab.pretraining), lab.arena.train]
    kept = lab.place(
        "predictions", arm.key, *decides, lab.arena.tune, lab.arena.test, SIZES
    ).with_suffix(".npz")  # fmt: skip
    if kept.is_file():
        return read_result(kept, arm)
    before_it = pretrain(lab, arm.network, arm.init) if arm.init != "random" else None
    torch.manual_seed(lab.plan.seed)
    network = make_segmenter(arm.network, classes=CLASSES, size=lab.size)
    if before_it is not None:
        take_over(network, before_it, arm.init)
    patches = BalancedPatches(learned_on.scans(), ROI)
    state = lab.place("trainings", arm.key, *decides)
    fit(
        network, segmentation_loss(), patch_batches(patches, plan), plan, state.with_suffix(".pt"),
        device=lab.device, deadline=lab.deadline, name=f"{arm.title}, {arm.annotated}",
        progress=lab.progress,
    )  # fmt: skip
    result = finish(
        lab, arm, lambda scan: probabilities(network, scan, ROI, lab.device), count(network)
    )
    write_result(kept, result)
    return result


def pretrain(lab: Laboratory, name: str, init: Init) -> Path:
    """Pretrain a network on the training patients without a lesion mask; returns its state.

    Self-supervision sees all slices, anatomical pretraining the healthy vertebrae with their bone
    labels, as in the paper.
    """
    plan = lab.pretraining
    train = lab.arena.train
    kept = lab.place("pretrainings", f"{name}-{init}", asdict(plan), train)
    state = kept.with_suffix(".pt")
    said = f"{TITLES[name]}, pretraining {INIT_TITLES[init]}"
    network, loss, batches = pretraining_task(
        init,
        partial(make_segmenter, name, size=lab.size),
        train.scans(),
        train.take(~train.slices.malignant).scans(),
        ROI,
        plan,
    )
    fit(
        network, loss, batches, plan, state, device=lab.device, deadline=lab.deadline, name=said,
        progress=lab.progress,
    )  # fmt: skip
    return state


def finish(
    lab: Laboratory,
    arm: Arm,
    probability_of: Callable[[Scan], NDArray[np.float32]],
    parameters: int,
) -> ArmResult:
    """Choose threshold and smallest component on as many tuning vertebrae as were annotated,
    MOST_TUNING at most, and predict the central slices of both sides."""
    tuning = lab.arena.tune.annotated(min(arm.annotated, MOST_TUNING))
    tuned = [probability_of(scan) for scan in central(tuning)]
    point = choose_point(
        [lesion_probability(p) for p in tuned],
        [scan.lesions for scan in central(tuning)],
        tuning.patients.tolist(),
        MIN_AREA_PX,
    )
    return ArmResult(
        arm,
        point,
        prediction([probability_of(s) for s in central(lab.arena.tune)], point),
        prediction([probability_of(s) for s in central(lab.arena.test)], point),
        parameters,
    )


def central(vertebrae: Vertebrae) -> list[Scan]:
    """Scans of the central slice alone: (1, 64, 64, 1)."""
    one = slice(MIDDLE, MIDDLE + 1)
    return [
        replace(s, image=s.image[..., one], lesions=s.lesions[..., one], bones=s.bones[..., one])
        for s in vertebrae.scans()
    ]


def prediction(classes: list[NDArray[np.float32]], point: OperatingPoint) -> Prediction:
    """A prediction of the central slices from the classes' probabilities (C, 64, 64, 1) of each."""
    return Prediction(
        np.stack([labels_at(p, point.threshold, point.least)[..., 0] for p in classes]),
        np.stack([lesion_probability(p)[..., 0] for p in classes]).astype(np.float16),
    )


def ours(
    lab: Laboratory, model: BenchmarkModel, vertebrae: Vertebrae, options: Options, name: str
) -> tuple[Prediction, Findings]:
    """HideSeek on the central slices: what it keeps, and Δ as evidence (0 where it is not kept
    for the vertebra's malignancy)."""
    findings = analyse_set(
        model, vertebrae.slices, options, cache=lab.folder / lab.arena.name / "ours",
        progress=lab.progress, name=f"HideSeek, {name}",
    )  # fmt: skip
    evidence = np.zeros(findings.labels.shape, dtype=np.float16)
    table = findings.candidates
    for row in range(len(table)):
        v = int(table.vertebra[row])
        if findings.p[v] >= options.p_threshold and table.delta[row] > 0:
            mask = findings.labels[v] == table.number[row]
            evidence[v][mask] = min(float(table.delta[row]), 100.0)
    return Prediction(kept_labels(findings, options), evidence), findings


def count(network: nn.Module) -> int:
    """Parameters of a network."""
    return sum(p.numel() for p in network.parameters())


def write_result(path: Path, result: ArmResult) -> None:
    """Keep an arm's predictions."""
    with whole_file(path) as part:
        np.savez_compressed(
            part,
            threshold=result.point.threshold,
            least=result.point.least,
            tune_f2=result.point.f2,
            parameters=result.parameters,
            tune_labels=result.tune.labels,
            tune_evidence=result.tune.evidence,
            test_labels=result.test.labels,
            test_evidence=result.test.evidence,
        )


def read_result(path: Path, arm: Arm) -> ArmResult:
    """Read what `write_result` kept."""
    with np.load(path, allow_pickle=False) as kept:
        return ArmResult(
            arm,
            OperatingPoint(float(kept["threshold"]), int(kept["least"]), float(kept["tune_f2"])),
            Prediction(kept["tune_labels"], kept["tune_evidence"]),
            Prediction(kept["test_labels"], kept["test_evidence"]),
            int(kept["parameters"]),
        )
