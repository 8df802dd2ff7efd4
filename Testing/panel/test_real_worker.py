"""The panel with the real worker process and a tiny model whose pictures mean nothing."""

from __future__ import annotations

import os
import signal
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import slicer
from harness import LEVELS, ROOT, PanelBench, spin, wait

from HideSeekLib.case import report_message
from HideSeekLib.wire.codec import from_plain
from HideSeekLib.wire.records import VertebraMessage

sys.path.insert(0, str(ROOT / "hideseek_backend" / "tests"))
tiny_model = pytest.importorskip("tiny_model", reason="the backend's tests are not here")


@pytest.fixture(scope="session")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model folder with random weights that calls every vertebra malignant."""
    folder: Path = tiny_model.write_tiny_model(tmp_path_factory.mktemp("models é") / "tiny")
    return folder


@pytest.fixture
def bench(core: Any, tiny: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    monkeypatch.setenv("PYTHONPATH", str(ROOT / "hideseek_backend" / "src"))
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    made = PanelBench(real=True)
    made.ui.modelCombo.setEditText(str(tiny))
    made.ui.deviceCombo.setEditText("cpu")
    yield made
    made.close()


def test_screen_analyse_review_and_report(bench: PanelBench, tmp_path: Path) -> None:
    bench.click("screenButton")
    bench.finish(120)
    assert len(bench.panel.screening.probabilities()) == 3, bench.status()
    bench.analyse_all()
    bench.finish(120)
    assert "Done: T11, T12, L1" in bench.status()
    case = bench.board.case
    assert case.record.provenance["model"]["name"] == "tiny"
    assert all(case.nodes.healthy(level) is not None for level in LEVELS)
    assert case.record.model["hash"] and case.record.provenance["options"]
    rows = bench.panel.review.rows()
    if rows:
        bench.ui.candidatesTable.selectRow(0)
        bench.click("acceptButton")
        assert bench.ui.fadeSlider.enabled
        bench.ui.fadeSlider.value = 0.5
        bench.ui.differenceCheck.checked = True
        spin()
    # The report does not need the worker that computed: its results come from the scene.
    bench.board.restart_backend()
    bench.ui.exportFolder.currentPath = str(tmp_path)
    bench.expand("exportCollapsible")
    bench.click("exportButton")
    wait(lambda: not bench.panel.export.busy() and bench.idle(), 120)
    spin(0.1)
    assert "⚠" not in bench.ui.exportMessageLabel.text
    page = (tmp_path / "report.html").read_text(encoding="utf-8")
    assert "T12" in page and case.name in page and report_message.TITLE_MARK not in page


def test_the_bundled_model_screens_and_analyses(bench: PanelBench) -> None:
    bench.ui.modelCombo.setEditText("bundled")
    bench.click("screenButton")
    bench.finish(120)
    probabilities = bench.panel.screening.probabilities()
    assert len(probabilities) == 3, bench.status()
    assert all(0 <= p <= 1 for p in probabilities.values())
    bench.analyse_all()
    bench.finish(240)
    assert "Done: T11, T12, L1" in bench.status()
    assert bench.board.case.record.provenance["model"]["name"] == "bundled"


def test_evidence_in_the_report_is_what_the_worker_sent(bench: PanelBench) -> None:
    sent: dict[str, Any] = {}
    place = bench.board.analysis._place
    bench.board.analysis._place = lambda job, reply: (
        sent.update({reply["vertebra"]: reply}),
        place(job, reply),
    )
    bench.board.start_job("segment", ("T12",))
    bench.finish(120)
    case = bench.board.case
    evidence = report_message.evidence_message(case, case.record.replies["T12"])
    original = from_plain(VertebraMessage, sent["T12"]).evidence
    assert evidence is not None and original is not None
    assert (evidence.slices, evidence.unit) == (original.slices, original.unit)
    assert np.allclose(evidence.affine, original.affine, atol=1e-4)
    for name in ("healthy", "difference", "image"):
        assert np.allclose(getattr(evidence, name), getattr(original, name), atol=1e-2)
    mine, theirs = evidence.labels, original.labels
    if theirs.any():
        # A CT of 2 mm shows a crop of 0.8 mm in steps: edges differ, places do not.
        assert (mine == theirs).mean() > 0.93


def test_cancel_while_the_network_computes(bench: PanelBench) -> None:
    bench.board.parameters.protocol = type(bench.board.parameters.protocol).REFERENCE
    bench.analyse_all()
    wait(
        lambda: bench.board.analysis.job is not None and bench.board.analysis.job.stage,
        120,
    )
    bench.click("cancelButton")
    assert bench.finish(5) < 2.2
    assert bench.status().startswith("Cancelled")


def test_a_model_that_is_not_there(bench: PanelBench) -> None:
    bench.ui.modelCombo.setEditText("no-such-model")
    bench.analyse_all()
    bench.finish(120)
    assert "No model 'no-such-model'" in bench.status()


def test_pick_without_a_segmentation(bench: PanelBench) -> None:
    slicer.mrmlScene.RemoveNode(bench.vertebrae)
    spin()
    view = slicer.app.layoutManager().sliceWidget("Yellow")
    view.mrmlSliceNode().JumpSliceByCentering(0.0, -2.0, 2.0 * 53)
    bench.click("pickButton")
    view.click(128, 128)
    spin()
    assert "Choose the level" in bench.status()
    combo = bench.ui.pickLevelCombo
    combo._cpp.setCurrentIndex(combo.findText("T12"))
    combo._cpp.activated.emit(combo.currentIndex)
    view.click(128, 128)
    spin()
    assert "Looking for the body of T12" in bench.ui.pickHintLabel.text
    wait(lambda: bench.panel.pick.body is not None, 90)
    assert bench.ui.analyseBodyButton.visible
    node = bench.panel.pick.body.node
    bounds = np.zeros(6)
    node.GetRASBounds(bounds)
    assert 20 < bounds[1] - bounds[0] < 60 and 15 < bounds[5] - bounds[4] < 40
    bench.click("analyseBodyButton")
    bench.finish(120)
    assert "T12" in bench.board.case.record.replies, bench.status()


def test_a_pick_in_soft_tissue_is_told(bench: PanelBench) -> None:
    slicer.mrmlScene.RemoveNode(bench.vertebrae)
    spin()
    bench.click("pickButton")
    combo = bench.ui.pickLevelCombo
    combo._cpp.setCurrentIndex(combo.findText("T12"))
    combo._cpp.activated.emit(combo.currentIndex)
    bounds = np.zeros(6)
    bench.ct.GetRASBounds(bounds)
    view = slicer.app.layoutManager().sliceWidget("Yellow")
    # The front of the phantom is belly.
    view.mrmlSliceNode().JumpSliceByCentering(bounds[0] + 2, bounds[3] - 2, bounds[4] + 20)
    view.click(128, 128)
    wait(lambda: "Expected bone" in bench.status(), 90)
    assert bench.panel.pick.body is None
    assert "Looking for" not in bench.ui.pickHintLabel.text


def test_worker_killed_and_usable_again(bench: PanelBench) -> None:
    bench.board.start_job("segment", ("T11",))
    bench.finish(120)
    pid = bench.transports[-1].process_id()
    assert pid > 0, bench.status()
    os.kill(pid, signal.SIGKILL)
    wait(lambda: bench.panel.work.client.state == "stopped")
    bench.board.start_job("segment", ("L1",))
    bench.finish(120)
    assert {"T11", "L1"} <= set(bench.board.case.record.replies)
