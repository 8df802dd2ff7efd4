"""What a body's height should be, from its neighbours."""

from __future__ import annotations

import math

import pytest

from hideseek_backend.wire.heights import USUAL_MM, collapses, with_fractures
from hideseek_backend.wire.records import Vertebra
from hideseek_backend.wire.words import FRACTURED


def spine(scale: float = 1.1, **changed):
    heights = {level: (scale * mm,) * 3 for level, mm in USUAL_MM.items()}
    heights.update({k: tuple(s * h for s, h in zip(v, heights[k], strict=True))
                    for k, v in changed.items()})  # fmt: skip
    return heights


def test_a_patient_of_any_size_has_lost_nothing():
    for scale in (0.7, 1.0, 1.4):
        found = collapses(spine(scale))
        assert all(
            c.ratio == pytest.approx(1) and c.loss == pytest.approx(0) for c in found.values()
        )


def test_two_broken_neighbours_do_not_hide_each_other():
    found = collapses(spine(T12=(0.6, 0.7, 1.0), L1=(0.7, 0.7, 0.7)))
    assert found["T12"].loss == pytest.approx(0.4)
    assert found["L1"].loss == pytest.approx(0.3)
    assert all(c.loss < 0.01 for level, c in found.items() if level not in ("T12", "L1"))
    assert found["T12"].expected == pytest.approx((1.1 * USUAL_MM["T12"],) * 3)


def test_a_body_alone_is_held_against_its_own_greatest_height():
    found = collapses({"L1": (15.0, 18.0, 25.0), "C5": (14.0, 14.0, 14.0)})
    assert found["L1"].compared_with == () and found["L1"].loss == pytest.approx(0.4)
    assert found["C5"].loss == 0


def test_flags_are_set_taken_back_and_kept_beside_others():
    nan = (math.nan,) * 3
    rows = [
        Vertebra(level, 0.9, heights_mm=mm, outside="unlike training" if level == "L1" else "")
        for level, mm in {**spine(L1=(0.6, 0.8, 1.0)), "C7": nan}.items()
    ]
    told = {v.level: v for v in with_fractures(rows)}
    assert told["L1"].outside == f"{FRACTURED}; unlike training"
    assert told["L1"].p_malignant == 0.9 and told["L1"].height_ratio == pytest.approx(0.6)
    assert {v.level for v in told.values() if v.outside} == {"L1"}
    assert math.isnan(told["C7"].height_ratio)
    again = {v.level: v for v in with_fractures(told.values(), loss=0.5)}
    assert again["L1"].outside == "unlike training"
