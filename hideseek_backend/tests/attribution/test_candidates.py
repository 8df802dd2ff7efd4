"""Candidates from residuals with known answers."""

from __future__ import annotations

import numpy as np
import pytest

from hideseek_backend.attribution.candidates import (
    Candidates,
    erode_in_plane,
    find_candidates,
    linking_structure,
    reaching,
)
from hideseek_backend.attribution.options import Options

PLAIN = Options.for_protocol("reference", erode=0, min_area=1)


def body(n: int = 1) -> np.ndarray:
    mask = np.zeros((64, 64, n), dtype=bool)
    mask[12:52, 12:52] = True
    return mask


def residual(n: int = 1) -> np.ndarray:
    return np.zeros((64, 64, n), dtype=np.float32)


def area(found: Candidates, number: int) -> int:
    return int((found.labels == number).sum())


def test_sign_decides_polarity() -> None:
    d = residual()
    d[20:24, 20:24] = 0.4  # the healthy image is brighter: bone was missing
    d[30:36, 30:36] = -0.4
    d[48:50, 20:22] = 0.01  # weak, of both signs: below the mean
    d[48:50, 40:42] = -0.01
    found = find_candidates(d, body(), PLAIN)
    areas = {p: area(found, n) for n, p in enumerate(found.polarities, 1)}
    assert areas == {"lytic": 16, "blastic": 36}


@pytest.mark.parametrize("rule", ["mean", "median"])
def test_threshold_is_of_the_positive_residual_in_the_body(rule: str) -> None:
    d = residual()
    values = np.array([0.1, 0.2, 0.3, 0.9], dtype=np.float32)
    d[20, 20:28:2, 0] = values
    d[0:5, 0:5] = 5.0  # outside the body: counts for nothing
    found = find_candidates(d, body(), PLAIN.with_changes(binarize=rule))
    limit = values.mean() if rule == "mean" else np.median(values)
    assert len(found) == int((values > limit).sum())
    assert not found.labels[0:5, 0:5].any()


def test_hysteresis_keeps_weak_pixels_beside_strong_ones() -> None:
    d = residual()
    d[20:26, 20:26] = 0.5
    d[22:24, 22:24] = 1.0
    d[40:44, 40:44] = 0.5  # no strong core
    options = PLAIN.with_changes(binarize="hysteresis", hysteresis_low=0.4, hysteresis_high=0.8)
    found = find_candidates(d, body(), options)
    assert found.polarities == ("lytic",)
    assert area(found, 1) == 36


def test_least_residual_holds_under_every_rule() -> None:
    d = residual()
    d[20:26, 20:26] = 0.02
    d[30, 30] = 0.01
    for rule in ("mean", "median", "hysteresis"):
        options = PLAIN.with_changes(binarize=rule)
        assert len(find_candidates(d, body(), options, min_residual=0.05)) == 0


def test_connectivity() -> None:
    d = residual()
    d[20, 20] = d[21, 21] = 1.0
    d[40, 40] = 0.1
    assert len(find_candidates(d, body(), PLAIN)) == 2
    assert len(find_candidates(d, body(), PLAIN.with_changes(connectivity=8))) == 1


def test_small_ones_are_no_candidates_but_suspected() -> None:
    d = residual()
    d[20:23, 20:23] = 1.0
    d[40, 40:42] = 1.0
    d[45, 45] = 0.1
    found = find_candidates(d, body(), PLAIN.with_changes(min_area=5))
    assert len(found) == 1
    assert found.suspected.sum() == 11


def test_erosion_removes_and_changes_nothing_else() -> None:
    d = residual()
    d[12:15, 20:30] = 0.8  # along the edge of the body
    d[30:34, 30:34] = 0.7
    d[40:44, 40:44] = 0.05
    loose = find_candidates(d, body(), PLAIN)
    tight = find_candidates(d, body(), PLAIN.with_changes(erode=3))
    assert (len(loose), len(tight)) == (2, 1)
    assert (tight.labels[30:34, 30:34] > 0).all()


def test_erosion_is_in_plane_and_counts_the_border_out() -> None:
    mask = np.ones((64, 64, 3), dtype=bool)
    eroded = erode_in_plane(mask, 2)
    assert eroded[2:-2, 2:-2].all()
    assert eroded.sum() == 60 * 60 * 3


def test_holes_are_filled_unless_of_the_other_polarity() -> None:
    d = residual()
    d[20:30, 20:30] = -0.8
    d[23, 23] = 0.0
    d[26, 26] = 0.8
    d[46, 20] = 0.1
    d[40:44, 40:44] = -0.1
    found = find_candidates(d, body(), PLAIN.with_changes(fill_holes=True))
    blastic = found.labels == found.polarities.index("blastic") + 1
    assert blastic[23, 23, 0]
    assert not blastic[26, 26, 0]


def test_closing_joins_neighbours() -> None:
    d = residual()
    d[20:26, 20:24] = d[20:26, 25:29] = 1.0
    d[45, 45] = 0.1
    assert len(find_candidates(d, body(), PLAIN)) == 2
    assert len(find_candidates(d, body(), PLAIN.with_changes(closing=1))) == 1


def test_share_of_peak_trims_each_candidate_by_itself() -> None:
    d = residual()
    d[20:30, 20:30] = 0.3
    d[22:28, 22:28] = 1.0
    d[40:45, 40:45] = 0.3
    options = PLAIN.with_changes(peak_fraction=0.5, binarize="hysteresis")
    options = options.with_changes(hysteresis_low=0.2, hysteresis_high=0.25)
    found = find_candidates(d, body(), options)
    assert sorted(area(found, n) for n in (1, 2)) == [25, 36]


