"""The worklist: one case after the other, findings kept, nothing of the tool when blinded."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import slicer
import slicer.util
from harness import PanelBench, add_spine, spin

from hideseek_lab.readers.plan import make_plan
from HideSeekLib.wire import worklist


@pytest.fixture
def cases(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Two cases on disk; Slicer's file readers are stood in for by a spine in the scene."""
    root = tmp_path / "cases"
    for name in ("one", "two"):
        (root / name).mkdir(parents=True)
        (root / name / "ct.nii.gz").write_bytes(b"")
        (root / name / "vertebrae.seg.nrrd").write_bytes(b"")
    made: list[Any] = []

    def load_volume(path: str, properties: dict[str, str]) -> Any:
        made[:] = add_spine(title=properties["name"])
        return made[0]

    monkeypatch.setattr(slicer.util, "loadVolume", load_volume)
    monkeypatch.setattr(slicer.util, "loadSegmentation", lambda path: made[1])

    def save(path: str) -> bool:
        Path(path).write_bytes(b"scene")
        return True

    monkeypatch.setattr(slicer.util, "saveScene", save)
    return root


def opened(cases: Path, reader: str) -> PanelBench:
    bench = PanelBench()
    slicer.mrmlScene.Clear(0)
    spin()
    bench.expand("worklistCollapsible")
    bench.ui.worklistFolder.currentPath = str(cases)
    bench.ui.worklistReaderEdit.text = reader
    bench.panel.worklist.refresh()
    return bench


def states(bench: PanelBench) -> list[str]:
    table = bench.ui.worklistTable
    return [table.item(row, 2).text() for row in range(table.rowCount)]


def test_cases_one_after_the_other(core: Any, cases: Path) -> None:
    bench = opened(cases, "AB")
    assert states(bench) == ["new", "new"] and "0 of 2" in bench.ui.worklistLabel.text
    bench.click("nextCaseButton")
    spin()
    assert bench.board.parameters.ct.GetName() == "one", bench.status()
    table = bench.ui.findingsTable
    assert [table.item(r, 0).text() for r in range(table.rowCount)] == ["T11", "T12", "L1"]
    bench.analyse_all()
    bench.finish()
    bench.board.case.decide(["T12:1"], "accept")
    bench.board.review_changed.emit()
    assert table.item(1, 1).text() == "lytic"  # what is accepted fills it in
    table._cpp.cellClicked.emit(2, 1)
    assert table.item(2, 1).text() == "lytic"
    bench.click("doneCaseButton")
    spin()
    reading = worklist.stored_reading(cases, "AB", "one", "with")
    assert reading is not None and reading.done and reading.seconds > 0
    assert dict(reading.labels) == {"T11": "healthy", "T12": "lytic", "L1": "lytic"}
    assert dict(reading.decisions) == {"T12:1": "accept"} and dict(reading.volumes) == {"T12": 12.0}
    assert (cases / "reads" / "AB" / "one.with.mrb").is_file()
    assert states(bench) == ["done", "new"]
    bench.click("nextCaseButton")
    spin()
    assert bench.board.parameters.ct.GetName() == "two"
    bench.click("nextCaseButton")  # nothing else is left: the same one, kept
    spin()
    assert states(bench) == ["done", "in review"]
    bench.close()


def test_without_the_tool_nothing_of_it_is_shown(core: Any, cases: Path) -> None:
    plan = make_plan(["one", "two"], ["AB"], 3)
    plan["readers"]["AB"] = [
        ["one", "without"],
        ["two", "with"],
        ["two", "without"],
        ["one", "with"],
    ]
    (cases / worklist.PLAN).write_text(json.dumps(plan), encoding="utf-8")
    bench = opened(cases, "AB")
    bench.click("nextCaseButton")
    spin()
    assert "without the tool" in bench.status()
    assert not bench.ui.reviewCollapsible.enabled and not bench.ui.analysisCollapsible.enabled
    bench.click("doneCaseButton")
    spin()
    bench.click("nextCaseButton")
    spin()
    assert bench.ui.reviewCollapsible.enabled and bench.ui.analysisCollapsible.enabled
    reading = worklist.stored_reading(cases, "AB", "one", "without")
    assert (
        reading is not None
        and reading.seed == 3
        and set(dict(reading.labels).values()) == {"healthy"}
    )
    bench.close()


def test_strangers_and_open_scenes_are_told(core: Any, cases: Path) -> None:
    plan = make_plan(["one", "two"], ["AB"], 3)
    (cases / worklist.PLAN).write_text(json.dumps(plan), encoding="utf-8")
    bench = opened(cases, "XY")
    assert "reader of the plan" in bench.ui.worklistLabel.text
    assert not bench.ui.nextCaseButton.enabled
    bench.ui.worklistReaderEdit.text = "AB"
    bench.panel.worklist.refresh()
    add_spine(title="somebody's")
    bench.click("nextCaseButton")
    assert "close the scene first" in bench.status()
    bench.close()
