"""Lesion scores against cases worked out by hand on tiny arrays."""

from __future__ import annotations

import math

import numpy as np
import pytest

from hideseek_backend.errors import GeometryError, InputError, OptionError
from hideseek_lab.scoring.instances import label_components, pair_instances, phenotype_of
from hideseek_lab.scoring.metrics import METRICS, score_unit

pytest.importorskip("panoptica")
UNIT = (1.0, 1.0)


def grid(*boxes: tuple[int, int, int, int, int], shape: tuple[int, int] = (16, 16)) -> np.ndarray:
    """Draw boxes (row, column, height, width, value) on zeros."""
    array = np.zeros(shape, dtype=np.uint8)
    for row, column, height, width, value in boxes:
        array[row : row + height, column : column + width] = value
    return array


def test_perfect_prediction_scores_one() -> None:
    truth = grid((2, 2, 4, 4, 2), (10, 10, 3, 3, 2))
    scores = score_unit(truth, truth, UNIT)
    assert (scores.tp, scores.fp, scores.fn) == (2, 0, 0)
    for name in ("precision", "recall", "rq", "sq", "pq", "global_dice", "nsd"):
        assert scores.values[name] == pytest.approx(1.0)
    assert scores.values["assd"] == 0.0
    assert scores.values["rvd"] == 0.0


def test_one_hit_one_miss_one_false() -> None:
    # lesion 4x4, prediction its left half: Dice 2*8/(16+8) = 2/3, RVD (8-16)/16 = -1/2
    truth = grid((2, 2, 4, 4, 2), (10, 10, 3, 3, 2))
    prediction = grid((2, 2, 4, 2, 2), (12, 1, 2, 2, 2))
    scores = score_unit(prediction, truth, UNIT)
    assert (scores.tp, scores.fp, scores.fn) == (1, 1, 1)
    assert scores.values["precision"] == 0.5
    assert scores.values["recall"] == 0.5
    assert scores.values["rq"] == 0.5
    assert scores.values["sq"] == pytest.approx(2 / 3)
    assert scores.values["pq"] == pytest.approx(1 / 3)
    assert scores.values["rvd"] == pytest.approx(-0.5)
    # merged masks: overlap 8, sizes 12 predicted and 25 true
    assert scores.values["global_dice"] == pytest.approx(16 / 37)


def test_many_predictions_are_judged_as_their_union() -> None:
    truth = grid((2, 2, 4, 8, 1))
    prediction = grid((2, 2, 4, 3, 1), (2, 7, 4, 3, 1))
    scores = score_unit(prediction, truth, UNIT)
    assert (scores.tp, scores.fp, scores.fn) == (1, 0, 0)
    assert scores.values["sq"] == pytest.approx(2 * 24 / (32 + 24))
    assert scores.lesions[0].predictions == (1, 2)


def test_one_prediction_over_two_lesions_finds_the_one_with_the_higher_dice() -> None:
    truth = grid((2, 2, 4, 4, 1), (2, 8, 4, 2, 1))
    prediction = grid((2, 2, 4, 8, 1))
    scores = score_unit(prediction, truth, UNIT)
    assert (scores.tp, scores.fp, scores.fn) == (1, 0, 1)
    assert scores.values["sq"] == pytest.approx(2 * 16 / (16 + 32))
    assert scores.predictions[0].hits == (1, 2)
    assert scores.predictions[0].matched_to == 1


def test_assd_of_a_shifted_square_by_hand() -> None:
    # 2x2 squares are all border. Shifted by one column, half the pixels coincide (distance 0),
    # the other half lie one pixel (here 0.5 mm) away, in both directions: the mean is 0.25 mm.
    truth, prediction = grid((4, 4, 2, 2, 2)), grid((4, 5, 2, 2, 2))
    scores = score_unit(prediction, truth, (0.5, 0.5))
    assert scores.values["assd"] == pytest.approx(0.25)
    assert scores.values["sq"] == pytest.approx(0.5)
    assert scores.values["nsd"] == pytest.approx(1.0)  # tolerance: one spacing
    strict = score_unit(prediction, truth, (0.5, 0.5), nsd_tolerance_mm=0.1)
    assert strict.values["nsd"] == pytest.approx(0.5)