def test_split_cuts_a_dumb_bell_and_leaves_a_disc() -> None:
    p, s = np.mgrid[:64, :64]
    d = residual()
    for centre in (24, 38):
        d[(p - centre) ** 2 + (s - 32) ** 2 <= 36, 0] = 1.0
    d[24:38, 31:34, 0] = 1.0
    d[50, 50] = 0.1
    split = PLAIN.with_changes(split_distance=5, binarize="mean")
    assert len(find_candidates(d, body(), PLAIN)) == 1
    found = find_candidates(d, body(), split)
    assert len(found) == 2
    assert (found.labels > 0).sum() == (d > 0.5).sum()
    disc = residual()
    disc[(p - 32) ** 2 + (s - 32) ** 2 <= 100, 0] = 1.0
    disc[50, 50] = 0.1
    assert len(find_candidates(disc, body(), split)) == 1


def test_slices_link_by_direct_overlap() -> None:
    d = residual(4)
    d[20:24, 20:24, 0:2] = 1.0
    d[23:27, 23:27, 2] = 1.0  # shares one corner pixel with the slice before
    d[40:44, 40:44, 0] = 1.0
    d[44:48, 44:48, 1] = 1.0  # touches it only diagonally
    d[50, 50] = 0.1
    found = find_candidates(d, body(4), PLAIN.with_changes(min_area=5))
    assert len(found) == 3
    assert len(find_candidates(d, body(4), PLAIN.with_changes(min_area=5, min_slices=2))) == 1


def test_smoothing_across_slices_bridges_a_gap() -> None:
    d = residual(5)
    d[20:26, 20:26, [0, 1, 3, 4]] = 1.0
    options = PLAIN.with_changes(min_area=5, binarize="hysteresis", hysteresis_low=0.4)
    assert len(find_candidates(d, body(5), options)) == 2
    assert len(find_candidates(d, body(5), options.with_changes(smooth_through=1.0))) == 1


def test_smoothing_does_not_leak_over_the_bodys_edge() -> None:
    d = residual()
    d[:12] = 10.0
    d[30:34, 30:34] = 1.0
    options = PLAIN.with_changes(smooth_sigma=1.0, binarize="hysteresis")
    found = find_candidates(d, body(), options)
    assert len(found) == 1
    assert not found.labels[:20].any()


def test_a_residual_of_zero_has_none() -> None:
    for rule in ("mean", "median", "hysteresis"):
        found = find_candidates(residual(), body(), PLAIN.with_changes(binarize=rule))
        assert len(found) == 0
        assert found.labels.dtype == np.uint16


def test_outside_the_body_never() -> None:
    rng = np.random.default_rng(0)
    d = rng.normal(size=(64, 64, 3)).astype(np.float32)
    options = PLAIN.with_changes(closing=3, fill_holes=True, binarize="mean")
    found = find_candidates(d, body(3), options)
    assert len(found) > 0
    assert not found.labels[~body(3)].any()
    assert not found.suspected[~body(3)].any()


def test_linking_structure() -> None:
    assert linking_structure(4).sum() == 7
    assert linking_structure(8).sum() == 11


def test_candidates_that_stay_at_the_sides_are_left_out_and_hidden() -> None:
    labels = np.zeros((8, 8, 5), np.uint16)
    labels[1, 1, 0] = 1  # the side alone
    labels[4, 4, 0:3] = 2  # from the side to the middle
    labels[6, 6, 2] = 3
    whole = Candidates(labels, ("lytic", "blastic", "lytic"), labels > 0)
    near = reaching(whole, [2])
    assert near.polarities == ("blastic", "lytic")
    assert near.labels[4, 4, 0] == 1 and near.labels[6, 6, 2] == 2 and near.labels[1, 1, 0] == 0
    assert near.suspected[1, 1, 0]
    assert len(reaching(whole, [4])) == 0


@pytest.mark.parametrize(("valley", "count"), [(0.95, 1), (0.3, 2)])
def test_pieces_are_one_lesion_where_the_residual_does_not_fall(valley: float, count: int) -> None:
    """Two discs with a neck: one lesion if the neck is as bright, two if it is a saddle."""
    y, x = np.mgrid[:64, :64]
    d = residual()
    for centre in (24, 38):
        d[((y - 32) ** 2 + (x - centre) ** 2 <= 36), 0] = 1.0
    d[30:35, 29:34, 0] = valley
    options = PLAIN.with_changes(
        binarize="hysteresis", hysteresis_low=0.1, hysteresis_high=0.4, split_distance=6
    )
    assert len(find_candidates(d, body(), options)) == 2
    assert len(find_candidates(d, body(), options.with_changes(merge_depth=0.7))) == count


def test_a_broken_cortex_does_not_hide_the_marrow_behind_it() -> None:
    d = np.zeros((64, 64, 1), dtype=np.float32)
    d[20:40, 20:40] = 0.08  # marrow that lacks 100 HU
    d[20:24, 20:40] = 0.5  # and the cortex before it, restored
    options = PLAIN.with_changes(binarize="hysteresis", peak_fraction=0.25, hysteresis_low=0.1)
    (alone,) = find_candidates(d, body(), options).polarities
    assert alone == "lytic" and (find_candidates(d, body(), options).labels > 0).sum() == 80
    whole = find_candidates(d, body(), options, lytic_ceiling=0.05)
    assert (whole.labels > 0).sum() == 400
    # Excess bone is as dense inside as at its edge: its own peak stays the measure.
    dense = find_candidates(-d, body(), options, lytic_ceiling=0.05)
    assert (dense.labels > 0).sum() == 80
