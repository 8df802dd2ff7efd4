"""The whole comparison on drawn vertebrae: trained, tested, budgeted, resumed, on a page."""

from __future__ import annotations

import json
import math
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from lab.benchmark.conftest import drawn_set
from lab.benchmark.fake_model import fake_model

from hideseek_backend.errors import InputError, OptionError
from hideseek_lab.benchmark.dataset import MIDDLE
from hideseek_lab.supervised.arenas import Arena, Vertebrae, _of
from hideseek_lab.supervised.arms import Arm, Laboratory, finish, grown
from hideseek_lab.supervised.compare import (
    METRICS,
    OURS,
    ComparePlan,
    Comparison,
    run_compare,
)
from hideseek_lab.supervised.compare_page import comparison_files, comparison_lines
from hideseek_lab.supervised.scans import Scan
from hideseek_lab.supervised.training import Deadline, FitPlan

STEPS = FitPlan(steps=12, batch=8, rate=5e-3)
PLAN = ComparePlan(
    annotated=(1, 3),
    networks=("unet", "resattunet"),
    inits=("random", "sap"),
    pretrained="unet",
    classifiers=("efficientnet",),
    size="tiny",
    fit=STEPS,
    pretraining=replace(STEPS, steps=2),
    classifier=replace(STEPS, steps=2, batch=4),
)


def _vertebrae(count: int, seed: int) -> Vertebrae:
    slices = drawn_set(count, seed)
    patients = np.array([f"{seed}:{n // 2}" for n in range(count)])
    return Vertebrae(slices, patients)


@pytest.fixture(scope="module")
def arena() -> Arena:
    return Arena(
        "phantom", "Drawn vertebrae.", _vertebrae(12, 1), _vertebrae(8, 2), _vertebrae(12, 3)
    )


@pytest.fixture(scope="module")
def found(arena: Arena, tmp_path_factory: pytest.TempPathFactory) -> Comparison:
    folder = tmp_path_factory.mktemp("compare")
    first = run_compare(replace(PLAN, budget_minutes=0.0), arena, folder, model=fake_model())
    assert len(first.entries) == 1 and len(first.unfinished) == 7
    assert "Run the same" not in " ".join(first.worth)
    assert "1 of 12 steps" in first.unfinished[0]
    second = run_compare(PLAN, arena, folder, model=fake_model())
    again = run_compare(PLAN, arena, folder, model=fake_model())
    assert comparison_lines(again) == comparison_lines(second)
    return second


def test_from_80_vertebrae_on_each_is_seen_as_often() -> None:
    plan = FitPlan(steps=1000, seed=3)
    assert grown(plan, 5) == grown(plan, 80) == plan
    assert grown(plan, 300) == replace(plan, steps=3750)


def test_arms_come_by_the_number_of_masks() -> None:
    arms = PLAN.arms()
    assert [a.annotated for a in arms] == [1, 1, 1, 3, 3, 3]
    assert arms[2] == Arm("unet", "sap", 1) and arms[2].title == "UNet, anatomical (SAP)"
    with pytest.raises(OptionError, match="swinunetr cannot be compared on slices"):
        ComparePlan(networks=("swinunetr",))


def test_tuning_predictions_lie_in_the_order_of_the_arena(arena: Arena, tmp_path: Path) -> None:
    tune = arena.tune
    healthy_first = replace(arena, tune=tune.take(np.argsort(tune.slices.malignant, kind="stable")))
    lab = Laboratory(healthy_first, tmp_path, STEPS, STEPS, "tiny", torch.device("cpu"), Deadline())

    def classes(scan: Scan) -> np.ndarray:
        return np.stack([scan.lesions == n for n in range(3)]).astype(np.float32)

    found = finish(lab, Arm("unet", "random", 40), classes, 0)
    truth = healthy_first.tune.slices.truth[:, MIDDLE]
    assert not truth[0].any() and truth.any()
    np.testing.assert_array_equal(found.tune.labels, truth)