def test_polarities_never_match_each_other_unless_merged() -> None:
    truth, prediction = grid((2, 2, 4, 4, 1)), grid((2, 2, 4, 4, 2))
    separate = score_unit(prediction, truth, UNIT)
    assert (separate.tp, separate.fp, separate.fn) == (0, 1, 1)
    assert separate.values["global_dice"] == 0.0
    merged = score_unit(prediction, truth, UNIT, polarity="merged")
    assert merged.values["rq"] == 1.0


def test_mixed_counts_instances_of_both_polarities_together() -> None:
    truth = grid((2, 2, 4, 4, 1), (10, 10, 4, 4, 2))
    prediction = grid((2, 2, 4, 4, 1), (10, 10, 4, 2, 2), (10, 2, 3, 3, 1))
    scores = score_unit(prediction, truth, UNIT)
    assert (scores.tp, scores.fp, scores.fn) == (2, 1, 0)
    assert scores.values["rq"] == pytest.approx(2 / 2.5)
    assert scores.values["sq"] == pytest.approx((1 + 2 / 3) / 2)


@pytest.mark.parametrize(
    ("prediction", "truth", "expected"),
    [
        ("empty", "empty", dict.fromkeys(METRICS, math.nan)),
        (
            "empty",
            "lesion",
            {"precision": math.nan, "recall": 0, "rq": 0, "sq": 0, "pq": 0, "global_dice": 0,
             "assd": math.nan, "rvd": math.nan, "nsd": math.nan},
        ),
        (
            "lesion",
            "empty",
            {"precision": 0, "recall": math.nan, "rq": 0, "sq": 0, "pq": 0, "global_dice": 0,
             "assd": math.nan, "rvd": math.nan, "nsd": math.nan},
        ),
        (
            "elsewhere",
            "lesion",
            {"precision": 0, "recall": 0, "rq": 0, "sq": 0, "pq": 0, "global_dice": 0,
             "assd": math.nan, "rvd": math.nan, "nsd": math.nan},
        ),
    ],
)  # fmt: skip
def test_rules_without_a_match(prediction: str, truth: str, expected: dict[str, float]) -> None:
    masks = {"empty": grid(), "lesion": grid((2, 2, 3, 3, 2)), "elsewhere": grid((9, 9, 3, 3, 2))}
    values = score_unit(masks[prediction], masks[truth], UNIT).values
    for name, value in expected.items():
        assert values[name] == pytest.approx(value, nan_ok=True), name


def test_small_predictions_are_dropped_and_small_references_ignored() -> None:
    truth = grid((2, 2, 4, 4, 2), (10, 10, 1, 2, 2))
    prediction = grid((2, 2, 4, 4, 2), (10, 9, 2, 4, 2), (14, 2, 1, 2, 2))
    scores = score_unit(prediction, truth, UNIT, min_reference=5, min_prediction=5)
    # the two-pixel lesion is ignored together with the prediction on it; the speck is dropped
    assert (scores.tp, scores.fp, scores.fn) == (1, 0, 0)
    assert scores.labels["blastic"].ignored_references == 1
    assert scores.labels["blastic"].ignored_predictions == 2


def test_volumes_use_the_spacing_of_each_axis() -> None:
    truth = np.zeros((6, 6, 6), dtype=np.uint8)
    truth[1:3, 1:3, 1:4] = 1
    scores = score_unit(truth, truth, (0.5, 1.0, 2.0))
    assert scores.reference_mm3 == pytest.approx(12.0)
    shifted = np.roll(truth, 1, axis=2)
    # shifted by one voxel of 2 mm along the last axis, all voxels are surface: of 12 voxels
    # 4 lie one step away in each direction
    assert score_unit(shifted, truth, (0.5, 1.0, 2.0)).values["assd"] == pytest.approx(2 * 4 / 12)


