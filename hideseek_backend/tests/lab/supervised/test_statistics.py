"""Tests and intervals against published or hand-computed figures."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy import stats

from hideseek_lab.supervised.clinical.statistics import (
    bonferroni,
    bootstrap,
    compare_paired,
    icc_2_1_interval,
    mann_whitney,
    shapiro,
)

# Shrout and Fleiss 1979, table 2: six targets, four judges.
SHROUT = [
    [9, 2, 5, 8], [6, 1, 3, 2], [8, 4, 6, 8], [7, 1, 2, 6], [10, 5, 6, 9], [6, 2, 4, 7],
]  # fmt: skip


def test_icc_interval_is_the_published_one() -> None:
    found = icc_2_1_interval(SHROUT)
    assert found.value == pytest.approx(0.2898, abs=5e-5)  # Shrout and Fleiss: .29
    # R's psych::ICC prints 0.019 and 0.761 for ICC2
    assert found.low == pytest.approx(0.019, abs=5e-4)
    assert found.high == pytest.approx(0.761, abs=5e-4)
    assert found.n == 6


def test_icc_without_disagreement_has_no_interval() -> None:
    found = icc_2_1_interval([[1, 1], [2, 2], [5, 5]])
    assert found.value == 1.0 and math.isnan(found.low)


def test_paired_comparison_by_hand() -> None:
    first, second = [1.0, 2.0, 3.0, 4.0, 5.0], [2.0, 4.0, 3.5, 6.5, 6.0]
    found = compare_paired(first, second)
    d = np.array([1.0, 2.0, 0.5, 2.5, 1.0])
    assert found.n == 5 and found.difference == pytest.approx(1.4)
    assert found.sd == pytest.approx(math.sqrt(((d - 1.4) ** 2).sum() / 4))
    t = 1.4 / (found.sd / math.sqrt(5))
    assert found.t == pytest.approx(2 * stats.t.sf(t, 4))
    assert found.wilcoxon == pytest.approx(2 / 2**5)  # all five signs alike
    assert found.interval[0] < 1.4 < found.interval[1]


def test_pairs_with_an_undefined_side_are_left_out() -> None:
    found = compare_paired([1.0, math.nan, 3.0, 1.0], [2.0, 5.0, math.nan, 1.0])
    assert found.n == 2 and found.difference == pytest.approx(0.5)


def test_equal_systems_have_no_p() -> None:
    found = compare_paired([0.5, 0.6, 0.7], [0.5, 0.6, 0.7])
    assert found.difference == 0 and math.isnan(found.t) and math.isnan(found.wilcoxon)
    assert compare_paired([], []).n == 0


def test_mann_whitney_of_two_threes_is_exact() -> None:
    # the most extreme of C(6, 3) = 20 orders, two-sided
    assert mann_whitney([1, 2, 3], [4, 5, 6]) == pytest.approx(2 / 20)
    assert math.isnan(mann_whitney([], [1.0]))


def test_bonferroni_counts_defined_tests_only() -> None:
    found = bonferroni([0.01, math.nan, 0.4, 0.03])
    assert found[0] == pytest.approx(0.03) and found[2] == 1.0 and found[3] == pytest.approx(0.09)
    assert math.isnan(found[1])


def test_shapiro_tells_a_bell_from_a_spike() -> None:
    bell = stats.norm.ppf((np.arange(1, 40) - 0.5) / 39)
    assert shapiro(bell) > 0.9
    assert shapiro([0.0] * 30 + [9.0]) < 1e-6
    assert math.isnan(shapiro([1.0, 1.0, 1.0]))


def test_bootstrap_covers_and_repeats() -> None:
    values = np.random.default_rng(1).normal(3, 1, 200)
    found = bootstrap(values)
    assert found == bootstrap(values) and found.n == 200
    half = 1.96 * values.std() / math.sqrt(200)
    assert found.low == pytest.approx(values.mean() - half, abs=0.03)
    assert found.high == pytest.approx(values.mean() + half, abs=0.03)
    assert bootstrap([math.nan, 2.0]).value == 2.0 and math.isnan(bootstrap([2.0]).low)
    assert str(bootstrap([])) == "–"
