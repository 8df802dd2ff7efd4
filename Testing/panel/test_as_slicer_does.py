"""What the real application does otherwise than a kind stand-in would: see `standins`."""

from __future__ import annotations

import ast
import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import slicer
import slicer.util
from harness import ROOT, UI, PanelBench, add_spine, parameter_node, spin, wait
from PySide6.QtCore import Qt
from PySide6.QtGui import QShortcut
from standins import packaging, pythonqt, slicer_modules

from HideSeekLib.panel import candidates, environment_page, tables
from HideSeekLib.panel.panel import HideSeekPanel
from HideSeekLib.panel.settings_section import TYPING_MS
from HideSeekLib.setup import environment, sample_data
from HideSeekLib.wire.words import DEVICES
from HideSeekLib.worker import process as worker_process
from HideSeekLib.worker.python_runner import PythonRunner
from HideSeekLib.worker.settings import BackendSettings


@pytest.fixture
def bench(core: Any) -> Iterator[PanelBench]:
    made = PanelBench()
    yield made
    made.close()


def rest() -> None:
    """Wait until typing has come to rest."""
    spin(TYPING_MS / 1000 + 0.2)


def test_observed_dicts_take_no_default(bench: PanelBench) -> None:
    found = bench.board.parameters.polarityByLevel
    with pytest.raises(TypeError):
        found.get("T12", "")
    assert bench.board.polarity_of("T12") == "auto"


def test_a_module_opened_on_loaded_data_chooses_them(core: Any) -> None:
    ct, segmentation = add_spine()
    slicer.mrmlScene.AddNewNodeByClass("vtkMRMLLabelMapVolumeNode", "labels")
    panel = HideSeekPanel(str(UI), parameter_node, lambda settings: None)
    spin()
    assert panel.board.parameters.ct is ct and panel.board.parameters.vertebrae is segmentation
    assert panel.ui.ctSelector.currentNode() is ct
    assert panel.ui.analyseButton.enabled is False and panel.ui.screenButton.enabled
    panel.close()


def test_selectors_offer_neither_label_maps_nor_our_own(bench: PanelBench) -> None:
    slicer.mrmlScene.AddNewNodeByClass("vtkMRMLLabelMapVolumeNode", "labels")
    bench.analyse_all()
    bench.finish()
    bench.board.match_inputs()
    combo = bench.ui.ctSelector._cpp._combo
    offered = [combo.itemText(n) for n in range(combo.count())]
    assert offered == ["CT"]
    combo = bench.ui.vertebraeSelector._cpp._combo
    assert [combo.itemText(n) for n in range(combo.count())] == ["None", "CT seg"]


def test_typing_a_path_acts_once_and_clearing_it_counts(bench: PanelBench) -> None:
    client = bench.panel.work.client
    for end in range(1, len(sys.executable) + 1):
        bench.ui.pythonPath.currentPath = sys.executable[:end]
    assert bench.panel.work.client is client and bench.board.settings.python == ""
    rest()
    assert bench.board.settings.python == sys.executable and bench.panel.work.client is not client
    bench.ui.pythonPath.currentPath = ""
    rest()
    assert bench.board.settings.python == ""


def test_another_python_asks_before_it_ends_a_run(make: Any) -> None:
    bench = make("slow")
    bench.analyse_all()
    wait(lambda: bench.panel.work.client.state == "busy")
    slicer_modules.answers.append(False)
    bench.ui.pythonPath.currentPath = "/other/python"
    rest()
    assert bench.board.analysis.busy() and bench.board.settings.python == ""
    assert bench.ui.pythonPath.currentPath == ""
    assert any("ends the running analysis" in text for text in slicer_modules.shown)