def test_every_arm_has_a_row_with_every_figure(found: Comparison) -> None:
    assert not found.unfinished
    assert [(e.title, e.annotated) for e in found.entries][0] == (OURS, 0)
    assert len(found.entries) == 7 and set(found.entries[1].figures) == set(METRICS)
    for entry in found.entries:
        assert entry.scores.froc.cases == 12
        assert 0 <= entry.figures["dice"].value <= 1
        assert entry.figures["dice"].low <= entry.figures["dice"].value
    # the model knows drawn bone: it finds every drawn lesion, which networks of 12 steps may not
    assert found.entries[0].figures["sensitivity"].value == 1.0


def test_orders_are_tested_in_pairs_with_bonferroni(found: Comparison) -> None:
    families: dict[str, list[float]] = {}
    for test in found.tests:
        families.setdefault(test.family, []).append(test.p)
        assert test.result.n <= 6  # patients, not slices
    assert set(families) == {
        "networks, 1 vertebrae", "networks, 3 vertebrae", "starts, 1 vertebrae",
        "starts, 3 vertebrae", "against ours",
    }  # fmt: skip
    against = [t for t in found.tests if t.family == "against ours"]
    assert len(against) == 12 and all(t.first == OURS for t in against)
    defined = [t for t in against if math.isfinite(t.p)]
    for t in defined:
        normal = math.isfinite(t.result.shapiro) and t.result.shapiro >= 0.05
        raw = t.result.t if normal else t.result.wilcoxon
        assert t.p == pytest.approx(min(1.0, raw * len(defined)))
    assert len(found.worth) == 2 and "is reached by" in found.worth[0]


def test_detection_and_second_opinion(found: Comparison) -> None:
    (name,) = found.detection
    assert name.startswith("EfficientNet-B0 (4.0 M)") and found.detection[name][0].slices == 12
    opinion = found.opinion
    assert set(opinion["curves"]) == {"delta", "suspicion", "p_hide"}
    for scored in opinion["opinions"]:
        assert found.arena.test.slices.hu[scored.vertebra] is not None
        assert math.isfinite(scored.delta) and scored.suspicion >= 0
        assert 0 <= scored.p_hide <= 1
    for curve in opinion["curves"].values():
        removed = [r.false_removed for r in curve if math.isfinite(r.false_removed)]
        assert removed == sorted(removed)


def test_the_page_the_table_and_the_words(found: Comparison) -> None:
    files = comparison_files(found)
    page = str(files["comparison.html"])
    for words in ("Masks against labels", "Slice detection", "second opinion", "1 annotated",
                  "research use"):  # fmt: skip
        assert words.lower() in page.lower()
    values = json.loads(str(files["comparison.json"]))
    assert len(values["systems"]) == 7 and values["plan"]["fit"]["steps"] == 12
    assert str(files["comparison.csv"]).count("\n") == 8
    said = comparison_lines(found)
    assert "HideSeek, labels only" in said and "GradCAM on the lesion" in said


def test_inserted_vertebrae_are_parted_by_patient_and_generator() -> None:
    whole = _vertebrae(12, 5)
    kinds = ["untouched", "warped", "level sets", "benign inserted"] * 3
    names = np.array([f"case{n}|{kind}" for n, kind in enumerate(kinds)])
    slices = replace(whole.slices, source=names, phenotype=np.array(
        ["healthy", "lytic", "blastic", "healthy"] * 3))  # fmt: skip
    truth = np.zeros_like(slices.truth)
    truth[1::4, :, 20:26, 22:28], truth[2::4, :, 20:26, 22:28] = 1, 2
    marked = Vertebrae(replace(slices, truth=truth), whole.patients)
    chosen = _of(marked, ["5:0", "5:1"], ("warped",))
    assert set(chosen.patients) == {"5:0", "5:1"}
    assert sorted(chosen.slices.source.tolist()) == ["case0|untouched", "case1|warped",
                                                     "case3|benign inserted"]  # fmt: skip
    with pytest.raises(InputError, match="on two sides"):
        Arena("inserted", "", marked, chosen, chosen)
