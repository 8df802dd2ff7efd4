"""Preflight, constraints and installation steps; probes run in this Python for real."""

from __future__ import annotations

import importlib.metadata
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from harness import PanelBench, spin, wait
from standins import slicer_modules

from HideSeekLib.panel.settings_section import TYPING_MS
from HideSeekLib.setup import environment
from HideSeekLib.wire.version import VERSION
from HideSeekLib.worker.process import process_environment, python_command
from HideSeekLib.worker.settings import BackendSettings

GOOD: dict[str, Any] = {
    "python": "3.12.9",
    "executable": "/opt/python",
    "disk": 50 * environment.GIB,
    "packages": {environment.requirement_name(r): "1" for r in environment.requirements()},
    "importable": {"SimpleITK": True, "numpy": True, "scipy": True, "torch": True},
    "torch": {"version": "2.8.0", "gpus": [{"name": "H200", "memory": 140 * environment.GIB}]},
    "backend": {"version": VERSION, "bundled": True},
    "memory": {"total": 64 * environment.GIB, "available": 40 * environment.GIB},
    "pip": True,
}


def state(facts: dict[str, Any], **settings: Any) -> dict[str, environment.Check]:
    return {c.key: c for c in environment.checks(facts, BackendSettings(**settings))}


def test_all_is_well() -> None:
    found = state(GOOD)
    assert {c.state for c in found.values()} == {"ok"}
    assert not any(c.action for c in found.values())


@pytest.mark.parametrize(
    ("change", "key", "wanted", "action"),
    [
        ({"python": "3.9.1"}, "python", "missing", ""),
        ({"torch": {}}, "torch", "missing", "torch"),
        ({"torch": {"error": "OSError: libcudart"}}, "torch", "missing", "torch"),
        ({"backend": {}}, "backend", "missing", "backend"),
        ({"backend": {"version": "0.0.1", "bundled": True}}, "backend", "warning", "backend"),
        ({"packages": {}}, "backend", "missing", "backend"),
        ({"torch": {"version": "2.8.0", "gpus": []}}, "gpu", "warning", ""),
        ({"memory": {"total": 8 << 30, "available": 1 << 29}}, "memory", "warning", ""),
        ({"memory": {}}, "memory", "unknown", ""),
        ({"disk": 1 << 20}, "disk", "warning", ""),
        (
            {"backend": {"version": VERSION, "bundled": False}},
            "model",
            "missing",
            "backend",
        ),
    ],
)
def test_each_item_has_its_state_and_remedy(
    change: dict[str, Any], key: str, wanted: str, action: str
) -> None:
    check = state({**GOOD, **change})[key]
    assert (check.state, check.action) == (wanted, action), check


def test_nothing_is_installed_on_another_computer() -> None:
    found = state({**GOOD, "torch": {}, "backend": {}}, prefix="ssh host")
    assert not any(c.action for c in found.values())
    assert "pip" in found["backend"].text


def test_simpleitk_without_metadata_counts_as_there() -> None:
    packages = {**GOOD["packages"], "SimpleITK": None, "nibabel": None}
    missing = environment.missing_requirements({**GOOD, "packages": packages})
    assert [environment.requirement_name(r) for r in missing] == ["nibabel"]


def test_constraints_hold_slicers_packages_where_they_are(tmp_path: Path) -> None:
    lines = environment.write_constraints(tmp_path).read_text(encoding="utf-8").split()
    assert f"numpy=={importlib.metadata.version('numpy')}" in lines
    assert any(line.startswith("vtk==9.") for line in lines)
    assert {line.split("==")[0] for line in lines} <= set(environment.PINNED)


def test_the_backend_itself_needs_no_network(tmp_path: Path) -> None:
    steps = environment.backend_steps(GOOD, tmp_path, offline=False)
    assert len(steps) == 1 and {"--no-deps", "--no-index", "--no-build-isolation"} <= set(steps[0])
    lacking = {**GOOD, "packages": {**GOOD["packages"], "nibabel": None}}
    first, second = environment.backend_steps(lacking, tmp_path, offline=True)
    assert first[0] == "--no-index" and first[-1].startswith("nibabel")
    assert not any(r.startswith("torch") for r in first)


def test_the_copy_for_building_leaves_the_extension_alone() -> None:
    copy = environment.backend_copy()
    assert copy is not None
    target = environment.copy_for_build(copy)
    assert (target / "pyproject.toml").is_file() and (target / "src/hideseek_backend").is_dir()
    assert not (target / "tests").exists()


def test_old_and_new_pip_install_are_told_apart(tmp_path: Path) -> None:
    def new(
        requirements: Any,
        constraints: Any = None,
        blocking: bool = True,
        requester: Any = None,
        completedCallback: Any = None,
    ) -> None: ...

    def old(requirements: Any) -> None: ...

    words, keywords = environment.pip_arguments(new, tmp_path)
    assert words == [] and keywords == {
        "constraints": str(tmp_path),
        "blocking": False,
        "requester": "HideSeek",
    }
    assert environment.pip_arguments(old, tmp_path) == (["--constraint", str(tmp_path)], {})


def test_install_torch_gets_what_its_version_takes() -> None:
    def first(self_confirm: bool = True) -> None: ...

    def later(
        askConfirmation: bool = False,
        forceComputationBackend: Any = None,
        torchVersionRequirement: Any = None,
    ) -> None: ...

    assert environment.torch_arguments(first) == {}
    assert environment.torch_arguments(later) == {
        "askConfirmation": True,
        "torchVersionRequirement": environment.TORCH_REQUIREMENT,
    }


