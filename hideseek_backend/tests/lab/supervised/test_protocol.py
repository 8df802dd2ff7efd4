"""Folds by patient, thresholds by patient-level F2, counted by hand."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hideseek_backend.errors import InputError
from hideseek_lab.supervised.protocol import (
    Detection,
    choose_point,
    detect,
    f_beta,
    stratified_folds,
)


@settings(max_examples=30, deadline=None)
@given(st.lists(st.integers(0, 40), min_size=7, max_size=60), st.integers(0, 5))
def test_folds_part_patients_and_balance_lesions(counts: list[int], seed: int) -> None:
    lesions = {f"p{n}": count for n, count in enumerate(counts)}
    folds = stratified_folds(lesions, 7, seed)
    assert [f.number for f in folds] == [1, 2, 3, 4, 5, 6]
    assert len({f.tune for f in folds}) == 1
    for fold in folds:
        assert not fold.test & fold.train and not fold.tune & (fold.train | fold.test)
        assert fold.train | fold.tune | fold.test == set(lesions)
    tested = [p for f in folds for p in f.test]
    assert len(tested) == len(set(tested)) and set(tested) | folds[0].tune == set(lesions)
    groups = [f.test for f in folds] + [folds[0].tune]
    totals = [sum(lesions[p] for p in group) for group in groups]
    # dealt to and fro: no two folds differ by more than the largest patient
    assert max(totals) - min(totals) <= max(counts)
    assert max(map(len, groups)) - min(map(len, groups)) <= 1


def test_too_few_patients_are_told() -> None:
    with pytest.raises(InputError, match="7 folds and 3 patients"):
        stratified_folds({"a": 1, "b": 2, "c": 0})


def test_f2_weighs_misses_four_times() -> None:
    assert f_beta(2, 3, 1) == pytest.approx(5 * 2 / (5 * 2 + 4 * 1 + 3))
    assert f_beta(0, 0, 2) == 0 and f_beta(0, 4, 0) == 0
    assert f_beta(0, 0, 0) == 1  # a healthy patient left clean
    assert f_beta(3, 1, 2, beta=1) == pytest.approx(6 / 9)


def test_any_overlap_finds_a_lesion() -> None:
    truth, marked = np.zeros((10, 10)), np.zeros((10, 10))
    truth[1:3, 1:3] = 1
    truth[1:3, 6:8] = 2
    truth[8, 8] = 1
    marked[2, 2:7] = 1  # one component on two lesions finds both and is not false
    marked[5, 0] = 1
    assert detect(marked, truth) == Detection(tp=2, fp=1, fn=1)
    assert detect(marked, truth, least=2) == Detection(2, 0, 1)
    assert detect(np.zeros_like(truth), truth) == Detection(0, 0, 3)


def test_the_point_has_the_best_mean_f2_over_patients() -> None:
    truth = np.zeros((3, 8, 8), np.uint8)
    truth[0, 1:4, 1:4] = truth[1, 1:4, 1:4] = 1
    p = np.zeros((3, 8, 8), np.float32)
    p[0, 1:4, 1:4], p[1, 1:4, 1:4] = 0.9, 0.42
    p[2, 5:7, 5:7] = 0.31  # false below 0.31
    point = choose_point(list(p), list(truth), ["a", "b", "c"])
    assert (point.threshold, point.least) == (pytest.approx(0.4), 1) and point.f2 == 1.0
    # one patient with two scans weighs as one
    assert choose_point(list(p), list(truth), ["a", "a", "c"]).f2 == 1.0
    with pytest.raises(InputError, match="none in 1 scans"):
        choose_point([p[2]], [truth[2]], ["c"])


def test_crumbs_are_dropped_where_that_helps_and_marking_everything_never_wins() -> None:
    truth = np.zeros((4, 8, 8), np.uint8)
    truth[0, 1:4, 1:4] = truth[1, 1:4, 1:4] = 1
    p = np.full((4, 8, 8), 0.12, np.float32)
    p[0, 1:4, 1:4] = 0.9  # the other lesion is not seen
    p[2, 5:7, 5:7] = p[3, 0:2, 0:2] = 0.9  # four voxels each, as sure as the lesion
    point = choose_point(list(p), list(truth), ["a", "b", "c", "d"])
    # clean healthy patients score 1: found, missed, clean, clean
    assert point.least == 8 and point.threshold == 0.5 and point.f2 == pytest.approx(3 / 4)
    # marking everything would find both lesions and score (1 + 1 + 0 + 0) / 4
    assert choose_point(list(p), list(truth), list("abcd"), least=9).f2 == pytest.approx(3 / 4)
