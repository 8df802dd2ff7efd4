"""Lesions of two dates: every fate, and what must not be compared."""

from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hideseek_backend.errors import InputError
from hideseek_backend.followup.compare import follow_up
from hideseek_backend.followup.limits import READER, Agreement, Limits, ScanPair, limits_for
from hideseek_backend.followup.matching import groups, overlaps
from hideseek_backend.followup.pairing import Pair
from hideseek_backend.followup.registration import Pose
from hideseek_backend.followup.timepoint import Finding, Timepoint
from hideseek_backend.volumes.volume import FloatArray, Volume, apply_affine
from hideseek_backend.wire.changes import Change, FollowUp
from hideseek_backend.wire.codec import from_plain, to_plain
from hideseek_backend.wire.records import Candidate, Vertebra

LIMITS = Limits(0.03, 0.03, thickness_mm=2.5, thickness_ratio=3.0)
OUTLINED = Limits(0.01, 0.0, thickness_mm=5.0, thickness_ratio=6.0, kernel=0.0, contrast=0.0)
THIN = ScanPair(1.0, 1.0, False, False)
MOTION = np.array([[0, -1, 0, 5.0], [1, 0, 0, -7.0], [0, 0, 1, 11.0], [0, 0, 0, 1.0]])
BODY = Volume(np.ones((2, 2, 2), bool), np.eye(4))


def ball(centre: tuple[float, float, float], radius: float) -> FloatArray:
    grid = np.arange(-radius, radius + 0.1)
    points = np.stack(np.meshgrid(grid, grid, grid, indexing="ij"), axis=-1).reshape(-1, 3)
    return points[np.linalg.norm(points, axis=1) <= radius] + centre


def finding(
    number: int, places: FloatArray, polarity: str = "lytic", counts: bool = True, level: str = "L1"
) -> Finding:
    centre = places.mean(axis=0)
    return Finding(
        Candidate(level, number, polarity, 0.8, counts, 0.5, (32,), 9, float(len(places)), 100.0,  # type: ignore[arg-type]
                  (float(centre[0]), float(centre[1]), float(centre[2]))),
        places, counts, np.eye(3),
    )  # fmt: skip


def date(*findings: Finding, thick: float = 1.0, **more: object) -> Timepoint:
    spacing = np.array([0.8, 0.8, thick])
    return Timepoint({"L1": BODY}, findings, spacing, **more)  # type: ignore[arg-type]


def compare(earlier: Timepoint, current: Timepoint, **more: object) -> FollowUp:
    """With the pose given, so that lesions alone are under test."""
    pairs = (Pair("L1", "L1", Pose(np.linalg.inv(MOTION), 0.3)),)
    limits = Agreement(LIMITS, OUTLINED)
    return follow_up(earlier, current, limits=limits, pairs=pairs, **more)  # type: ignore[arg-type]


def before(places: FloatArray) -> FloatArray:
    """Places of the earlier date: its pose is another."""
    return places @ MOTION[:3, :3].T + MOTION[:3, 3]


def fates(told: FollowUp) -> list[str]:
    return [c.fate for c in told.changes]


def test_what_repeated_scans_vary_by_is_no_change_and_not_called_stable() -> None:
    """Wide limits, as of lesions that a model finds: twice the volume says nothing."""
    wide = Agreement(Limits(0.45, 0.0, 5.0, 6.0, kernel=0.0, contrast=0.0), OUTLINED)
    old = ball((0, 0, 0), 5.0)
    for radius, fate in ((5.2, "stable"), (6.0, "indeterminate"), (7.2, "grown")):
        new = finding(1, ball((0, 0, 0), radius))
        pairs = (Pair("L1", "L1", Pose(np.linalg.inv(MOTION), 0.3)),)
        told = follow_up(date(finding(1, before(old))), date(new), limits=wide, pairs=pairs)
        assert [c.fate for c in told.changes] == [fate], radius


@pytest.mark.parametrize(
    ("radius", "fate"), [(5.0, "stable"), (5.2, "stable"), (7.0, "grown"), (3.6, "shrunk")]
)
def test_growth_is_told_beyond_the_limits(radius: float, fate: str) -> None:
    old, new = ball((0, 0, 0), 5.0), ball((0.6, 0, 0), radius)
    (change,) = compare(date(finding(1, before(old))), date(finding(2, new))).changes
    assert change.fate == fate
    assert (change.before, change.after) == ((1,), (2,))
    assert change.change_percent == pytest.approx(100 * (len(new) / len(old) - 1))
    assert change.limit_percent == pytest.approx(
        LIMITS.percent(math.sqrt(len(old) * len(new)), THIN)
    )


def test_new_gone_merged_and_split() -> None:
    a, b, far = ball((0, 0, 0), 4), ball((9, 0, 0), 4), ball((0, 20, 0), 4)
    both = np.concatenate([a, b, ball((4.5, 0, 0), 4)])
    one = compare(date(finding(1, before(a)), finding(2, before(b))), date(finding(1, both)))
    assert fates(one) == ["merged"] and one.changes[0].volume_before_mm3 == len(a) + len(b)
    two = compare(date(finding(1, before(both))), date(finding(1, a), finding(2, b)))
    assert fates(two) == ["split"]
    three = compare(date(finding(1, before(a))), date(finding(1, far)))
    assert sorted(fates(three)) == ["gone", "new"]
    assert math.isnan(three.changes[0].change_percent)