def test_commands(core: Any) -> None:
    own = python_command(BackendSettings(), ["-m", "x"])
    assert own[1:] == ["-m", "x"] and Path(own[0]).name == "PythonSlicer"
    there = BackendSettings(python="/o p/python", prefix="ssh me@host")
    remote = python_command(there, ["-c", "1;2"])
    assert remote == ["ssh", "me@host", "'/o p/python'", "-c", "'1;2'"]
    local = python_command(BackendSettings(python="/o p/python", prefix="nice -n 5"), ["-c", "1;2"])
    assert local == ["nice", "-n", "5", "/o p/python", "-c", "1;2"]


def test_another_python_does_not_get_slicers_paths(core: Any, monkeypatch: Any) -> None:
    import slicer.util

    monkeypatch.setattr(slicer.util, "startupEnvironment", lambda: {"PATH": "/user/bin"})
    monkeypatch.setenv("PYTHONHOME", "/slicer")
    assert process_environment(BackendSettings())["PYTHONHOME"] == "/slicer"
    assert "PYTHONHOME" not in process_environment(BackendSettings(python="/usr/bin/python3"))


def test_settings_survive_damage() -> None:
    class Store(dict[str, str]):
        def value(self, key: str, default: str) -> str:
            return self.get(key, default)

        def setValue(self, key: str, value: str) -> None:
            self[key] = value

    store = Store()
    BackendSettings(python="/é/python", offline=True).store(store)
    assert BackendSettings.load(store).python == "/é/python"
    for text in ("{", "[1]", '{"python": 3, "unknown": "x", "offline": "yes"}', ""):
        store["HideSeek/Backend"] = text
        assert BackendSettings.load(store) == BackendSettings()


def row_of(bench: PanelBench, key: str) -> tuple[str, str]:
    table = bench.ui.environmentTable
    for row in range(table.rowCount):
        item = table.item(row, 0)
        if item.data(0x100) == key:
            return item.text(), table.item(row, 1).text()
    raise AssertionError(f"no row {key}")


def test_the_page_checks_this_python(core: Any) -> None:
    bench = PanelBench()
    bench.expand("settingsCollapsible")
    assert row_of(bench, "torch")[1] == "not checked yet"
    bench.ui.pythonPath.currentPath = sys.executable
    spin(TYPING_MS / 1000 + 0.2)
    bench.click("checkEnvironmentButton")
    assert not bench.ui.checkEnvironmentButton.enabled
    wait(lambda: bench.ui.checkEnvironmentButton.enabled, 60)
    title, text = row_of(bench, "python")
    assert title.startswith("✓") and text.startswith(f"{sys.version_info[0]}.")
    assert row_of(bench, "torch")[0].startswith("✓")
    bench.close()


@pytest.mark.parametrize("python", ["/nowhere/python", "/bin/true"])
def test_the_page_says_when_a_python_is_none(core: Any, python: str) -> None:
    bench = PanelBench()
    bench.expand("settingsCollapsible")
    bench.ui.pythonPath.currentPath = python
    spin(TYPING_MS / 1000 + 0.2)
    bench.click("checkEnvironmentButton")
    wait(lambda: bench.ui.checkEnvironmentButton.enabled, 30)
    assert "cannot be used" in row_of(bench, "python")[1]
    bench.close()


def test_installing_asks_first_and_reports_failure(core: Any) -> None:
    bench = PanelBench()
    bench.expand("settingsCollapsible")
    page = bench.panel.environment
    bench.ui.pythonPath.currentPath = "/bin/false"
    spin(TYPING_MS / 1000 + 0.2)
    page.facts = {**GOOD, "backend": {}}
    slicer_modules.answers.append(False)
    page.act("backend")
    spin()
    assert "installs Python packages" in slicer_modules.shown[-1] and not page._busy
    page.act("backend")
    wait(lambda: not page._busy, 30)
    spin(0.2)
    assert not page.installer._folders  # the temporary copy is gone
    bench.close()


def test_importing_a_model_reports_what_the_backend_says(core: Any, tmp_path: Path) -> None:
    bench = PanelBench()
    bench.expand("settingsCollapsible")
    script = tmp_path / "python"
    script.write_text("#!/bin/sh\necho 'Expected sha256 abc, got def.'\nexit 2\n")
    script.chmod(0o755)
    bench.ui.pythonPath.currentPath = str(script)
    spin(TYPING_MS / 1000 + 0.2)
    bench.panel.environment.import_model("/models/é")
    wait(lambda: bench.ui.checkEnvironmentButton.enabled, 30)
    assert "not imported" in bench.status() and "got def" in bench.status()
    bench.close()


def test_a_folder_named_like_the_backend_is_not_the_backend(tmp_path: Path) -> None:
    """The extension's own copy of the sources lies on Slicer's path without being installed."""
    (tmp_path / "hideseek_backend" / "src").mkdir(parents=True)
    source = environment.probe_source(["numpy"])
    done = subprocess.run(
        [sys.executable, "-I", "-S", "-"],
        input=f"import sys; sys.path.append({str(tmp_path)!r})\n{source}",
        capture_output=True,
        text=True,
        check=True,
    )
    facts = environment.parse_probe("banner\n" + done.stdout)
    assert facts is not None and facts["backend"] == {} and facts["torch"] == {}
