"""The script for a real Slicer, on the stand-ins: what it prints where there is no backend.

What it finds in a real Slicer only a real Slicer can say; here it must open the panel with and
without a main window, say why it skips, and end in a JSON without paths.
"""

from __future__ import annotations

import importlib
import json
import sys
from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any

import pytest
import slicer
from PySide6.QtWidgets import QVBoxLayout, QWidget
from standins import pythonqt, slicer_modules


@pytest.fixture
def script(core: Any, monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """The script, with the module's widget where Slicer keeps it."""
    module = importlib.import_module("HideSeek")
    holder = QWidget()
    QVBoxLayout(holder)
    widget = module.HideSeekWidget(pythonqt.wrap(holder))
    widget.setup()
    representation = SimpleNamespace(self=lambda: widget)
    slicer.modules.hideseek = SimpleNamespace(widgetRepresentation=lambda: representation)
    monkeypatch.setattr(sys, "argv", ["Slicer"])
    yield importlib.import_module("run_in_slicer")
    widget.cleanup()
    holder.close()


@pytest.mark.parametrize("window", [False, True])
def test_without_a_backend_the_steps_that_compute_say_why_they_are_skipped(
    script: Any, window: bool, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    if window:
        slicer_modules.window.append(object())
    monkeypatch.setattr(script, "backend_is_there", lambda: False)
    assert script.main() == 0
    printed = capsys.readouterr().out
    found = json.loads(printed.partition("For an issue:")[2])
    assert found["window"] is window and found["failed"] == {} and found["run"] >= 8
    assert "test_module" in printed and "test_module" not in found["skipped"]
    assert set(found["skipped"]) >= {"test_2_screen", "test_3_analyse", "test_7_export"}
    assert all("backend" in why for why in found["skipped"].values())
    assert str(slicer.app.slicerHome) not in json.dumps(found)


def test_a_failing_step_is_in_the_report(
    script: Any, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(script, "backend_is_there", lambda: False)
    monkeypatch.setattr(
        script.Panel, "test_module", lambda self: self.fail("the panel did not open")
    )
    assert script.main() == 1
    found = json.loads(capsys.readouterr().out.partition("For an issue:")[2])
    assert "did not open" in found["failed"]["test_module"]