def test_an_empty_folder_is_no_place_for_patient_files(
    bench: PanelBench, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    bench.analyse_all()
    bench.finish()
    bench.ui.exportFolder.currentPath = str(tmp_path / "out")
    assert bench.ui.exportButton.enabled
    bench.ui.exportFolder.currentPath = ""
    assert not bench.ui.exportButton.enabled
    bench.panel.export.start()
    spin(0.2)
    assert not [p for p in tmp_path.iterdir() if p.name not in ("settings.ini", "bin")]


AMBIGUOUS = """
import sys
from PySide6.QtCore import Qt
from PySide6.QtGui import QKeySequence, QShortcut
from PySide6.QtTest import QTest
from PySide6.QtWidgets import QApplication, QWidget
app, window, ran = QApplication([]), QWidget(), []
window.show()
QTest.qWaitForWindowActive(window)
modifiers = Qt.KeyboardModifier.ControlModifier | Qt.KeyboardModifier.ShiftModifier
kept = []
for name in ("toolbar", "panel"):
    kept.append(QShortcut(QKeySequence(sys.argv[1]), window))
    kept[-1].activated.connect(lambda name=name: ran.append(name))
    QTest.keyClick(window, Qt.Key.Key_A, modifiers)
print(*ran)
"""


def test_no_shortcut_is_the_markups_toolbars(bench: PanelBench) -> None:
    window = bench.panel.widget._cpp
    keys = [shortcut.key().toString() for shortcut in window.findChildren(QShortcut)]
    assert len(keys) == len(set(keys)) and slicer_modules.TAKEN_SHORTCUT not in keys


def test_two_shortcuts_of_one_key_run_neither() -> None:
    """Why: with one it runs, with two Qt runs neither. In a process of its own, for Qt keeps what
    was pressed."""
    words = [sys.executable, "-c", AMBIGUOUS, slicer_modules.TAKEN_SHORTCUT]
    done = subprocess.run(words, capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["toolbar"]


def test_a_scene_of_a_later_version_opens(bench: PanelBench) -> None:
    node = parameter_node()
    node.SetParameter("polarity", "CARTILAGINOUS")
    bench.panel._scene_closed()
    assert bench.board.parameters.polarity.value == "auto"
    assert bench.ui.ctSelector.currentNode() is bench.ct
    bench.ui.ctSelector.setCurrentNode(None)
    spin()
    assert bench.board.parameters.ct is None  # the widgets are joined to the node


def test_a_new_layout_picks_as_well(bench: PanelBench) -> None:
    bench.click("pickButton")
    slicer.app.layoutManager().change(Red="Axial", Other="Sagittal")
    view = slicer.app.layoutManager().sliceWidget("Other")
    seen: list[Any] = []
    bench.panel.pick.clicked = seen.append
    view.click(128, 128)
    assert len(seen) == 1 and len(seen[0]) == 3


def test_placing_a_markup_ends_pick_mode(bench: PanelBench) -> None:
    node = slicer.mrmlScene.GetNodeByID("vtkMRMLInteractionNodeSingleton")
    if node is None:
        node = slicer.vtkMRMLInteractionNode()
        node.SetSingletonTag("Singleton")
        node = slicer.mrmlScene.AddNode(node)
    bench.click("pickButton")
    assert bench.panel.pick.active()
    node.SetCurrentInteractionMode(node.Place)
    assert not bench.panel.pick.active()


def test_leaving_the_module_stops_what_moves_views(bench: PanelBench) -> None:
    bench.analyse_all()
    bench.finish()
    bench.panel.review.table.select(bench.panel.review.table.shown()[0])
    bench.ui.flickerButton.checked = True
    bench.click("pickButton")
    bench.panel.leave()
    assert not bench.ui.flickerButton.checked and not bench.panel.pick.active()
    assert not bench.panel.work.following()
    bench.panel.enter()
    assert bench.panel.work.following()


def test_the_record_is_hidden_and_what_is_ours_is_marked(bench: PanelBench) -> None:
    bench.analyse_all()
    bench.finish()
    hub = bench.board.case.node
    record = hub.GetNodeReference("record")
    assert record.GetHideFromEditors() and not hub.GetHideFromEditors()
    assert bench.board.case.lesions.GetAttribute("HideSeek.Role") == "lesions"


def test_slicers_python_is_never_the_application(
    core: Any, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    slicer.app.slicerHome = str(tmp_path / "nowhere")
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(ValueError, match="PythonSlicer"):
        worker_process.slicer_python()


def test_pip_that_raises_leaves_the_page_usable(bench: PanelBench) -> None:
    packaging.behaviour = "raises"
    page = bench.panel.environment
    page.installer.pip([["something"]], True, page._installed)
    wait(lambda: bench.ui.checkEnvironmentButton.enabled, 60)
    assert "already in progress" in bench.ui.logText.plainText


@pytest.mark.parametrize("behaviour", ["silent", "works"])
def test_pip_that_never_calls_back_and_pip_that_does(bench: PanelBench, behaviour: str) -> None:
    packaging.behaviour = behaviour
    slicer.app.testing = behaviour == "silent"  # then Slicer installs at once, and tells nobody
    bench.panel.environment.installer.pip([["something"]], True, bench.panel.environment._installed)
    wait(lambda: bench.ui.checkEnvironmentButton.enabled, 60)
    assert [words[0] for words in packaging.asked] == ["something"]


def test_pip_that_fails_is_said(bench: PanelBench) -> None:
    packaging.behaviour, slicer.app.testing = "fails", False
    page = bench.panel.environment
    page.installer.pip([["something"]], True, page._installed)
    wait(lambda: "failed" in bench.ui.logText.plainText, 60)


def test_the_first_job_without_a_backend_offers_to_install_it(
    core: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    bench = PanelBench("dies at once")
    facts = {
        "python": "3.12.1",
        "executable": "x",
        "torch": {},
        "backend": {},
        "packages": {},
        "importable": {},
    }
    page = bench.panel.environment
    monkeypatch.setattr(
        page.installer,
        "run",
        lambda arguments, given, done: done(0, "hideseek-probe:" + json.dumps(facts), ""),
    )
    slicer_modules.answers.append(False)
    bench.click("screenButton")
    bench.finish()
    offers = [text for text in slicer_modules.shown if "HideSeek needs" in text]
    assert len(offers) == 1 and "PyTorch" in offers[0] and "stay as they are" in offers[0]
    assert not bench.ui.settingsCollapsible.collapsed
    bench.click("screenButton")
    bench.finish()
    assert len([text for text in slicer_modules.shown if "HideSeek needs" in text]) == 1
    bench.close()


def test_an_intel_slicer_is_told_to_use_another_python() -> None:
    facts = {"python": "3.12.1", "platform": "darwin/x86_64"}
    from HideSeekLib.worker.settings import BackendSettings

    torch = next(c for c in environment.checks(facts, BackendSettings()) if c.key == "torch")
    assert torch.state == "missing" and not torch.action and "arm64" in torch.text


def test_the_sample_data_button_shows_what_went_wrong(
    core: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fails(folder: Path) -> Any:
        assert sample_data.download() == []  # a second click while the first runs
        raise sample_data.SceneError("no backend")

    monkeypatch.setattr(sample_data, "load", fails)
    assert sample_data.download() == []
    assert slicer_modules.shown == ["no backend"]


def test_a_nodes_name_is_no_markup(bench: PanelBench) -> None:
    bench.ct.SetName("<img src='x'><b>CT</b>")
    slicer.util.updateVolumeFromArray(bench.ct, 0 * slicer.util.arrayFromVolume(bench.ct))
    bench.board.match_inputs()
    assert "<b>CT</b>" in bench.ui.inputsMessageLabel.text
    for name in ("statusLabel", "inputsMessageLabel", "exportMessageLabel"):
        assert getattr(bench.ui, name)._cpp.textFormat() == Qt.TextFormat.PlainText, name
    assert tables.cell("x", tip="<b>").toolTip() == "<qt>&lt;b&gt;</qt>"


def test_a_case_shows_its_ct_only_once_the_module_is_shown(core: Any) -> None:
    """A scene that is opened in front of another module keeps that module's views."""
    bench = PanelBench()
    bench.panel.leave()
    composite = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLSliceCompositeNode", "Red")
    bench.board.start_job("segment", ("L1",))
    bench.finish()
    assert bench.board.live_case() is not None
    assert composite.GetBackgroundVolumeID() is None
    bench.panel.enter()
    assert composite.GetBackgroundVolumeID() == bench.ct.GetID()
    bench.close()


def test_a_full_table_is_not_translated_again_for_every_cell(
    make: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    bench = make("crowd")
    bench.analyse_all()
    bench.finish()
    asked: list[str] = []
    monkeypatch.setattr(candidates, "_", lambda text: asked.append(text) or text)
    bench.panel.review.table.show()
    assert bench.ui.candidatesTable.rowCount > 100
    assert len(asked) < 5


def test_no_timer_is_left_behind(bench: PanelBench) -> None:
    """Slicer's QTimer.singleShot leaves a timer and its closure at every call: ours are kept."""
    sources = [*(ROOT / "HideSeekLib").rglob("*.py"), *(ROOT / "HideSeek").rglob("*.py")]
    calls = [
        node.lineno
        for path in sources
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.Attribute) and node.attr == "singleShot"
    ]
    assert not calls
    before = len(pythonqt.left_timers)
    bench.analyse_all()
    bench.finish()
    for value in (0.1, 0.2, 0.3):
        bench.ui.thresholdSlider.value = value
        spin(0.05)
    spin(0.5)
    assert len(pythonqt.left_timers) == before


def test_a_finished_process_is_let_go(core: Any) -> None:
    """A QProcess is kept alive by its own slots until it is told to go."""
    runner, ended = PythonRunner(lambda text: None), []
    settings = BackendSettings(python=sys.executable)
    runner.run(settings, ["-c", "print(1)"], "", lambda *told: ended.append(told), 30_000)
    assert len(runner._processes) == 1
    wait(lambda: ended, 30)
    assert ended[0][0] == 0 and ended[0][1].strip() == "1" and not runner._processes


def test_the_window_stands_still_for_torch_only_after_a_warning(
    bench: PanelBench, monkeypatch: pytest.MonkeyPatch
) -> None:
    """`installTorch` blocks for minutes and then imports torch into Slicer: asked first."""
    asked: list[dict[str, Any]] = []

    class PyTorchUtilsLogic:
        def installTorch(self, **keywords: Any) -> None:
            asked.append(keywords)

    monkeypatch.setitem(
        sys.modules, "PyTorchUtils", SimpleNamespace(PyTorchUtilsLogic=PyTorchUtilsLogic)
    )
    installer, ended = bench.panel.environment.installer, []
    slicer_modules.answers.append(False)
    assert not installer.install_torch(False, ended.append)
    assert not asked and not ended
    warning = slicer_modules.shown[-1]
    assert "stands still" in warning.replace("\n", " ") and "save your work" in warning
    assert installer.install_torch(False, ended.append)
    assert len(asked) == 1 and ended == [0]


def test_torch_without_its_extension_says_where_it_comes_from(
    bench: PanelBench, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "PyTorchUtils", None)
    assert not bench.panel.environment.installer.install_torch(False, lambda code: None)
    assert "PyTorch extension" in slicer_modules.shown[-1]


def test_the_panel_offers_the_devices_that_the_backend_knows(bench: PanelBench) -> None:
    combo = bench.ui.deviceCombo
    offered = [combo.itemText(n) for n in range(combo.count)]
    assert offered == list(DEVICES) and "mps" not in offered
    devices = pytest.importorskip("hideseek_backend.models.devices")
    errors = pytest.importorskip("hideseek_backend.errors")
    for name in offered:
        try:
            devices.choose_device(name)
        except errors.DeviceError as error:  # no GPU here, but the name is one
            assert "Unknown" not in str(error)
    with pytest.raises(errors.DeviceError, match=", ".join(offered)):
        devices.choose_device("mps")


def test_file_dialogs_belong_to_the_main_window(
    bench: PanelBench, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without a parent they open behind the window on macOS."""
    parents: list[Any] = []
    window = object()
    monkeypatch.setattr(slicer_modules, "window", [window])

    class Dialog:
        @staticmethod
        def getExistingDirectory(parent: Any = None, *words: Any) -> str:
            parents.append(parent)
            return ""

        getOpenFileName = getExistingDirectory

    monkeypatch.setattr(environment_page.qt, "QFileDialog", Dialog)
    bench.click("importFolderButton")
    bench.click("importFileButton")
    assert parents == [window, window]
