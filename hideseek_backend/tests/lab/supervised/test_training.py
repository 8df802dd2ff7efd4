"""Training learns, goes on after a stop as if there had been none, and slows the encoder."""

from __future__ import annotations

import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from hideseek_backend.errors import Cancelled, InputError, ModelError
from hideseek_lab.supervised.networks import make_segmenter, parts_of
from hideseek_lab.supervised.patches import BalancedPatches
from hideseek_lab.supervised.predicting import (
    component_confidences,
    labels_at,
    lesion_probability,
    mean_of,
    probabilities,
)
from hideseek_lab.supervised.pretraining import (
    SelfSupervision,
    anatomy_batches,
    fine_tuning,
    masked,
    self_supervised_batches,
    self_supervised_loss,
    take_over,
)
from hideseek_lab.supervised.protocol import detect
from hideseek_lab.supervised.scans import Scan
from hideseek_lab.supervised.training import (
    Deadline,
    FitPlan,
    augmented,
    fit,
    patch_batches,
    segmentation_loss,
)

ROI = (32, 32, 1)
PLAN = FitPlan(steps=50, batch=8, rate=5e-3, save_every=4)


def _fit(scans: list[Scan], plan: FitPlan, state: Path, deadline: Deadline | None = None):
    torch.manual_seed(0)
    network = make_segmenter("unet", size="tiny")
    batches = patch_batches(BalancedPatches(scans, ROI), plan)
    return fit(network, segmentation_loss(), batches, plan, state, deadline=deadline)


def test_a_network_learns_to_find_lesions(scans: list[Scan], tmp_path: Path) -> None:
    network = _fit(scans[:6], PLAN, tmp_path / "run.pt")
    counts = [
        detect(labels_at(probabilities(network, scan, ROI), 0.5, 5), scan.lesions)
        for scan in scans[6:]
    ]
    assert (counts[0].tp, counts[0].fn) == (1, 0)
    assert sum(c.fp for c in counts) <= 1


class _After(Deadline):
    """Over after so many looks."""

    def __init__(self, looks: int) -> None:
        super().__init__()
        self.looks = looks

    @property
    def over(self) -> bool:
        self.looks -= 1
        return self.looks < 0


def test_a_stopped_training_goes_on_as_if_nothing_had_been(
    scans: list[Scan], tmp_path: Path
) -> None:
    plan = replace(PLAN, steps=10)
    whole = _fit(scans, plan, tmp_path / "whole.pt")
    with pytest.raises(Cancelled, match="has 4 of 10 steps"):
        _fit(scans, plan, tmp_path / "parts.pt", _After(3))
    parts = _fit(scans, plan, tmp_path / "parts.pt")
    for name, value in whole.state_dict().items():
        torch.testing.assert_close(parts.state_dict()[name], value)


def test_the_encoder_has_a_rate_of_its_own(scans: list[Scan], tmp_path: Path) -> None:
    plan = replace(PLAN, steps=3, rate=1e-2, weight_decay=0.0)
    frozen = replace(plan, encoder_rate=0.0)
    torch.manual_seed(0)
    before = {n: p.clone() for n, p in make_segmenter("unet", size="tiny").named_parameters()}
    network = _fit(scans, frozen, tmp_path / "run.pt")
    encoder = parts_of(network).encoder
    for name, value in network.named_parameters():
        assert torch.equal(value, before[name]) == (name in encoder)
    assert fine_tuning(plan, "sap").encoder_rate == pytest.approx(2e-3)
    assert fine_tuning(plan, "ssl").encoder_rate == pytest.approx(5e-3)
    assert fine_tuning(plan, "random").encoder_rate is None


@pytest.mark.parametrize("name", ["unet", "resunet", "resattunet", "swinunetr"])
@pytest.mark.parametrize("init", ["ssl", "sap"])
def test_pretraining_is_taken_over(name: str, init: str, scans: list[Scan], tmp_path: Path) -> None:
    cube = name == "swinunetr"
    roi = (32, 32, 64) if cube else ROI  # the deepest map needs more than a voxel
    plan = FitPlan(steps=1, batch=1 if cube else 2)
    state = tmp_path / "pretrained.pt"
    torch.manual_seed(1)
    if init == "ssl":
        inner = make_segmenter(name, size="tiny")
        sample = torch.zeros(1, 1, *(roi if cube else roi[:2]))
        network = SelfSupervision(inner, sample)
        fit(network, self_supervised_loss(), self_supervised_batches(scans, roi, plan), plan, state)
    else:
        network = make_segmenter(name, classes=4, size="tiny")
        fit(network, segmentation_loss(), anatomy_batches(scans, roi, plan), plan, state)
    learned = torch.load(state, weights_only=True)["network"]
    torch.manual_seed(2)
    fresh = make_segmenter(name, size="tiny")
    start = {n: v.clone() for n, v in fresh.state_dict().items()}
    taken = set(take_over(fresh, state, init))
    parts = parts_of(fresh)
    assert parts.encoder <= taken and not parts.head & taken
    assert bool(parts.decoder & taken) == (init == "sap")
    prefix = "segmenter." if init == "ssl" else ""
    for key, value in fresh.state_dict().items():
        assert torch.equal(value, learned[prefix + key] if key in taken else start[key])
    with pytest.raises(ModelError, match="is of another network"):
        take_over(make_segmenter("resunet", size="small"), state, init)


