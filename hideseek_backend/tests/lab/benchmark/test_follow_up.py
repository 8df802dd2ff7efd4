"""The follow-up's benchmark: its pairs are what they say, its sums are right."""

from __future__ import annotations

import json
import math
from pathlib import Path

import numpy as np
import pytest

from hideseek_backend.cli import main
from hideseek_backend.followup.limits import Limits
from hideseek_lab.benchmark.follow_up import (
    Link,
    PairScore,
    figures,
    fitted_limits,
    nth_pair,
    score_pair,
)

SEED = 2_229_000
LIMITS = Limits(0.03, 0.03, 2.6, 3.0)


def score(links: list[Link], kind: str = "changed", false: int = 0, missed: int = 0) -> PairScore:
    matched = sum(bool(link.fate) for link in links)
    return PairScore(1, kind, "same", 4, 4, 5, matched, false, missed, 1, 2, tuple(links),
                     (1.0, 2.0), 0.3)  # fmt: skip


def test_a_pair_is_what_it_says() -> None:
    pair = nth_pair(SEED, 1, images=False)
    assert pair.naming == "shifted" and pair.kind == "changed"
    again = nth_pair(SEED, 1, images=False)
    np.testing.assert_array_equal(pair.current.foci.data, again.current.foci.data)
    assert all(name != level for level, name in pair.current.names.items())
    for focus in pair.foci:
        for scan, volume in ((pair.earlier, focus.earlier_mm3), (pair.current, focus.current_mm3)):
            found = float((scan.foci.data == focus.number).sum()) * scan.foci.voxel_volume_mm3
            if focus.level in scan.names:
                assert found == pytest.approx(volume, rel=0.15, abs=40)
    level = next(iter(pair.current.names))
    turn = pair.current.frames[level].rotation @ pair.earlier.frames[level].rotation.T
    assert np.degrees(np.arccos((np.trace(turn) - 1) / 2)) < 15.5


def test_a_pair_is_scored_against_its_truth() -> None:
    found = score_pair(nth_pair(SEED, 0, images=False), LIMITS)
    assert (found.levels_right, found.false, found.missed) == (found.levels_shared, 0, 0)
    assert found.kind == "unchanged" and {e.fate for e in found.links} <= {"stable"}
    assert all(e.ratio == pytest.approx(1, abs=0.15) for e in found.links if e.earlier_mm3 > 500)


def test_figures_add_up() -> None:
    grown = Link(1, 1000.0, 2.0, 2.2, "grown")
    small = Link(2, 100.0, 2.0, 4.0, "stable")
    lost = Link(3, 900.0, 1.0, math.nan, "")
    still = [Link(1, 800.0, 1.0, 1.02, "stable"), Link(2, 800.0, 1.0, 1.5, "grown")]
    found = figures([score([grown, small, lost], false=1, missed=1), score(still, "unchanged")])
    assert found.f1 == pytest.approx(2 * 4 / (2 * 4 + 1 + 1))
    assert found.volume_error == pytest.approx(0.1)  # median of 0.1, 0.02 and 0.5
    assert (found.false_changes, found.unchanged_lesions) == (0.5, 2)
    assert (found.found_changes, found.changed_lesions) == (0.5, 2)
    assert found.levels_right == 0.8 and found.fates_right == 0.5


def test_limits_are_those_that_the_errors_were_drawn_with() -> None:
    rng = np.random.default_rng(0)
    links = []
    for size in np.exp(rng.uniform(np.log(100), np.log(8000), 2000)):
        sd = math.hypot(0.05, 0.04 * (size / 1000) ** (-1 / 3))
        links.append(Link(1, float(size), 1.0, float(np.exp(rng.normal(0, sd))), "stable"))
    fitted = fitted_limits([score(links)], "a test")
    for size in (200.0, 1000.0, 5000.0):
        wanted = math.hypot(0.05, 0.04 * (size / 1000) ** (-1 / 3))
        assert fitted.sd(size) == pytest.approx(wanted, rel=0.12)
    assert (fitted.thickness_mm, fitted.thickness_ratio) == (2.0, 2.0)


@pytest.mark.slow
def test_the_command_prints_goes_on_and_fits(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    line = ["benchmark", "follow-up", "--split", "validation", "--pairs", "2"]
    line += ["--out", str(tmp_path / "runs"), "--json", str(tmp_path / "f.json")]
    assert main(line) == 0
    first = capsys.readouterr().out
    assert "lesions matched, F1" in first
    assert main(line) == 0 and capsys.readouterr().out == first
    assert json.loads((tmp_path / "f.json").read_text(encoding="utf-8"))["pairs"] == 2
