"""`hideseek supervised train` and `predict`: from a manifest to networks and lesion masks."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn

from hideseek_backend.errors import InputError, OptionError
from hideseek_backend.progress import ProgressCallback
from hideseek_lab.manifest import Case, Manifest
from hideseek_lab.scoring.instances import label_components
from hideseek_lab.supervised.cases import Grid
from hideseek_lab.supervised.detection import (
    DetectionFigures,
    detection_figures,
    shows_lesion,
    slice_batches,
    slice_probabilities,
)
from hideseek_lab.supervised.networks import (
    CLASSIFIERS,
    is_3d,
    make_classifier,
    make_segmenter,
)
from hideseek_lab.supervised.patches import BalancedPatches, Patch, Roi, cut
from hideseek_lab.supervised.predicting import lesion_probability, probabilities
from hideseek_lab.supervised.pretraining import (
    Init,
    fine_tuning,
    pretraining_task,
    take_over,
)
from hideseek_lab.supervised.protocol import Fold, choose_point, stratified_folds
from hideseek_lab.supervised.scans import Scan
from hideseek_lab.supervised.store import SupervisedSpec, save_network
from hideseek_lab.supervised.training import (
    Deadline,
    FitPlan,
    classification_loss,
    fit,
    patch_batches,
    segmentation_loss,
)
from hideseek_lab.training.distributed import ALONE, Replicas


@dataclass(frozen=True)
class TrainPlan:
    """network: a segmenter or a classifier. roi: side of patches; Swin UNETR takes cubes of it,
    the others sagittal slices. least: voxels under which a predicted component does not count."""

    network: str = "resunet"
    init: Init = "random"
    size: str = "paper"
    roi: int = 96
    least: int = 0
    grid: Grid = field(default_factory=Grid)
    fit: FitPlan = field(default_factory=FitPlan)
    pretraining: FitPlan = field(default_factory=FitPlan)

    def __post_init__(self) -> None:
        multiple = 32 if is_3d(self.network) or self.size == "paper" else 16
        if self.roi < 2 * multiple or self.roi % multiple:
            raise OptionError(
                f"--roi must be a multiple of {multiple} and at least {2 * multiple} for this "
                f"network, got {self.roi}.",
                f"Try {max(2 * multiple, self.roi // multiple * multiple)}.",
            )
        if self.network in CLASSIFIERS and self.init != "random":
            raise OptionError("Pretraining is for the segmentation networks.", "Leave --init out.")

    @property
    def patch(self) -> Roi:
        return (self.roi, self.roi, self.roi if is_3d(self.network) else 1)


@dataclass(frozen=True, eq=False)
class Workshop:
    """What a training needs besides its plan."""

    run: Path
    device: torch.device
    replicas: Replicas = ALONE
    deadline: Deadline | None = None
    progress: ProgressCallback | None = None

    def fit(self, network: nn.Module, loss: Any, batches: Any, plan: FitPlan, name: str) -> Any:
        return fit(
            network, loss, batches, plan, self.run / f"{name}.pt", device=self.device,
            replicas=self.replicas, deadline=self.deadline, name=name, progress=self.progress,
        )  # fmt: skip


def train_segmenter(
    plan: TrainPlan,
    train: Sequence[Scan],
    tune: Sequence[Scan],
    shop: Workshop,
    name: str = "model",
) -> tuple[nn.Module, SupervisedSpec]:
    """Pretrain as the plan says, learn lesions, and choose the threshold on the tuning scans.

    Raises InputError without lesions to learn from or to choose the threshold on, Cancelled when
    the deadline is over.
    """
    channels = plan.grid.channels
    classes = 1 + max(int(scan.lesions.max(initial=0)) for scan in train)
    patches = BalancedPatches(train, plan.patch)
    if not any(scan.malignant for scan in tune):
        raise InputError(
            f"Expected lesions to choose a threshold on, got none in {len(tune)} scans.",
            "Give validation patients with drawn lesions.",
        )
    before = _pretrain(plan, train, shop, name)
    torch.manual_seed(plan.fit.seed)
    network = make_segmenter(plan.network, in_channels=channels, classes=classes, size=plan.size)
    if before is not None:
        take_over(network, before, plan.init)
    own = fine_tuning(plan.fit, plan.init)
    network = shop.fit(network, segmentation_loss(), patch_batches(patches, own), own, name)
    found = [lesion_probability(probabilities(network, s, plan.patch, shop.device)) for s in tune]
    point = choose_point(found, [s.lesions for s in tune], [s.patient for s in tune], plan.least)
    spec = SupervisedSpec(
        plan.network, plan.size, classes, plan.patch, point.threshold, plan.grid, point.least,
        made=_made(plan, train, tune, point.f2),
    )  # fmt: skip
    return network, spec


def train_classifier(
    plan: TrainPlan,
    train: Sequence[Scan],
    tune: Sequence[Scan],
    shop: Workshop,
    name: str = "model",
) -> tuple[nn.Module, SupervisedSpec, DetectionFigures]:
    """Train a slice classifier; figures are of the tuning scans' slices.

    Raises InputError without slices with and without a lesion.
    """
    shown = [bool(v) for scan in train for v in shows_lesion(scan.lesions)]
    if all(shown) or not any(shown):
        raise InputError(
            "Expected slices with and without a lesion to learn from, got one kind.",
            "Give scans with drawn lesions.",
        )
    torch.manual_seed(plan.fit.seed)
    network = make_classifier(plan.network, in_channels=plan.grid.channels)
    batches = slice_batches(train, plan.patch, plan.fit)
    network = shop.fit(network, classification_loss, batches, plan.fit, name).cpu()
    images, truth = slices_of_scans(tune, plan.patch)
    figures = detection_figures(slice_probabilities(network, images), truth)
    spec = SupervisedSpec(
        plan.network, plan.size, 2, plan.patch, 0.5, plan.grid,
        made={**_made(plan, train, tune, math.nan), "tuning": asdict(figures)},
    )  # fmt: skip
    return network, spec, figures


def slices_of_scans(scans: Sequence[Scan], roi: Roi) -> tuple[Any, Any]:
    """Every sagittal slice, cut to the middle: images (N, C, roi, roi) and whether it shows a
    lesion (N,)."""
    images, shown = [], []
    for scan in scans:
        low = [max((full - size) // 2, 0) for full, size in zip(scan.shape, roi, strict=True)]
        for k in range(scan.shape[2]):
            image, masks = cut(scan, Patch(0, (low[0], low[1], k)), roi)
            images.append(image[..., 0])
            shown.append(bool(shows_lesion(masks[0])[0]))
    return np.stack(images), np.array(shown)


def cross_validate(
    plan: TrainPlan,
    scans: Sequence[Scan],
    folds: int,
    shop: Workshop,
    keep: Callable[[Scan, Any, SupervisedSpec], None],
) -> list[Fold]:
    """SAP's protocol: train a network for each test fold and hand its predictions to `keep`.

    keep: gets a test scan, its classes' probabilities (C, I, J, K) and the network's spec.
    """
    lesions: dict[str, int] = {}
    for scan in scans:
        count = label_components(scan.lesions > 0)[1]
        lesions[scan.patient] = lesions.get(scan.patient, 0) + count
    made = stratified_folds(lesions, folds, plan.fit.seed)
    for fold in made:
        sides = [
            [s for s in scans if s.patient in side] for side in (fold.train, fold.tune, fold.test)
        ]
        network, spec = train_segmenter(plan, sides[0], sides[1], shop, f"fold{fold.number}")
        if shop.replicas.first:
            save_network(network, spec, shop.run / f"fold{fold.number}")
            for scan in sides[2]:
                keep(scan, probabilities(network, scan, plan.patch, shop.device), spec)
    return made


def of_split(manifest: Manifest, split: str) -> list[Case]:
    """Cases of a split that can be used: with lesions drawn, or known to be without.

    A case without a lesion mask is used where every level of it is labelled healthy.
    """
    return [case for case in manifest.of(split) if case.lesions is not None or _healthy(case)]


def _healthy(case: Case) -> bool:
    said = [*case.labels.values(), *([case.otherwise] if case.otherwise else [])]
    return bool(said) and all(label == "healthy" for label in said)


def _pretrain(plan: TrainPlan, train: Sequence[Scan], shop: Workshop, name: str) -> Path | None:
    if plan.init == "random":
        return None
    healthy = [s for s in train if not s.malignant]
    network, loss, batches = pretraining_task(
        plan.init,
        partial(make_segmenter, plan.network, in_channels=plan.grid.channels, size=plan.size),
        train,
        # the paper pretrains on volunteers; without any, on the patients' own bones
        healthy if any(s.bones.any() for s in healthy) else train,
        plan.patch,
        plan.pretraining,
    )
    key = f"{name}-{plan.init}"
    shop.fit(network, loss, batches, plan.pretraining, key)
    return shop.run / f"{key}.pt"


def _made(
    plan: TrainPlan, train: Sequence[Scan], tune: Sequence[Scan], reached: float
) -> dict[str, Any]:
    return {
        "init": plan.init,
        "fit": asdict(fine_tuning(plan.fit, plan.init)),
        "pretraining": asdict(plan.pretraining) if plan.init != "random" else None,
        "patients": len({s.patient for s in train}),
        "scans": len(train),
        "lesions": sum(label_components(s.lesions > 0)[1] for s in train),
        "tuning_patients": len({s.patient for s in tune}),
        "tuning_f2": reached,
        "torch": torch.__version__,
    }
