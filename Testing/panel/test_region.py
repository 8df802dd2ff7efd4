"""Score region: a segment of any segmentation becomes a candidate of the reader."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
import slicer
import slicer.util
from harness import PanelBench, spin
from standins import slicer_modules

from HideSeekLib.case.segments import segment_id


@pytest.fixture(params=["scripted worker", "real worker"])
def bench(core: Any, request: pytest.FixtureRequest) -> Iterator[PanelBench]:
    made = PanelBench(real=request.param == "real worker")
    yield made
    made.close()


def drawn(bench: PanelBench, where: slice = slice(10, 14)) -> tuple[Any, np.ndarray]:
    """A segmentation of another tool with one segment within L1; its mask in k, j, i."""
    mask = np.zeros(slicer.util.arrayFromVolume(bench.ct).shape, np.uint8)
    # L1 is the lowest of the three boxes.
    mask[where, 24:30, 24:32] = 1
    node = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLSegmentationNode", "other tool")
    node.SetReferenceImageGeometryParameterFromVolumeNode(bench.ct)
    identifier = node.GetSegmentation().AddEmptySegment("", "nnU-Net 7")
    slicer.util.updateSegmentBinaryLabelmapFromArray(mask, node, identifier, bench.ct)
    return node, mask


def test_a_segment_of_another_tool_gets_its_delta(bench: PanelBench) -> None:
    bench.board.start_job("segment", ("L1",))
    bench.finish(300)
    bench.expand("regionGroup")
    assert not bench.ui.scoreRegionButton.enabled
    node, mask = drawn(bench)
    bench.ui.regionSelector.setCurrentNode(node)
    assert bench.ui.regionSegmentCombo.currentText == "nnU-Net 7"
    before = len(bench.panel.review.rows())
    bench.click("scoreRegionButton")
    assert not bench.ui.scoreRegionButton.enabled
    bench.finish(300)
    row = bench.panel.review.rows()[-1]
    assert len(bench.panel.review.rows()) == before + 1, bench.status()
    assert (row.source, row.vertebra, row.number) == ("reader", "L1", before + 1)
    assert np.isfinite(row.delta) and 0 <= row.p_hide <= 1
    assert f"region {row.number}: Δ {row.delta:.2f}" in bench.status()
    assert row.key in bench.panel.review.table.shown()
    table = bench.ui.candidatesTable
    assert any("✎" in table.item(n, 1).text() for n in range(table.rowCount))
    bench.panel.review.table.select(row.key)
    bench.click("acceptButton")
    found = slicer.util.arrayFromSegmentBinaryLabelmap(
        bench.board.case.lesions, segment_id("L1", row.polarity), bench.ct
    )
    assert (found[mask > 0] == 1).all()
    assert bench.ui.scoreRegionButton.enabled


def test_a_region_is_removed_by_its_button_and_comes_back(core: Any) -> None:
    bench = PanelBench()
    bench.board.start_job("segment", ("L1",))
    bench.finish()
    node, _mask = drawn(bench)
    bench.ui.regionSelector.setCurrentNode(node)
    bench.click("scoreRegionButton")
    bench.finish()
    ours, theirs = bench.panel.review.rows()[-1], bench.panel.review.rows()[0]
    table = bench.panel.review.table
    table.select(theirs.key)
    assert not bench.ui.removeRegionButton.enabled, "the model's are rejected"
    table.select(ours.key)
    bench.click("removeRegionButton")
    assert ours.key not in table.shown() and theirs.key in table.shown()
    bench.click("undoButton")
    assert ours.key in table.shown()
    bench.close()


def test_an_edit_by_hand_is_given_up_only_when_asked(core: Any) -> None:
    bench = PanelBench()
    bench.board.start_job("segment", ("L1",))
    bench.finish()
    case, row = bench.board.case, bench.panel.review.rows()[0]
    identifier = segment_id("L1", row.polarity)
    bench.panel.review.table.select(row.key)
    assert not bench.ui.restoreButton.enabled

    def shown() -> np.ndarray:
        return np.array(
            slicer.util.arrayFromSegmentBinaryLabelmap(case.lesions, identifier, bench.ct)
        )

    before = shown()
    _node, mask = drawn(bench)
    slicer.util.updateSegmentBinaryLabelmapFromArray(mask, case.lesions, identifier, bench.ct)
    bench.panel.review.refresh()
    bench.panel.review.table.select(row.key)
    slicer_modules.answers.append(False)
    bench.click("restoreButton")
    assert np.array_equal(shown(), mask)
    bench.click("restoreButton")
    assert np.array_equal(shown(), before) and "Restored" in bench.status()
    assert not bench.ui.restoreButton.enabled
    bench.close()


def test_a_region_in_no_vertebra_is_refused_with_a_sentence(core: Any) -> None:
    bench = PanelBench()
    bench.board.start_job("segment", ("L1",))
    bench.finish()
    node, _mask = drawn(bench, slice(0, 2))
    bench.ui.regionSelector.setCurrentNode(node)
    bench.click("scoreRegionButton")
    spin()
    assert "lies in no vertebra" in bench.status() and bench.ui.scoreRegionButton.enabled
    bench.close()


def test_drawing_makes_a_segment_and_its_choice(core: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    opened: list[str] = []
    monkeypatch.setattr(slicer.util, "selectModule", opened.append)
    bench = PanelBench()
    bench.board.start_job("segment", ("L1",))
    bench.finish()
    bench.click("drawRegionButton")
    node = bench.ui.regionSelector.currentNode()
    assert opened == ["SegmentEditor"] and node.GetSegmentation().GetNumberOfSegments() == 1
    bench.click("scoreRegionButton")
    spin()
    assert "empty" in bench.status()
    bench.close()
