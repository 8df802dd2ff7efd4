"""Slice detection, slice scores and Δ as a second opinion, by hand."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from hideseek_backend.errors import InputError
from hideseek_lab.benchmark.dataset import CENTRAL_SLICES, MIDDLE, SliceSet
from hideseek_lab.supervised.arenas import Arena, Vertebrae
from hideseek_lab.supervised.detection import (
    cam_overlays,
    cam_picture,
    cam_share_inside,
    detection_figures,
    shows_lesion,
    slice_batches,
    slice_probabilities,
)
from hideseek_lab.supervised.networks import CLASSIFIERS, make_classifier
from hideseek_lab.supervised.protocol import Detection
from hideseek_lab.supervised.scans import Scan
from hideseek_lab.supervised.second_opinion import Opinion, choose_removal, pooled, removal
from hideseek_lab.supervised.slice_scores import Prediction, paired, score
from hideseek_lab.supervised.training import FitPlan, classification_loss, fit


def test_figures_of_slices_by_hand() -> None:
    p = np.array([0.9, 0.8, 0.6, 0.4, 0.3, 0.2])
    shown = np.array([True, False, True, True, False, False])
    found = detection_figures(p, shown)
    assert (found.slices, found.positive) == (6, 3)
    assert found.accuracy == pytest.approx(4 / 6)
    assert found.precision == pytest.approx(2 / 3) and found.recall == pytest.approx(2 / 3)
    assert found.f1 == pytest.approx(2 / 3)
    assert found.auc == pytest.approx(7 / 9)  # pairs rightly ordered: 3 + 2 + 2 of 9
    alone = detection_figures(np.array([0.1]), np.array([False]))
    assert math.isnan(alone.auc) and math.isnan(alone.precision) and alone.accuracy == 1


def test_a_slice_shows_a_lesion_from_five_pixels_on() -> None:
    lesions = np.zeros((8, 8, 3), np.uint8)
    lesions[0, :5, 1] = 1
    lesions[0, :4, 2] = 2
    assert shows_lesion(lesions).tolist() == [False, True, False]


@pytest.mark.parametrize("name", CLASSIFIERS)
def test_every_classifier_is_trained(name: str, scans: list[Scan], tmp_path: Path) -> None:
    plan = FitPlan(steps=1, batch=4)
    network = make_classifier(name)
    before = [p.clone() for p in network.parameters()]
    batches = slice_batches(scans, (32, 32, 1), plan)
    fit(network, classification_loss, batches, plan, tmp_path / "run.pt")
    moved = [not torch.equal(a, b) for a, b in zip(before, network.parameters(), strict=True)]
    assert np.mean(moved) > 0.9


@pytest.mark.parametrize("name", CLASSIFIERS)
def test_short_trainings_leave_no_statistics_of_the_start(name: str) -> None:
    torch.manual_seed(0)
    network = make_classifier(name).train()
    norm = next(m for m in network.modules() if isinstance(m, nn.BatchNorm2d))
    seen: list[torch.Tensor] = []
    norm.register_forward_pre_hook(lambda _, inputs: seen.append(inputs[0].detach()))
    images = torch.rand(2, 1, 32, 32)
    with torch.no_grad():
        for _ in range(60):
            network(images)
    assert norm.running_var is not None
    true = seen[0].transpose(0, 1).flatten(1).var(dim=1)
    assert torch.allclose(norm.running_var, true, rtol=0.02, atol=0.01)


def test_slices_with_and_without_lesions_are_told_apart(scans: list[Scan], tmp_path: Path) -> None:
    plan = FitPlan(steps=60, batch=8, rate=1e-2)
    torch.manual_seed(0)
    network = nn.Sequential(
        nn.Conv2d(1, 8, 5, 2), nn.ReLU(), nn.Conv2d(8, 8, 5, 2), nn.ReLU(),
        nn.AdaptiveMaxPool2d(1), nn.Flatten(), nn.Linear(8, 2),
    )  # fmt: skip
    batches = slice_batches(scans[:6], (32, 32, 1), plan)
    assert batches(0).target.tolist() == [1, 0] * 4
    fit(network, classification_loss, batches, plan, tmp_path / "run.pt")
    images = np.stack([s.image[..., 1] for s in scans[6:]])
    p = slice_probabilities(network, images)
    assert p[0] > p[1]  # the seventh scan has a lesion, the eighth has none


@pytest.mark.parametrize("name", CLASSIFIERS)
def test_gradcam_of_every_classifier(name: str) -> None:
    torch.manual_seed(0)
    network = make_classifier(name).eval()
    images = np.random.default_rng(0).random((2, 1, 64, 64)).astype(np.float32)
    heats = cam_overlays(name, network, images)
    assert heats.shape == (2, 64, 64) and heats.min() >= 0 and heats.max() == pytest.approx(1)
    np.testing.assert_allclose(cam_overlays(name, network, images[1:])[0], heats[1], atol=1e-4)
    assert cam_picture(images[0, 0], heats[0], "slice").startswith(b"\x89PNG")


def test_share_of_a_map_on_a_lesion() -> None:
    heat = np.array([[0.5, 0.25], [0.25, 0.0]], np.float32)
    assert cam_share_inside(heat, np.array([[1, 0], [0, 1]], np.uint8)) == pytest.approx(0.5)
    assert math.isnan(cam_share_inside(np.zeros((2, 2), np.float32), np.ones((2, 2), np.uint8)))


def _vertebrae() -> Vertebrae:
    """Three vertebrae of two patients: lytic and blastic lesions, one lytic, healthy."""
    shape = (3, CENTRAL_SLICES, 64, 64)
    truth = np.zeros(shape, np.uint8)
    truth[0, MIDDLE, 10:14, 10:14] = 1
    truth[0, MIDDLE, 30:34, 30:34] = 2
    truth[1, MIDDLE, 20:24, 20:24] = 1
    slices = SliceSet(
        np.zeros(shape, np.int16), np.ones(shape, bool), np.ones(shape, bool), truth,
        np.array(["mixed", "lytic", "healthy"]), np.array(["L1", "L2", "L3"]),
        np.array(["a", "b", "c"]),
    )  # fmt: skip
    return Vertebrae(slices, np.array(["A", "A", "B"]))


def _prediction() -> Prediction:
    labels = np.zeros((3, 64, 64), np.uint8)
    labels[0, 10:14, 12:16] = 1  # half on the first lesion
    labels[0, 30:34, 30:34] = 1  # all of the second, wrong polarity
    labels[0, 50:52, 50:52] = 1  # 4 px: does not count
    labels[2, 5:10, 5:10] = 2  # false, in the healthy one
    return Prediction(labels, (labels > 0).astype(np.float16) * np.float16(0.75))


def test_slice_scores_by_hand() -> None:
    found = score(_vertebrae(), _prediction())
    assert found.detections == (Detection(2, 0, 0), Detection(0, 0, 1), Detection(0, 1, 0))
    assert found.dice[0] == pytest.approx(2 * 24 / 64) and found.dice[1] == found.dice[2] == 0
    assert found.found_dice[0] == pytest.approx((0.5 + 1.0) / 2)
    assert found.polarity_right == pytest.approx(8 / 24)
    assert found.per_patient("sensitivity") == {"A": pytest.approx(2 / 3)}
    assert found.per_patient("f2") == {"A": pytest.approx(10 / 14), "B": 0.0}
    assert found.per_patient("fp") == {"A": 0.0, "B": 1.0}
    assert found.per_patient("dice") == {"A": pytest.approx(0.375), "B": 0.0}
    assert set(found.per_patient("nsd")) == {"A"}
    # two of three lesions at one false in three slices
    assert found.froc.lesions == 3
    assert found.froc.area(1.0) == pytest.approx(2 / 3 * (1 - 1 / 3 / 2))
    assert paired(found, found, "f2") == ([10 / 14, 0.0], [10 / 14, 0.0])


def test_nested_sets_of_annotated_vertebrae_and_leaks() -> None:
    three = _vertebrae()
    one = three.annotated(1)
    assert one.slices.source.tolist() == ["a", "c"] and one.diseased == 1
    assert three.annotated(9).slices.source.tolist() == ["a", "b", "c"]
    with pytest.raises(InputError, match="on two sides"):
        Arena("phantom", "", three.take(np.array([0])), three.take(np.array([2])),
              three.take(np.array([1])))  # fmt: skip


def _opinions() -> list[Opinion]:
    return [
        Opinion(0, 1, (1,), 0.9, 0.8, 0.9),
        Opinion(0, 2, (1,), 0.1, 0.08, 0.3),  # a second part of the same lesion
        Opinion(1, 1, (1,), 0.6, 0.5, 0.8),
        Opinion(2, 1, (), 0.5, 0.01, 0.1),
        Opinion(3, 1, (), 0.7, 0.02, 0.6),
    ]


def test_a_lesion_stays_found_while_one_part_is_left() -> None:
    found = removal(_opinions(), "delta", 0.55)
    assert (found.false_before, found.false_after) == (2, 1)
    assert (found.lesions_before, found.lesions_after) == (2, 2)
    assert found.false_removed == 0.5 and found.recall_lost == 0
    assert found.intervals is None


def test_intervals_are_over_patients() -> None:
    # both false lesions in one patient: drawn together, one of them always goes
    own = removal(_opinions(), "delta", 0.55, np.array(["a", "b", "c", "c"]))
    assert own.intervals is not None and own.false_removed == 0.5
    removed, lost = own.intervals
    assert (removed.low, removed.high, removed.n) == (0.5, 0.5, 3)
    assert (lost.value, lost.low, lost.high) == (0.0, 0.0, 0.0)
    parted = removal(_opinions(), "delta", 0.55, np.array(["a", "b", "c", "d"])).intervals
    assert parted is not None and (parted[0].low, parted[0].high) == (0.0, 1.0)


def test_systems_are_pooled_each_with_its_own_lesions() -> None:
    one = removal(_opinions(), "delta", 0.8)
    both = removal(pooled([_opinions(), _opinions()], 4), "delta", 0.8)
    assert both.false_before == 2 * one.false_before
    assert both.false_after == 2 * one.false_after
    assert (both.lesions_before, both.lesions_after) == (
        2 * one.lesions_before, 2 * one.lesions_after,
    )  # fmt: skip


def test_score_and_threshold_are_those_that_remove_most() -> None:
    chosen = choose_removal(_opinions())
    assert chosen is not None and chosen.score == "suspicion"
    assert chosen.false_removed == 1.0 and chosen.recall_lost == 0
    assert removal(_opinions(), "delta", 0.8).recall_lost == 0.5
    assert choose_removal([o for o in _opinions() if o.true]) is None
