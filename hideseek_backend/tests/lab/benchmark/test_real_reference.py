"""p read against the scan, and p calibrated by cross-fitting, on made-up rows."""

from __future__ import annotations

import numpy as np
import pytest

from hideseek_lab.benchmark.real_calibration import cross_calibrated
from hideseek_lab.benchmark.real_reference import READINGS, compared, read_again
from hideseek_lab.benchmark.real_set import GROWN, UNTOUCHED, WARPED, Screened

LEVELS = [f"T{n}" for n in range(3, 11)]


def _rows(seed: int = 0, offset: float = 1.0, ill: float = 3.0) -> list[Screened]:
    """Six patients whose scans lie apart by `offset`; lesions raise a logit by `ill`."""
    rng = np.random.default_rng(seed)
    rows = []
    for number in range(6):
        own = -2.0 + offset * rng.normal()
        for level in LEVELS:
            logit = own + 0.4 * rng.normal()
            name = f"p{number}"
            rows.append(Screened(name, name, level, UNTOUCHED, "healthy", 0.0, logit))
            for kind in (WARPED, GROWN):
                for phenotype in ("lytic", "blastic"):
                    shown = logit + ill + 0.5 * rng.normal()
                    rows.append(Screened(name, name, level, kind, phenotype, 2.0, shown))
    return rows


@pytest.mark.parametrize("name", sorted(READINGS))
def test_a_spine_that_is_ill_all_over_is_not_talked_healthy(name: str) -> None:
    rows = _rows(ill=4.0)
    read = read_again(rows, READINGS[name], all_ill=True)
    plain = np.array([row.logit for row in rows])
    flagged = np.array([row.kind != UNTOUCHED for row in rows]) & (plain > 0)
    assert flagged.sum() > 100
    assert (read[flagged] > 0).mean() > 0.97


def test_an_offset_common_to_a_scan_is_taken_off() -> None:
    table = {reading.name: reading for reading in compared(_rows(offset=1.5, ill=2.0))}
    assert all(gain.value == 0 for gain in table["p as it is"].gains)
    gain = table["against its scan"].gains[0]
    assert gain.name == "inserted: AUC" and gain.value > 0.05 and gain.low > 0


def test_no_patient_calibrates_itself() -> None:
    rows = _rows(offset=0.0)
    names = sorted({row.patient for row in rows})
    before = cross_calibrated(rows, [{name} for name in names])
    wild = [
        Screened(r.patient, r.case, r.level, r.kind, r.phenotype, r.volume_ml, r.logit + 50)
        if r.patient == "p0" and r.kind == UNTOUCHED
        else r
        for r in rows
    ]
    after = cross_calibrated(wild, [{name} for name in names])
    ill = [(a.logit, b.logit) for a, b in zip(before, after, strict=True) if a.patient == "p0"]
    same = [a == pytest.approx(b) for a, b in ill]
    assert sum(same) == len(LEVELS) * 4  # its lesions: read by what the others taught
    middle = np.mean([row.logit for row in before if row.kind == UNTOUCHED])
    assert middle < -1
    assert [r.level for r in before] == [r.level for r in rows]
