"""The .ui file and the Python that uses it name the same widgets; texts go through `tr`."""

from __future__ import annotations

import ast
import xml.etree.ElementTree as ET
from pathlib import Path

import pytest
from harness import ROOT, UI

LIBRARY = sorted((ROOT / "HideSeekLib/panel").glob("*.py"))
TEXT_PROPERTIES = ("text", "toolTip", "title")
TEXT_SETTERS = ("say", "setText", "setToolTip", "appendPlainText")
PASSIVE = {"QLabel", "qMRMLWidget"}  # shown as they are; Python names only some of them
CONTAINERS = {
    "inputsCollapsible",
    "analysisCollapsible",
    "reviewCollapsible",
    "exportCollapsible",
    "filtersGroup",
    "logGroup",
}  # opened and closed by the user alone


def ui_widgets() -> dict[str, ET.Element]:
    """Return the widgets of the .ui file by name."""
    return {w.get("name", ""): w for w in ET.parse(UI).iter("widget")}


def python_names() -> set[str]:
    """Return every X in `ui.X` and `self.ui.X` of the panel's sources."""
    names = set()
    for path in LIBRARY:
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Attribute):
                owner = node.value
                if (
                    isinstance(owner, ast.Name)
                    and owner.id == "ui"
                    or (isinstance(owner, ast.Attribute) and owner.attr == "ui")
                ):
                    names.add(node.attr)
    return names


def test_every_widget_that_python_names_is_in_the_ui_file() -> None:
    assert python_names() - set(ui_widgets()) == set()


def test_every_widget_of_the_ui_file_is_used() -> None:
    unused = {
        name
        for name, widget in ui_widgets().items()
        if widget.get("class") not in PASSIVE
        and name not in CONTAINERS
        and not any(p.get("name") == "SlicerParameterName" for p in widget)
    } - python_names()
    assert unused == set()


def test_bound_parameters_exist(core: object) -> None:
    from HideSeekLib.panel.parameters import HideSeekParameterNode

    bound = {
        p.findtext("string")
        for w in ui_widgets().values()
        for p in w
        if p.get("name") == "SlicerParameterName"
    }
    assert bound == {"ct", "vertebrae", "bodies", "polarity", "protocol"}
    assert all(hasattr(HideSeekParameterNode, str(name)) for name in bound)


def test_every_control_has_a_tool_tip_and_a_place_in_the_tab_order() -> None:
    stops = [t.text for t in ET.parse(UI).iter("tabstop")]
    assert len(stops) == len(set(stops))
    for name, widget in ui_widgets().items():
        kind = widget.get("class", "")
        if kind in PASSIVE or kind == "QProgressBar" or "ollapsible" in kind or kind == "QGroupBox":
            continue
        tips = [p.findtext("string") for p in widget if p.get("name") == "toolTip"]
        assert tips and tips[0], f"{name} has no tool tip"
        assert name in stops, f"{name} is not in the tab order"


def test_mnemonics_are_unique() -> None:
    letters = []
    for widget in ui_widgets().values():
        for prop in widget.findall("property"):
            text = prop.findtext("string") or ""
            if prop.get("name") in ("text", "title") and "&" in text.replace("&&", ""):
                letters.append(text[text.index("&") + 1].lower())
    assert len(letters) == len(set(letters)), letters


@pytest.mark.parametrize("path", LIBRARY, ids=lambda p: p.name)
def test_texts_given_to_widgets_are_translated(path: Path) -> None:
    """A literal with a letter in it, assigned to a text property, must be inside `_()`."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Assign) and isinstance(node.value, ast.Constant):
            for target in node.targets:
                if isinstance(target, ast.Attribute) and target.attr in TEXT_PROPERTIES:
                    text = node.value.value
                    assert not (isinstance(text, str) and any(c.isalpha() for c in text)), text
        called = getattr(getattr(node, "func", None), "attr", "")
        if isinstance(node, ast.Call) and called in TEXT_SETTERS:
            for argument in node.args:
                literal = getattr(argument, "value", None)
                assert not (isinstance(literal, str) and any(c.isalpha() for c in literal)), literal


@pytest.mark.parametrize("path", LIBRARY, ids=lambda p: p.name)
def test_files_are_short(path: Path) -> None:
    assert len(path.read_text(encoding="utf-8").splitlines()) <= 400
