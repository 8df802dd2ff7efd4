"""What panel tests share: a small spine in the scene, a panel on it, and a patient event loop."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import slicer
import slicer.util
from PySide6.QtCore import QCoreApplication, QEvent, QEventLoop

ROOT = Path(__file__).resolve().parents[2]
UI = ROOT / "HideSeek" / "Resources" / "UI" / "HideSeek.ui"
FAKE = Path(__file__).with_name("fake_worker.py")
LEVELS = ("T11", "T12", "L1")


def spin(seconds: float = 0.05) -> None:
    """Run the event loop for a while."""
    end = time.monotonic() + seconds
    while True:
        QCoreApplication.processEvents(QEventLoop.ProcessEventsFlag.AllEvents, 20)
        QCoreApplication.sendPostedEvents(None, QEvent.Type.DeferredDelete)
        if time.monotonic() >= end:
            return
        time.sleep(0.002)


def wait(condition: Callable[[], Any], seconds: float = 60.0) -> float:
    """Run the event loop until `condition` holds; returns the seconds it took."""
    start = time.monotonic()
    while not condition():
        if time.monotonic() - start > seconds:
            raise AssertionError(f"still waiting after {seconds} s")
        spin(0.01)
    return time.monotonic() - start


def runs(pid: int) -> bool:
    """Return whether a process is alive (Linux); one that only waits to be reaped is not."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_text(errors="replace")
    except OSError:
        return False
    return stat.rpartition(")")[2].split()[0] != "Z"


def add_spine(names: tuple[str, ...] = LEVELS, title: str = "CT") -> tuple[Any, Any]:
    """Add a CT of 2 mm with one box a vertebra, and its segmentation; returns both nodes."""
    size = 34 * len(names)
    hu = np.full((size, 56, 56), 40, np.int16)  # k, j, i as Slicer's arrays are
    hu[:, :8], hu[:, 42:] = -100, -100  # fat, as every CT has
    ct = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLScalarVolumeNode", title)
    segmentation = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLSegmentationNode", f"{title} seg")
    masks = []
    for n in range(len(names)):
        mask = np.zeros_like(hu)
        top = size - 34 * n - 8
        mask[top - 14 : top, 20:34, 18:38] = 1  # the body
        mask[top - 10 : top - 4, 12:20, 25:31] = 1  # something behind it
        hu[mask > 0] = 250
        masks.append(mask)
    slicer.util.updateVolumeFromArray(ct, hu)
    ct.SetSpacing(2.0, 2.0, 2.0)
    ct.SetOrigin(-56.0, -56.0, 0.0)
    segmentation.SetReferenceImageGeometryParameterFromVolumeNode(ct)
    for name, mask in zip(names, masks, strict=True):
        segment_id = segmentation.GetSegmentation().AddEmptySegment("", name)
        slicer.util.updateSegmentBinaryLabelmapFromArray(mask, segmentation, segment_id, ct)
    return ct, segmentation


def parameter_node() -> Any:
    """Return the scene's parameter node, as HideSeekLogic does."""
    from slicer.ScriptedLoadableModule import ScriptedLoadableModuleLogic

    class HideSeekLogic(ScriptedLoadableModuleLogic):
        pass

    return HideSeekLogic().getParameterNode()


class PanelBench:
    """A panel whose worker is `fake_worker.py` with the given behaviour, or the real one."""

    def __init__(self, behaviour: str = "good", real: bool = False) -> None:
        from HideSeekLib.panel.panel import HideSeekPanel
        from HideSeekLib.worker.process import QProcessTransport
        from HideSeekLib.worker.settings import BackendSettings

        self.behaviour = behaviour
        self.transports: list[Any] = []

        def transport(settings: Any) -> Any:
            words = None if real else ["-u", str(FAKE), self.behaviour]
            made = QProcessTransport(BackendSettings(python=sys.executable), words)
            self.transports.append(made)
            return made

        self.ct, self.vertebrae = add_spine()
        self.panel = HideSeekPanel(str(UI), parameter_node, transport)
        self.ui = self.panel.ui
        self.board = self.panel.board
        self.panel.widget._cpp.resize(460, 1500)
        self.panel.widget._cpp.show()
        self.panel.enter()
        self.ui.ctSelector.setCurrentNode(self.ct)
        self.ui.vertebraeSelector.setCurrentNode(self.vertebrae)
        spin()

    def click(self, name: str) -> None:
        """Press a button that is there to be pressed."""
        button = getattr(self.ui, name)
        assert button.enabled, f"{name} is disabled"
        button.click()

    def expand(self, *names: str) -> None:
        """Open collapsed sections."""
        for name in names:
            getattr(self.ui, name).collapsed = False
        spin(0.02)

    def idle(self) -> bool:
        """Return whether nothing runs."""
        return not self.panel.board.analysis.busy() and not self.panel.work.client.busy()

    def finish(self, seconds: float = 60.0) -> float:
        """Wait until nothing runs; returns the seconds."""
        taken = wait(self.idle, seconds)
        spin(0.1)
        return taken

    def analyse_all(self) -> None:
        """Tick every level and start."""
        self.click("selectAllButton")
        self.click("analyseButton")

    def status(self) -> str:
        """Return the line under the progress bar."""
        return str(self.ui.statusLabel.text)

    def close(self) -> None:
        """Close the panel as Slicer does."""
        self.panel.close()
        self.panel.widget._cpp.close()
        spin()


def usable(bench: PanelBench) -> None:
    """Insist that the panel still analyses, on another CT and with a worker that behaves."""
    bench.behaviour = "good"
    bench.board.restart_backend()
    spin(0.02)
    ct, segmentation = add_spine(("L2",), title="later")
    bench.ui.ctSelector.setCurrentNode(ct)
    bench.ui.vertebraeSelector.setCurrentNode(segmentation)
    spin()
    bench.analyse_all()
    bench.finish()
    assert "Done" in bench.status(), bench.status()
    assert bench.panel.review.table.shown() == ["L2:1"]
