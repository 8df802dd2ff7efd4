"""The panel's main path with a scripted worker behind a real QProcess."""

from __future__ import annotations

import json
from typing import Any

import pytest
import slicer
from harness import LEVELS, PanelBench, add_spine, spin, wait
from PySide6.QtCore import Qt
from PySide6.QtTest import QTest
from standins import pythonqt, slicer_modules


@pytest.fixture
def bench(core: Any) -> Any:
    made = PanelBench()
    yield made
    made.close()


def press(bench: PanelBench, key: Any, modifier: Any = Qt.KeyboardModifier.NoModifier) -> None:
    table = bench.ui.candidatesTable._cpp
    bench.panel.widget._cpp.activateWindow()
    table.setFocus()
    wait(table.hasFocus, 5)
    QTest.keyClick(table, key, modifier)
    spin(0.05)


def analysed(bench: PanelBench) -> PanelBench:
    bench.analyse_all()
    bench.finish()
    return bench


def decisions(bench: PanelBench) -> dict[str, str]:
    return dict(bench.board.case.review.decision_map())


def test_nothing_starts_by_itself(bench: PanelBench) -> None:
    spin(0.3)
    assert bench.panel.work.client.state == "stopped"
    assert all(t.process_id() == 0 for t in bench.transports)
    assert not slicer_modules.shown


def test_inputs_are_matched_and_can_be_relabelled(bench: PanelBench) -> None:
    bench.expand("levelsGroup")
    assert bench.board.levels() == LEVELS
    table = bench.ui.levelsTable
    assert table.rowCount == 3 and table.item(0, 1).text() == "T11"
    table.selectRow(0)
    combo = bench.ui.levelCombo
    combo._cpp.setCurrentIndex(combo.findText("T10"))
    combo._cpp.activated.emit(combo.currentIndex)
    spin()
    assert bench.board.levels() == ("T10", "T12", "L1")
    assert table.item(0, 2).text() == "you"
    bench.click("resetLevelsButton")
    spin()
    assert bench.board.levels() == LEVELS


def test_screening_fills_the_table_and_ticks_what_is_flagged(bench: PanelBench) -> None:
    bench.click("screenButton")
    bench.finish()
    table = bench.ui.screenTable
    assert [table.item(n, 1).text() for n in range(3)] == ["0.10", "0.90", "0.10"]
    assert bench.panel.screening.ticked() == ("T12",)
    assert bench.ui.analyseButton.text == "Analyse T12"
    plain, red = (table.item(n, 1).background().color() for n in (0, 1))
    assert red.red() - red.green() > plain.red() - plain.green() + 50


def test_analysis_fills_the_candidates(bench: PanelBench) -> None:
    analysed(bench)
    assert bench.ui.candidatesTable.rowCount == 3
    assert "Done: T11, T12, L1" in bench.status()
    assert bench.board.parameters.case is bench.board.case.node
    assert bench.ui.progressBar.visible is False
    names = {
        bench.board.case.lesions.GetSegmentation().GetNthSegment(n).GetName()
        for n in range(bench.board.case.lesions.GetSegmentation().GetNumberOfSegments())
    }
    assert {"T11 lytic", "T12 lytic", "L1 lytic"} <= names


def test_polarity_is_patient_wide_with_overrides(bench: PanelBench) -> None:
    bench.ui.polarityCombo.currentIndex = 1  # lytic
    combo = bench.panel.screening._combos["T12"]
    index = next(i for i in range(combo.count) if combo.itemData(i) == "blastic")
    combo._cpp.setCurrentIndex(index)
    combo._cpp.activated.emit(index)
    polarity = {level: bench.board.polarity_of(level) for level in LEVELS}
    assert polarity == {"T11": "lytic", "T12": "blastic", "L1": "lytic"}
    job = bench.board.start_job("segment", LEVELS)
    assert sorted(bench.board.analysis._make_batches(job)) == [
        ("blastic", ("T12",)),
        ("lytic", ("T11", "L1")),
    ]
    bench.finish()
    assert bench.ui.candidatesTable.rowCount == 3


