"""Figures of real vertebrae, from made-up rows."""

from __future__ import annotations

import argparse
from pathlib import Path

import pytest

from hideseek_lab.benchmark.real_figures import by_patient, figures
from hideseek_lab.benchmark.real_set import BENIGN, GROWN, UNTOUCHED, WARPED, Screened
from hideseek_lab.cli import benchmark_real


def _row(patient: str, kind: str, logit: float, volume: float = 0.0) -> Screened:
    phenotype = "lytic" if kind in (WARPED, GROWN) else "healthy"
    return Screened(patient, patient, "L1", kind, phenotype, volume, logit)


def _rows() -> list[Screened]:
    rows = []
    for patient, logit in (("a", -2.0), ("b", -1.0), ("c", 1.0)):
        rows += [_row(patient, UNTOUCHED, logit)] * 4 + [_row(patient, BENIGN, logit)]
        rows += [_row(patient, WARPED, logit + 3, 0.5), _row(patient, GROWN, logit + 5, 2.0)]
    return rows


def test_figures_are_shares_with_intervals_over_patients() -> None:
    table = {figure.name: figure for figure in figures(_rows())}
    untouched = table["untouched, real: specificity at p = 0.5"]
    assert untouched.value == pytest.approx(2 / 3) and untouched.count == 12
    # Whole patients are drawn: all three of the ill-read one, or none of it.
    assert (untouched.low, untouched.high) == (0.0, 1.0)
    assert table["inserted: sensitivity at p = 0.5"].value == 1
    small = table["inserted, < 1 mL: sensitivity at specificity 0.90"]
    assert small.value == pytest.approx(2 / 3) and small.count == 3
    assert table["inserted, > 3 mL: sensitivity at specificity 0.90"].count == 0


def test_every_patient_is_counted_once() -> None:
    assert by_patient(_rows()) == {"a": (4, 4), "b": (4, 4), "c": (0, 4)}


def test_absent_data_is_said_and_skipped(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    parser = argparse.ArgumentParser()
    benchmark_real.add_arguments(parser)
    assert benchmark_real.main(parser.parse_args(["--data", str(tmp_path / "none")])) == 0
    assert "Skipped" in capsys.readouterr().out
