"""Every call, name, signal and enum of our Slicer code against the inventory of each version."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from api.checker import Checker
from api.inventory import HOW_TO_ADD, NOT_IN_INVENTORY, VERSIONS, inventories
from api.make_inventory import our_sources
from api.sources import Source

SOURCES, WIDGETS = our_sources()
BY_VERSION = {inventory.version: inventory for inventory in inventories()}
LEAST_BOUND = {"5.10": 200, "5.12": 200, "main": 30}
# Fewer would mean that the checker no longer understands our code; main has no Qt and MRML.
LEAST_LOOKED_UP = {"5.10": 900, "5.12": 900, "main": 250}


@pytest.mark.parametrize("version", VERSIONS)
def test_slicer_has_what_we_use(version: str) -> None:
    checker = Checker(BY_VERSION[version], SOURCES, WIDGETS).check()
    help_text = HOW_TO_ADD if any(NOT_IN_INVENTORY in f for f in checker.findings) else ""
    assert not checker.findings, "\n".join([*sorted(checker.findings), help_text])
    assert checker.bound >= LEAST_BOUND[version] and checker.looked_up >= LEAST_LOOKED_UP[version]


WRONG = {
    "a default that ObservedDict.get does not take": (
        """
        from slicer import vtkMRMLScalarVolumeNode
        from slicer.parameterNodeWrapper import parameterNodeWrapper
        @parameterNodeWrapper
        class Node:
            ct: vtkMRMLScalarVolumeNode
            byLevel: dict[str, str] = {}
        parameters = Node(None)
        parameters.byLevel.get("T12", "")
        """,
        "get",
    ),
    "a parameter that a function does not have": (
        """
        import SampleData
        SampleData.SampleDataLogic.registerCustomSampleDataSource(sampleDescription="x")
        """,
        "sampleDescription",
    ),
    "a function that slicer.util does not have": (
        "import slicer.util\nslicer.util.loadSpine('x')",
        "loadSpine",
    ),
    "a Qt class that does not exist": ("import qt\nqt.QFancyButton()", "QFancyButton"),
    "a property called as a method": (
        "import qt\nbox = qt.QComboBox()\nbox.count()",
        "count",
    ),
    "a method that a widget does not have": (
        "import qt\nbox = qt.QComboBox()\nbox.addThings([])",
        "addThings",
    ),
    "a signal that does not exist": (
        "import qt\nbox = qt.QPushButton()\nbox.connect('pushed()', print)",
        "pushed()",
    ),
    "a read-only property that is set": (
        "import qt\nbox = qt.QComboBox()\nbox.count = 3",
        "count",
    ),
    "an MRML method that does not exist": (
        "import slicer\nnode = slicer.vtkMRMLSegmentationNode()\nnode.GetEverything()",
        "GetEverything",
    ),
    "too many arguments": (
        "import slicer\nnode = slicer.vtkMRMLTextNode()\nnode.SetText('a', 1, 2, 3)",
        "SetText",
    ),
}


@pytest.mark.parametrize("code, name", WRONG.values(), ids=WRONG.keys())
@pytest.mark.parametrize("version", ["5.10", "5.12"])
def test_wrong_code_is_found(version: str, code: str, name: str) -> None:
    import textwrap

    source = Source(Path("wrong.py"), textwrap.dedent(code))
    findings = Checker(BY_VERSION[version], [source]).check().findings
    assert any(name in finding for finding in findings), findings


def test_what_is_guarded_is_not_a_fault() -> None:
    code = """
import slicer.util
try:
    slicer.util.loadSpine("x")
except AttributeError:
    pass
"""
    assert not Checker(BY_VERSION["5.12"], [Source(Path("x.py"), code)]).check().findings