def test_keys_decide_and_undo(bench: PanelBench) -> None:
    analysed(bench)
    bench.ui.candidatesTable.selectRow(0)
    press(bench, Qt.Key.Key_A)
    assert decisions(bench) == {"T11:1": "accept"}
    assert bench.panel.review.table.current() == "T12:1"  # went on by itself
    press(bench, Qt.Key.Key_X)
    assert decisions(bench) == {"T11:1": "accept", "T12:1": "reject"}
    press(bench, Qt.Key.Key_Z, Qt.KeyboardModifier.ControlModifier)
    assert decisions(bench) == {"T11:1": "accept"}
    press(
        bench, Qt.Key.Key_Z, Qt.KeyboardModifier.ControlModifier | Qt.KeyboardModifier.ShiftModifier
    )
    assert decisions(bench) == {"T11:1": "accept", "T12:1": "reject"}
    bench.ui.candidatesTable.selectRow(1)
    press(bench, Qt.Key.Key_U)
    assert decisions(bench) == {"T11:1": "accept"}
    press(bench, Qt.Key.Key_N)
    assert bench.panel.review.table.current() == "L1:1"
    press(bench, Qt.Key.Key_P)
    assert bench.panel.review.table.current() == "T12:1"


def test_typing_a_reason_does_not_decide(bench: PanelBench) -> None:
    analysed(bench)
    bench.ui.candidatesTable.selectRow(0)
    edit = bench.ui.reasonEdit._cpp
    bench.panel.widget._cpp.activateWindow()
    edit.setFocus()
    spin()
    QTest.keyClicks(edit, "axu fracture")
    assert decisions(bench) == {}
    QTest.keyClick(edit, Qt.Key.Key_Return)
    spin()
    assert bench.board.case.review.decision("T11:1").reason == "axu fracture"
    assert bench.ui.candidatesTable.item(0, 7).text() == "axu fracture"


def test_bulk_decisions_are_one_step(bench: PanelBench) -> None:
    analysed(bench)
    bench.click("selectShownButton")
    bench.click("rejectButton")
    assert set(decisions(bench).values()) == {"reject"} and len(decisions(bench)) == 3
    assert "3 rejected" in bench.ui.countsLabel.text
    bench.click("undoButton")
    assert decisions(bench) == {}


def test_threshold_applies_while_dragged_and_is_one_step(bench: PanelBench) -> None:
    analysed(bench)
    for value in (0.6, 0.7, 0.9):
        bench.ui.thresholdSlider.value = value
        spin(0.06)
    assert not any(row.kept for row in bench.panel.review.rows())
    spin(0.6)
    bench.click("undoButton")
    spin()
    assert bench.board.case.review.threshold == pytest.approx(0.5)
    assert bench.ui.thresholdSlider.value == pytest.approx(0.5)
    assert not bench.ui.undoButton.enabled


def test_filters_hide_and_show(bench: PanelBench) -> None:
    analysed(bench)
    bench.expand("filtersGroup")
    combo = bench.ui.filterVertebraCombo
    combo._cpp.setCurrentIndex(combo.findText("T12"))
    combo._cpp.activated.emit(combo.currentIndex)
    assert bench.panel.review.table.shown() == ["T12:1"]
    bench.click("filterResetButton")
    assert len(bench.panel.review.table.shown()) == 3
    bench.ui.filterDeltaRange.setValues(0.0, 0.5)
    assert bench.panel.review.table.shown() == []
    bench.ui.filterDeltaRange.setValues(0.5, 1.0)
    bench.ui.filterVolumeSpin.value = 13
    assert bench.panel.review.table.shown() == []
    bench.click("filterResetButton")
    assert len(bench.panel.review.table.shown()) == 3


def test_sorting_by_a_column(bench: PanelBench) -> None:
    analysed(bench)
    header = bench.ui.candidatesTable.horizontalHeader()._cpp
    header.sectionClicked.emit(1)
    assert bench.panel.review.table.shown() == ["L1:1", "T12:1", "T11:1"]
    header.sectionClicked.emit(1)
    assert bench.panel.review.table.shown() == ["T11:1", "T12:1", "L1:1"]


def test_a_reviewed_result_is_not_overwritten(bench: PanelBench) -> None:
    analysed(bench)
    first = bench.board.case
    bench.click("selectShownButton")
    bench.click("acceptButton")
    analysed(bench)
    assert bench.board.case is not first
    assert set(first.review.decision_map().values()) == {"accept"}
    assert bench.ui.caseCombo.visible and bench.ui.caseCombo.count == 2


def test_two_analyses_queue_up(bench: PanelBench) -> None:
    bench.board.start_job("segment", ("T11",))
    bench.board.start_job("segment", ("L1",))
    assert bench.board.analysis.waiting() >= 1
    bench.finish()
    assert sorted(bench.panel.review.table.shown()) == ["L1:1", "T11:1"]