def test_a_lesion_in_other_parts_than_before_is_compared_as_a_whole() -> None:
    box = ball((0, 0, 0), 8)
    left, right = box[box[:, 0] < 0], box[box[:, 0] >= 0]
    front, back = box[box[:, 1] < -2], box[box[:, 1] >= -2]
    told = compare(
        date(finding(1, before(left)), finding(2, before(right))),
        date(finding(1, front), finding(2, back)),
    )
    (change,) = told.changes
    assert change.fate == "stable" and change.change_percent == pytest.approx(0.0)
    assert set(change.before) == set(change.after) == {1, 2}


def test_lesions_side_by_side_are_told_apart() -> None:
    a, b = ball((0, 0, 0), 4), ball((9, 0, 0), 4)
    told = compare(
        date(finding(1, before(a)), finding(2, before(b))), date(finding(5, b), finding(6, a))
    )
    assert {(c.before, c.after) for c in told.changes} == {((1,), (6,)), ((2,), (5,))}
    assert fates(told) == ["stable", "stable"]


def test_a_lytic_lesion_that_turned_blastic_is_one_lesion() -> None:
    a = ball((0, 0, 0), 5)
    (change,) = compare(date(finding(1, before(a))), date(finding(1, a, "blastic"))).changes
    assert (change.polarity_before, change.polarity) == ("lytic", "blastic")
    assert "lytic before, blastic now" in change.reason and change.fate == "stable"


def test_what_fell_below_the_threshold_is_not_gone() -> None:
    a = ball((0, 0, 0), 5)
    (change,) = compare(date(finding(1, before(a))), date(finding(1, a, counts=False))).changes
    assert change.fate == "stable" and "below the threshold now" in change.reason
    assert (
        compare(
            date(finding(1, before(a), counts=False)), date(finding(1, a, counts=False))
        ).changes
        == ()
    )


def test_a_new_lesion_of_a_vertebra_that_was_not_analysed_says_so() -> None:
    quiet = Vertebra("L1", 0.2)
    told = compare(date(vertebrae={"L1": quiet}), date(finding(1, ball((0, 0, 0), 5))))
    assert fates(told) == ["new"] and "not analysed then, p = 0.20" in told.changes[0].reason


@pytest.mark.parametrize(
    ("earlier", "word"),
    [
        ({"thick": 5.0}, "limits of agreement reach to 2.5 mm"),
        ({"model": "other"}, "two models"),
        ({"options": {"polarity": "lytic"}}, "other settings (polarity)"),
        (
            {"vertebrae": {"L1": Vertebra("L1", 0.9, reason="cut by the field of view")}},
            "field of view",
        ),
    ],
)
def test_what_cannot_be_compared_says_why_and_tells_no_change(
    earlier: dict[str, object], word: str
) -> None:
    old, new = ball((0, 0, 0), 4), ball((0, 0, 0), 8)
    told = compare(date(finding(1, before(old)), **earlier), date(finding(1, new)))  # type: ignore[arg-type]
    assert fates(told) == ["not comparable"] and word in told.changes[0].reason
    assert told.changes[0].volume_mm3 == len(new)


def test_a_level_of_one_scan_only_is_not_compared() -> None:
    lone = finding(1, ball((0, 0, 0), 4), level="L4")
    told = compare(date(), date(lone))
    assert fates(told) == ["not comparable"] and told.changes[0].reason == "not in the earlier scan"


def test_uids_are_carried_on_and_are_the_same_for_the_same_result() -> None:
    old, new = date(finding(3, before(ball((0, 0, 0), 4)))), date(finding(1, ball((0, 0, 0), 4)))
    known = compare(old, new, known_uids={"L1:3": "1.2.3"}).changes[0]
    assert known.tracking_uid == "1.2.3"
    made = [compare(old, new).changes[0].tracking_uid for _ in range(2)]
    assert made[0] == made[1] and made[0].startswith("2.25.") and len(made[0]) <= 64


def test_a_follow_up_goes_over_the_wire() -> None:
    told = compare(
        date(finding(1, before(ball((0, 0, 0), 4)))), date(finding(1, ball((0, 0, 0), 6)))
    )
    back = from_plain(FollowUp, to_plain(told))
    assert back.changes == told.changes
    np.testing.assert_array_equal(back.pairs[0].matrix, told.pairs[0].matrix)
    with pytest.raises(Exception, match="fate"):
        Change("L1", "better", "lytic", 1.0, 1.0, 0.0, 0.0)  # type: ignore[arg-type]


