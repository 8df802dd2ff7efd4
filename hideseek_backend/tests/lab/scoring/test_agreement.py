"""ICC(2,1), FROC and rater counts against published or hand-computed values."""

from __future__ import annotations

import math

import numpy as np
import pytest

from hideseek_backend.errors import InputError
from hideseek_lab.scoring.agreement import (
    FrocCase,
    count_lesions,
    froc,
    froc_case,
    icc_2_1,
)
from hideseek_lab.scoring.metrics import score_unit


def test_icc_of_the_textbook_example() -> None:
    # Shrout and Fleiss 1979, table 2: six targets, four judges, ICC(2,1) = 0.29
    ratings = [[9, 2, 5, 8], [6, 1, 3, 2], [8, 4, 6, 8], [7, 1, 2, 6], [10, 5, 6, 9], [6, 2, 4, 7]]
    assert icc_2_1(ratings) == pytest.approx(0.29, abs=0.005)


def test_icc_sees_a_constant_offset_and_perfect_agreement() -> None:
    volumes = np.array([1.0, 4.0, 9.0, 16.0])
    assert icc_2_1(np.stack([volumes, volumes], axis=1)) == pytest.approx(1.0)
    assert icc_2_1(np.stack([volumes, volumes + 10], axis=1)) < 0.6
    assert math.isnan(icc_2_1(np.zeros((3, 2))))
    with pytest.raises(InputError, match="at least 2 targets"):
        icc_2_1(np.zeros((1, 2)))


def test_froc_by_hand() -> None:
    cases = [
        FrocCase((2000.0, 100.0), (0.9, 0.8, 0.2), (900.0, 50.0, 1500.0), ((0,), (), (1,))),
        FrocCase((1500.0,), (0.5, 0.4), (2500.0, 700.0), ((), (0,))),
    ]
    curve = froc(cases)
    np.testing.assert_allclose(curve.thresholds, [0.9, 0.8, 0.5, 0.4, 0.2])
    np.testing.assert_allclose(curve.sensitivity, [1 / 3, 1 / 3, 1 / 3, 2 / 3, 1.0])
    np.testing.assert_allclose(curve.false_positives, [0, 0.5, 1.0, 1.0, 1.0])
    # level at 1/3 up to one false positive a case, then at 1 up to two
    assert curve.area(2.0) == pytest.approx(1 / 3 + 1.0)
    assert curve.area(1.0) == pytest.approx(1 / 3)
    large = froc(cases, min_volume_mm3=1000.0)
    assert large.lesions == 2
    np.testing.assert_allclose(large.sensitivity, [0.5, 0.5, 0.5, 1.0, 1.0])
    np.testing.assert_allclose(large.false_positives, [0, 0, 0.5, 0.5, 0.5])


def test_froc_without_predictions_or_lesions() -> None:
    curve = froc([FrocCase((10.0,), (), (), ())])
    np.testing.assert_allclose(curve.sensitivity, [0.0])
    assert curve.area(4.0) == 0.0
    assert math.isnan(froc([FrocCase((), (), (), ())]).area(4.0))
    with pytest.raises(InputError, match="at least one case"):
        froc([])


def _masks() -> tuple[np.ndarray, np.ndarray]:
    truth = np.zeros((16, 16), dtype=np.uint8)
    truth[1:4, 1:4], truth[8:12, 8:12], truth[1:4, 10:12] = 1, 2, 1
    prediction = np.zeros_like(truth)
    prediction[1:4, 1:3], prediction[8:12, 7:10], prediction[13:15, 1:3] = 1, 2, 1
    return prediction, truth


def test_rater_counts_by_hand() -> None:
    pytest.importorskip("panoptica")
    units = [score_unit(*_masks(), (1.0, 1.0))]
    lytic = count_lesions(units, "lytic")
    assert (lytic.annotated_a, lytic.annotated_b) == (2, 2)
    assert (lytic.matched_a, lytic.missed_a, lytic.extra_b) == (1, 1, 1)
    assert (lytic.fn_rate, lytic.fp_rate) == (0.5, 0.5)
    assert count_lesions(units).annotated_a == 3
    assert math.isnan(count_lesions([], "lytic").fp_rate)


def test_froc_case_takes_confidences_or_sizes() -> None:
    pytest.importorskip("panoptica")
    scores = score_unit(*_masks(), (1.0, 1.0))
    case = froc_case(scores)
    assert case.confidences == case.predicted_mm3
    chosen = froc_case(scores, [0.1, 0.2, 0.3], polarity="blastic")
    assert chosen.volumes_mm3 == (16.0,)
    assert chosen.confidences == (0.3,)
    assert chosen.hits == ((0,),)
