"""The module file: conventions, setup, reload and cleanup, with the stand-ins."""

from __future__ import annotations

import ast
import importlib
import importlib.util
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import slicer
from harness import ROOT, add_spine, spin
from PySide6.QtWidgets import QLabel, QVBoxLayout, QWidget
from standins import pythonqt, slicer_modules

MODULE = ROOT / "HideSeek" / "HideSeek.py"


@pytest.fixture
def module(core: Any) -> Any:
    """Import the module file anew and give the library its modules back afterwards."""
    kept = {n: m for n, m in sys.modules.items() if n.split(".")[0] == "HideSeekLib"}
    sys.modules.pop("HideSeek", None)
    yield importlib.import_module("HideSeek")
    for name in [n for n in sys.modules if n.split(".")[0] == "HideSeekLib"]:
        del sys.modules[name]
    sys.modules.update(kept)


def holder() -> Any:
    widget = QWidget()
    QVBoxLayout(widget)
    return pythonqt.wrap(widget)


def test_module_information(module: Any) -> None:
    parent = SimpleNamespace(path=str(MODULE))
    module.HideSeek(parent)
    assert parent.categories == ["Segmentation"] and parent.title == "HideSeek"
    assert "Not cleared for diagnosis" in parent.helpText and parent.acknowledgementText
    signal, register = slicer.app.startup[-1]
    assert signal == "startupCompleted()" and register is module.registerData


def test_file_scope_imports_are_only_what_slicer_has() -> None:
    allowed = {"importlib", "sys", "pathlib", "slicer", "vtk", "numpy"}
    for node in ast.parse(MODULE.read_text(encoding="utf-8")).body:
        if isinstance(node, ast.Import):
            assert {a.name.split(".")[0] for a in node.names} <= allowed
        elif isinstance(node, ast.ImportFrom):
            assert (node.module or "").split(".")[0] in allowed


def test_a_source_tree_uses_its_own_library(
    module: Any, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """With the extension installed its library is on the path as well, and perhaps before ours."""
    installed = tmp_path / "qt-scripted-modules"
    (installed / "HideSeekLib").mkdir(parents=True)
    (installed / "HideSeekLib" / "__init__.py").write_text("")
    for path in ([str(installed), *sys.path], [str(installed), str(ROOT), *sys.path]):
        monkeypatch.setattr(sys, "path", path)
        sys.modules.pop("HideSeek", None)
        monkeypatch.syspath_prepend(str(ROOT / "HideSeek"))
        sys.path.insert(0, str(installed))
        importlib.import_module("HideSeek")
        assert sys.path[0] == str(ROOT) and sys.path.count(str(ROOT)) == 1
        found = importlib.util.find_spec("HideSeekLib")
        assert found is not None and found.origin == str(ROOT / "HideSeekLib" / "__init__.py")


def test_setup_reload_and_cleanup(module: Any) -> None:
    widget = module.HideSeekWidget(holder())
    widget.setup()
    ct, segmentation = add_spine()
    widget.panel.ui.ctSelector.setCurrentNode(ct)
    widget.panel.ui.vertebraeSelector.setCurrentNode(segmentation)
    spin()
    assert widget.logic.getParameterNode().ct is ct
    first = widget.panel
    widget.exit()
    widget.onReload()
    assert (
        "reload HideSeek" in slicer_modules.shown
        and widget.panel is None
        and first.work.client.state == "stopped"
    )
    assert not any(name.startswith("HideSeekLib") for name in sys.modules)
    again = module.HideSeekWidget(holder())
    again.setup()
    spin()
    assert type(again.panel) is not type(first)  # the library was read anew
    assert again.panel.board.parameters.ct is ct and again.panel.board.levels() == (
        "T11",
        "T12",
        "L1",
    )
    again.cleanup()
    again.cleanup()  # Slicer may ask twice
    slicer.mrmlScene.Clear(False)
    spin()


def test_the_modules_own_tests_name_what_exists(module: Any) -> None:
    tests = module.HideSeekTest()
    assert all(callable(getattr(tests, n)) for n in dir(tests) if n.startswith("test_"))
    tests.test_parameters()


def test_an_older_slicer_is_told_so(module: Any) -> None:
    slicer.app.minorVersion = 8
    parent = holder()
    widget = module.HideSeekWidget(parent)
    widget.setup()
    label = parent._cpp.findChild(QLabel)
    assert "needs Slicer 5.10 or newer; this is 5.8" in label.text() and widget.panel is None
    widget.exit()
    widget.enter()
    widget.cleanup()
