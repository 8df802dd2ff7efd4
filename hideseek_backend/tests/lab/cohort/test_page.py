"""The page's counts on cases whose numbers are known."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from hideseek_lab.cohort.page import State, cards, charts, outliers, write_page
from hideseek_lab.cohort.tables import Result


def _result(name: str, flagged: dict[str, float], seconds: float = 10.0, *warnings: str) -> Result:
    """A case of ten levels; those flagged have a lesion of so many mL."""
    levels = ["T5", "T6", "T7", "T8", "T9", "T10", "T11", "T12", "L1", "L2"]
    vertebrae: list[dict[str, Any]] = [
        {
            "vertebra": level,
            "p_malignant": 0.9 if level in flagged else 0.1,
            "phenotype": "lytic" if flagged.get(level) else None,
            "candidates": [],
        }
        for level in levels
    ]
    totals = {
        "vertebrae": 10, "flagged": len(flagged), "analysed": len(flagged), "kept_lytic": 0,
        "kept_blastic": 0, "lytic_volume_mm3": 1000 * sum(flagged.values()),
        "blastic_volume_mm3": 0.0,
    }  # fmt: skip
    report = {
        "options": {"p_threshold": 0.5, "slices": "all"},
        "totals": totals,
        "warnings": list(warnings),
        "vertebrae": vertebrae,
    }
    return Result(name, name, report, seconds)


def test_counts_by_level_finding_and_volume() -> None:
    results = [_result("a", {"T6": 2.0, "T9": 0.0}), _result("b", {"T6": 40.0}), _result("c", {})]
    levels, findings, volumes = (
        {bar.name: bar.count for bar in bars} for _, bars in charts(results)
    )
    # Every level that a case has, in its order; no T13, which none has.
    assert list(levels) == ["T5", "T6", "T7", "T8", "T9", "T10", "T11", "T12", "L1", "L2"]
    assert {level: n for level, n in levels.items() if n} == {"T6": 2, "T9": 1}
    assert findings == {"lytic": 2, "no lesion kept": 1}
    assert volumes["1–3"] == 1 and volumes["> 30"] == 1 and sum(volumes.values()) == 2
    assert [card.case for card in cards(results)] == ["b", "a"]


def test_cases_unlike_the_others_are_named_with_what_they_are() -> None:
    same = [_result(f"s{n}", {"T6": 1.0}, 10.0 + n % 3) for n in range(10)]
    odd = [
        _result("many", {f"T{n}": 1.0 for n in range(5, 12)}),
        _result("slow", {"T6": 1.0}, 90.0),
        _result("warned", {"T6": 1.0}, 10.0, "The gantry was tilted by 12.0 degrees."),
    ]
    found = dict(outliers([*same, *odd]))
    assert set(found) == {"many", "slow", "warned"}
    assert found["many"].startswith("70%") and found["slow"].startswith("90 s")
    assert "tilted" in found["warned"]
    assert outliers(same) == ()


def test_the_page_names_what_runs_and_what_failed(tmp_path: Path) -> None:
    state = State(10, 4, 1, (), 3600.0, 2, False, ("case-7", "<b>8</b>"))
    write_page(tmp_path, state)
    page = (tmp_path / "cohort.html").read_text(encoding="utf-8")
    assert "refresh" in page and "2 of them running" in page and "case-7" in page
    assert "&lt;b&gt;8" in page and "<b>8</b>" not in page
    assert state.rate == 4.0 and state.left == 5 and state.time_left == "1 h 15 min"
