"""candidates.csv and vertebrae.csv, column by column."""

from __future__ import annotations

import csv
from pathlib import Path

import pytest
from sample_case import sample_case

from hideseek_backend.report.tables import (
    CANDIDATE_COLUMNS,
    VERTEBRA_COLUMNS,
    candidate_rows,
    number,
    probability,
    text_table,
    vertebra_rows,
    write_csv,
)


def test_columns_are_the_documented_ones() -> None:
    assert ",".join(CANDIDATE_COLUMNS) == (
        "vertebra,candidate,polarity,delta,kept,p_hide,slices,area_px,volume_mm3,mean_hu,"
        "centroid_r_mm,centroid_a_mm,centroid_s_mm"
    )
    assert ",".join(VERTEBRA_COLUMNS) == (
        "vertebra,p_malignant,p_healthy_image,analysed,reason,body_volume_mm3,lytic_volume_mm3,"
        "blastic_volume_mm3,lytic_fraction,blastic_fraction"
    )


def test_candidates_round_trip_through_csv(tmp_path: Path) -> None:
    case = sample_case(slices="all")
    path = tmp_path / "candidates.csv"
    write_csv(path, CANDIDATE_COLUMNS, candidate_rows(case.vertebrae))
    with path.open(newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    assert [(r["vertebra"], r["candidate"]) for r in rows] == [
        (level, str(n)) for level in ("T12", "L1") for n in (1, 2, 3)
    ]
    first, third = rows[0], rows[2]
    assert (first["polarity"], first["delta"], first["kept"]) == ("lytic", "0.9100", "true")
    assert third["kept"] == "false"
    assert [int(k) for k in first["slices"].split()] == list(range(28, 37))
    assert (first["centroid_r_mm"], first["centroid_a_mm"]) == ("1.00", "-2.50")
    expected = case.vertebrae[1].candidates[0].volume_mm3
    assert float(first["volume_mm3"]) == pytest.approx(expected, abs=0.051)


def test_vertebrae_not_analysed_leave_results_empty() -> None:
    rows = vertebra_rows(sample_case().vertebrae)
    assert [r["vertebra"] for r in rows] == ["T11", "T12", "L1", "L2"]
    skipped, analysed = rows[0], rows[1]
    assert skipped["analysed"] == "false" and skipped["reason"] == "below p = 0.5"
    assert skipped["lytic_volume_mm3"] == skipped["lytic_fraction"] == ""
    assert skipped["p_healthy_image"] == ""
    volume = float(analysed["lytic_volume_mm3"])
    assert float(analysed["lytic_fraction"]) == pytest.approx(volume / 20000, abs=1e-5)


def test_numbers_that_are_missing_or_not_finite_are_empty() -> None:
    assert number(None, 2) == number(float("nan"), 2) == probability(float("inf")) == ""
    assert number(-0.0001, 2) == "0.00"
    assert probability(1.234567e-9) == "1.23457e-09"


def test_text_table_aligns_words_left_and_numbers_right() -> None:
    table = text_table(("level", "n"), [{"level": "T9", "n": "5"}, {"level": "T10", "n": "12"}])
    assert table.splitlines()[2:] == ["T9      5", "T10    12"]