def test_counts_and_means_agree_with_panoptica_itself() -> None:
    from panoptica import InputType, NaiveThresholdMatching, Panoptica_Evaluator
    from panoptica.metrics import Metric

    rng = np.random.default_rng(3)
    evaluator = Panoptica_Evaluator(
        expected_input=InputType.UNMATCHED_INSTANCE,
        instance_matcher=NaiveThresholdMatching(
            matching_metric=Metric.DSC,
            matching_threshold=0.0,
            allow_many_to_one=True,
            strict_threshold=True,
        ),
        instance_metrics=[Metric.DSC, Metric.ASSD, Metric.RVD],
        global_metrics=[Metric.DSC],
    )
    for _ in range(5):
        truth = (rng.random((16, 16)) > 0.85).astype(np.uint8)
        prediction = (rng.random((16, 16)) > 0.85).astype(np.uint8)
        ours = score_unit(prediction, truth, UNIT)
        pair = ours.labels["lytic"]
        result = evaluator.evaluate(
            pair.prediction.astype(np.uint32),
            pair.reference.astype(np.uint32),
            voxelspacing=UNIT,
            result_all=True,
        )
        theirs = next(iter(result.values()))
        assert (theirs.tp, theirs.fp, theirs.fn) == (ours.tp, ours.fp, ours.fn)
        assert theirs.rq == pytest.approx(ours.values["rq"])
        assert theirs.sq_dsc == pytest.approx(ours.values["sq"])
        assert theirs.pq_dsc == pytest.approx(ours.values["pq"])
        assert theirs.sq_assd == pytest.approx(ours.values["assd"])
        assert theirs.sq_rvd == pytest.approx(ours.values["rvd"])
        assert theirs.global_bin_dsc == pytest.approx(ours.values["global_dice"])


def test_connectivity() -> None:
    diagonal = np.eye(4, dtype=bool)
    assert label_components(diagonal, "full")[1] == 1
    assert label_components(diagonal, "faces")[1] == 4
    with pytest.raises(OptionError, match="'faces' or 'full'"):
        label_components(diagonal, "six")  # type: ignore[arg-type]


def test_pair_keeps_a_prediction_that_also_touches_a_kept_reference() -> None:
    reference = np.zeros((8, 8), dtype=bool)
    reference[1:4, 1:4] = True
    reference[6, 6] = True
    prediction = np.zeros_like(reference)
    prediction[1:7, 1:7] = True
    pair = pair_instances(prediction, reference, min_reference=2)
    assert pair.prediction.max() == 1
    assert pair.reference.max() == 1


def test_phenotypes() -> None:
    assert phenotype_of(grid()) == "healthy"
    assert phenotype_of(grid((0, 0, 2, 2, 1))) == "lytic"
    assert phenotype_of(grid((0, 0, 2, 2, 2))) == "blastic"
    assert phenotype_of(grid((0, 0, 2, 2, 1), (5, 5, 2, 2, 2))) == "mixed"
    assert phenotype_of(grid((0, 0, 1, 2, 1), (5, 5, 3, 3, 2)), min_voxels=5) == "blastic"


def test_bad_masks_are_refused() -> None:
    with pytest.raises(GeometryError, match="one shape"):
        score_unit(grid(), grid(shape=(8, 8)), UNIT)
    with pytest.raises(GeometryError, match="2D or 3D"):
        score_unit(grid(), grid(), (1.0, 1.0, 1.0))
    with pytest.raises(InputError, match=r"got also \[7\]"):
        score_unit(grid((0, 0, 2, 2, 7)), grid(), UNIT)