def test_other_spines_are_refused() -> None:
    other = replace(date(), bodies={"C3": BODY})
    with pytest.raises(InputError, match="one spine"):
        follow_up(date(), other)


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 5), st.integers(0, 5), st.randoms(use_true_random=False))
def test_every_lesion_is_in_exactly_one_group(n: int, m: int, random: object) -> None:
    shares = np.array([[random.random() for _ in range(m)] for _ in range(n)]).reshape(n, m)  # type: ignore[attr-defined]
    found = groups(shares, 0.6)
    assert sorted(i for a, _ in found for i in a) == list(range(n))
    assert sorted(j for _, b in found for j in b) == list(range(m))
    place = {i: k for k, (a, _) in enumerate(found) for i in a}
    other = {j: k for k, (_, b) in enumerate(found) for j in b}
    assert all(place[i] == other[j] for i, j in zip(*np.nonzero(shares >= 0.6), strict=True))


def test_the_overlap_is_that_of_the_smaller_lesion() -> None:
    small, large, far = ball((0, 0, 0), 3), ball((0, 0, 0), 9), ball((30, 0, 0), 3)
    shares = overlaps([small], [large, far], 0.5)
    assert shares[0, 0] == 1.0 and shares[0, 1] == 0.0


def test_limits_grow_for_small_lesions_thick_slices_and_unlike_scans() -> None:
    limits = replace(LIMITS, by_slice=0.02, kernel=0.05, contrast=0.1)
    assert limits.percent(100, THIN) > limits.percent(1000, THIN) > limits.percent(20_000, THIN)
    assert LIMITS.percent(1e12, THIN) == pytest.approx(100 * math.expm1(1.96 * 0.03), abs=0.1)
    widths = [
        limits.percent(1000, scans)
        for scans in (THIN, replace(THIN, thickness_mm=2.0), replace(THIN, kernels_differ=True),
                      replace(THIN, contrast_differs=True), ScanPair(1.0))
    ]  # fmt: skip
    assert widths == sorted(widths) and len(set(widths)) == len(widths)
    whole = math.hypot(0.03, math.hypot(0.03, 0.02), 0.05, 0.1)  # unknown counts as unlike
    assert widths[-1] == pytest.approx(100 * math.expm1(1.96 * whole))


def test_an_unknown_model_is_told() -> None:
    assert limits_for("").warning == "" and "not measured" in limits_for("no such model").warning
    assert limits_for("").found == limits_for("no such model").outlined


def test_outlined_lesions_have_limits_of_their_own() -> None:
    old, new = ball((0, 0, 0), 5.0), ball((0, 0, 0), 5.0)

    def drawn(number: int, places: FloatArray) -> Finding:
        one = finding(number, places)
        return replace(one, candidate=replace(one.candidate, source="reader"))

    (by_hand,) = compare(date(drawn(1, before(old))), date(drawn(1, new))).changes
    (mixed,) = compare(date(drawn(1, before(old))), date(finding(1, new))).changes
    assert (by_hand.limit_of, mixed.limit_of) == ("outlined", "found")
    assert by_hand.limit_percent == pytest.approx(OUTLINED.percent(len(old), THIN))
    assert mixed.limit_percent == pytest.approx(LIMITS.percent(len(old), THIN))
    thick = compare(date(drawn(1, before(old)), thick=5.0), date(drawn(1, new)))
    assert thick.comparable and fates(thick) == ["stable"]
    assert "outlined lesions" in thick.limits
    by_model = compare(date(model="m"), date(finding(1, new), model="m"))
    assert "this model found" in by_model.limits and "outlined" not in by_model.limits


def test_damaged_limits_are_refused(tmp_path: Path) -> None:
    for n, text in enumerate(["", "{}", f'{{"{READER}": {{"base": 1}}}}']):
        file = tmp_path / f"{n}.json"
        file.write_text(text, encoding="utf-8")
        with pytest.raises(InputError, match="limits of agreement"):
            limits_for("", file)


def test_slices_that_lie_between_those_of_the_other_date_are_bridged() -> None:
    """A ball of 16 mm in 5 mm slices, the second time 2.5 mm further: one lesion to the eye."""

    def sliced(first: float) -> Finding:
        grid = [np.arange(-9, 9.5), np.arange(-9, 9.5), np.arange(first, 20, 5.0)]
        points = np.stack(np.meshgrid(*grid, indexing="ij"), axis=-1).reshape(-1, 3)
        return replace(
            finding(1, points[np.linalg.norm(points, axis=1) <= 8]), edges=np.diag([1, 1, 5.0])
        )

    one, two = sliced(-20.0), sliced(-17.5)
    bare = overlaps([one.places], [two.places], 1.5)
    assert bare[0, 0] == 0.0  # centres alone are 2.5 mm apart
    filled = one.filled(1.5)
    assert len(filled) == 4 * len(one.places)
    assert np.allclose(filled.mean(axis=0), one.places.mean(axis=0))
    assert np.ptp(filled[:4], axis=0) == pytest.approx([0, 0, 3.75])  # four in 5 mm
    assert overlaps([filled], [two.filled(1.5)], 1.5)[0, 0] > 0.75
    turned = replace(one, places=apply_affine(MOTION, one.places), edges=MOTION[:3, :3] @ one.edges)
    (change,) = compare(date(turned, thick=2.0), date(two, thick=2.0)).changes
    assert change.fate == "stable"
