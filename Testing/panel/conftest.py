"""Fixtures: a real scene, the stand-ins around it, and one QApplication offscreen."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

os.environ.setdefault("QT_QPA_PLATFORM", "offscreen")
os.environ.setdefault("OMP_NUM_THREADS", "1")
ROOT = Path(__file__).resolve().parents[2]
for folder in (ROOT, ROOT / "Testing", ROOT / "HideSeek", ROOT / "hideseek_backend" / "src"):
    if str(folder) not in sys.path:
        sys.path.insert(0, str(folder))

import pytest
from PySide6.QtWidgets import QApplication
from slicer_core_app import CoreApp
from standins import pythonqt, slicer_modules

slicer_modules.install_modules()  # test files import panel modules while they are collected


@pytest.fixture(scope="session")
def qapp() -> QApplication:
    """Return the one application object Qt allows."""
    application = QApplication.instance() or QApplication([])
    application.setStyle("Fusion")
    return application


@pytest.fixture
def core(qapp: QApplication, tmp_path: Path) -> Iterator[Any]:
    """Give a fresh scene with the stand-ins installed; no exception may have escaped a slot."""
    app = CoreApp()
    pythonqt.escaped.clear()
    pythonqt.slot_seconds.clear()
    slicer_modules.shown.clear()
    slicer_modules.answers.clear()
    app.application = slicer_modules.install(app, str(tmp_path / "settings.ini"))
    yield app
    app.close()
    assert not pythonqt.escaped, "\n".join(pythonqt.escaped)


@pytest.fixture
def make(core: Any) -> Iterator[Any]:
    """Give a maker of panels by their worker's behaviour; limits are seconds of the client's."""
    from harness import PanelBench

    from HideSeekLib.worker.request import Limits

    made: list[PanelBench] = []

    def build(behaviour: str, **limits: float) -> PanelBench:
        bench = PanelBench(behaviour)
        bench.panel.work.client.limits = Limits(**limits)
        made.append(bench)
        return bench

    yield build
    for bench in made:
        bench.close()