def test_pick_by_a_click_in_a_slice_view(bench: PanelBench) -> None:
    view = slicer.app.layoutManager().sliceWidget("Yellow")
    centre = bench.vertebrae.GetSegmentCenterRAS(bench.board.matches[1].segment_id)
    view.mrmlSliceNode().JumpSliceByCentering(*centre)
    bench.click("pickButton")
    assert bench.panel.pick.active()
    # The default one: hovering a markup puts the view's own cursor back to it.
    assert view.sliceView().default_cursor.shape() == Qt.CursorShape.CrossCursor
    view.click(128, 128)
    bench.finish()
    assert bench.panel.review.table.shown() == ["T12:1"]
    view.click(1, 1)
    spin()
    assert "No vertebra" in bench.status()
    bench.panel.pick.stop()
    assert view.sliceView().default_cursor.shape() == Qt.CursorShape.ArrowCursor
    view.click(128, 128)
    spin()
    assert bench.idle()


def test_selecting_a_row_jumps_the_views(bench: PanelBench) -> None:
    analysed(bench)
    bench.ui.candidatesTable.selectRow(2)
    spin()
    row = bench.panel.review.rows()[2]
    for view in slicer.app.layoutManager().views.values():
        offset = view.mrmlSliceNode().GetSliceToRAS()
        place = [offset.GetElement(n, 3) for n in range(3)]
        normal = [offset.GetElement(n, 2) for n in range(3)]
        away = sum(n * (p - c) for n, p, c in zip(normal, place, row.centroid_ras, strict=True))
        assert abs(away) < 2.1


def test_export_writes_files(bench: PanelBench, tmp_path: Any) -> None:
    analysed(bench)
    folder = tmp_path / "Ausfuhr für Ärzte"
    bench.ui.exportFolder.currentPath = str(folder)
    bench.click("exportButton")
    wait(lambda: not bench.panel.export.busy() and bench.idle())
    spin(0.1)
    names = {path.name for path in folder.iterdir()}
    assert any(n.endswith(".seg.nrrd") for n in names), bench.ui.exportMessageLabel.text
    assert any(n.endswith(".nii.gz") for n in names) and any(n.endswith(".csv") for n in names)
    assert "report.html" in names
    assert "⚠" not in bench.ui.exportMessageLabel.text


def test_settings_stay_on_this_computer(bench: PanelBench) -> None:
    bench.ui.prefixEdit._cpp.setText("ssh host")
    bench.ui.prefixEdit._cpp.editingFinished.emit()
    stored = json.loads(slicer.app.userSettings().value("HideSeek/Backend"))
    assert stored["prefix"] == "ssh host"
    text = bench.board.parameters.parameterNode.GetParameterNamesAsCommaSeparatedList()
    assert "prefix" not in text and "python" not in text.lower()


def test_the_window_is_never_blocked_for_long(core: Any) -> None:
    """No slot takes longer than 100 ms on a spine of 18 levels."""
    names = tuple(f"T{n}" for n in range(1, 13)) + tuple(f"L{n}" for n in range(1, 6)) + ("C7",)
    bench = PanelBench()
    ct, segmentation = add_spine(names, "long")
    bench.ui.ctSelector.setCurrentNode(ct)
    bench.ui.vertebraeSelector.setCurrentNode(segmentation)
    spin(0.2)
    pythonqt.slot_seconds.clear()
    bench.click("screenButton")
    bench.finish(30)
    bench.analyse_all()
    bench.finish(60)
    assert bench.ui.candidatesTable.rowCount == 18
    slow = sorted(pythonqt.slot_seconds, reverse=True)[:5]
    bench.close()
    assert slow[0][0] < 0.1, slow


def test_threshold_with_200_candidates_is_quick(core: Any) -> None:
    """Applying Δ to segments, tables and panel takes under 100 ms with 210 candidates."""
    bench = PanelBench("crowd")
    analysed(bench)
    assert bench.ui.candidatesTable.rowCount == 210
    times = []
    for value in (0.3, 0.6, 0.4, 0.7):
        pythonqt.slot_seconds.clear()
        bench.ui.thresholdSlider.value = value
        spin(0.8)
        times.append(max(took for took, _, _ in pythonqt.slot_seconds))
    bench.close()
    assert min(times) < 0.1, times