def test_self_supervision_learns_the_turn(scans: list[Scan], tmp_path: Path) -> None:
    plan = FitPlan(steps=40, batch=8, rate=3e-3)
    network = SelfSupervision(make_segmenter("unet", size="tiny"), torch.zeros(1, 1, 32, 32))
    batches, loss = self_supervised_batches(scans, ROI, plan), self_supervised_loss()
    with torch.no_grad():
        before = np.mean([float(loss(network.eval(), batches(s))) for s in range(1000, 1004)])
    fit(network, loss, batches, plan, tmp_path / "ssl.pt")
    with torch.no_grad():
        after = np.mean([float(loss(network, batches(s))) for s in range(1000, 1004)])
    assert after < before - 0.2
    changed = masked(scans[0].image, np.random.default_rng(0))
    assert 0.3 <= (changed != scans[0].image).mean() < 0.6


def test_anatomy_needs_bones(scans: list[Scan]) -> None:
    bare = [replace(scan, bones=np.zeros_like(scan.bones)) for scan in scans]
    with pytest.raises(InputError, match="Expected bone labels to pretrain on"):
        anatomy_batches(bare, ROI, PLAN)


def test_augmentation_moves_image_and_masks_together() -> None:
    image = np.zeros((1, 8, 8, 1), np.float32)
    image[0, 1, 2, 0] = 0.5
    masks = (image > 0).astype(np.uint8)
    for seed in range(40):
        moved, marked = augmented(image, masks, np.random.default_rng(seed))
        peak = np.unravel_index(int(moved.argmax()), moved.shape)
        assert marked[peak] == 1 and marked.sum() == 1 and 0.3 < moved.max() < 0.7


def test_probabilities_become_lesions() -> None:
    classes = np.zeros((3, 6, 6, 1), np.float32)
    classes[0] = 1
    classes[:, 1:3, 1:3, 0] = np.array([0.3, 0.5, 0.2])[:, None, None]
    classes[:, 5, 5, 0] = [0.1, 0.2, 0.7]
    found = labels_at(classes, 0.6)
    assert (found[1:3, 1:3] == 1).all() and found[5, 5, 0] == 2
    assert labels_at(classes, 0.6, 2)[5, 5, 0] == 0 and not labels_at(classes, 0.95).any()
    parts = np.zeros((6, 6, 1), np.int32)
    parts[1:3, 1:3], parts[5, 5] = 1, 2
    assert component_confidences(lesion_probability(classes), parts) == pytest.approx([0.7, 0.9])
    assert mean_of([classes, np.zeros_like(classes)])[2, 5, 5, 0] == pytest.approx(0.35)


SCRIPT = """
import sys, torch
from pathlib import Path
sys.path.insert(0, sys.argv[2])
from conftest import drawn_scan
from hideseek_lab.supervised.networks import make_segmenter
from hideseek_lab.supervised.patches import BalancedPatches
from hideseek_lab.supervised.training import FitPlan, fit, patch_batches
from hideseek_lab.training.distributed import replicas
torch.set_num_threads(1)
plan = FitPlan(steps=3, batch=4, rate=1e-3)
batches = patch_batches(BalancedPatches([drawn_scan(n) for n in range(3)], (32, 32, 1)), plan)
def loss_of(network, batch):
    return torch.nn.functional.cross_entropy(network(batch.image), batch.target[:, 0])
with replicas(torch.device("cpu")) as (own, device):
    torch.manual_seed(0)
    fit(make_segmenter("unet", size="tiny"), loss_of, batches, plan, Path(sys.argv[1]),
        replicas=own)
"""


@pytest.mark.slow
def test_two_processes_train_what_one_trains(tmp_path: Path) -> None:
    script = tmp_path / "run.py"
    script.write_text(SCRIPT, encoding="utf-8")
    here = str(Path(__file__).parent)
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    single = [sys.executable, str(script), str(tmp_path / "one.pt"), here]
    double = [
        sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node=2",
        str(script), str(tmp_path / "two.pt"), here,
    ]  # fmt: skip
    for command in (single, double):
        done = subprocess.run(command, capture_output=True, text=True, env=environment, timeout=200)
        assert done.returncode == 0, done.stderr[-2000:]
    one, two = (torch.load(tmp_path / f"{n}.pt", weights_only=True) for n in ("one", "two"))
    assert one["step"] == two["step"] == 3
    for name, value in one["network"].items():
        torch.testing.assert_close(two["network"][name], value, rtol=1e-3, atol=1e-5)
