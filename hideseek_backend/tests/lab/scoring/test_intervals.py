"""Bootstrap intervals against the normal theory they come to with many values."""

from __future__ import annotations

import math

import numpy as np
import pytest

from hideseek_lab.scoring.intervals import interval_of_mean, interval_of_means
from hideseek_lab.scoring.summary import stat


def test_many_values_have_the_normal_interval() -> None:
    values = np.random.default_rng(1).normal(0.6, 0.2, 400)
    half = 1.96 * values.std() / math.sqrt(len(values))
    low, high = interval_of_mean(values.tolist())
    assert (low, high) == pytest.approx(
        (values.mean() - half, values.mean() + half), abs=0.2 * half
    )
    assert interval_of_mean(values.tolist()) == (low, high)  # the same every time


def test_values_of_one_patient_are_drawn_together() -> None:
    """Ten patients whose forty vertebrae all say the same know ten things and not four hundred."""
    patients = np.random.default_rng(2).normal(0.6, 0.2, 10)
    values, groups = np.repeat(patients, 40).tolist(), np.repeat(np.arange(10), 40).tolist()
    apart, together = interval_of_mean(values), interval_of_mean(values, groups)
    wide = (together[1] - together[0]) / (apart[1] - apart[0])
    assert wide == pytest.approx(math.sqrt(40), rel=0.1)
    assert together == pytest.approx(interval_of_mean(patients.tolist()))


def test_the_mean_of_means_is_drawn_within_each_sample() -> None:
    few, many = [0.2, 0.4, 0.6, float("nan")], [0.9] * 50
    low, high = interval_of_means([few, many])
    assert (0.2 + 0.9) / 2 <= low < high <= (0.6 + 0.9) / 2
    assert all(math.isnan(bound) for bound in interval_of_means([[0.5], many]))


def test_a_statistic_says_its_interval_or_that_it_has_none() -> None:
    found = stat([0.5, 0.7, float("nan"), 0.9])
    assert found.n == 3 and found.low < 0.7 < found.high
    assert str(found) == f"0.70 ({found.low:.2f}–{found.high:.2f})"
    assert str(stat([0.5])) == "0.50" and str(stat([])) == "–"
    assert str(stat([0.5, 0.7], ["a", "a"])) == "0.60"
