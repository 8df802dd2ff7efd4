"""Write the inventories of this folder: the part of the full data that our sources touch.

    python Testing/api/make_inventory.py FOLDER_OF_THE_FULL_DATA [VERSION ...]

The full data are `python-VERSION.json`, `qt-VERSION.json` and `mrml-VERSION.json` with everything
that Slicer's Python shows, extracted from Slicer's sources and Qt's and VTK's meta objects. Run it
when a test says that something is not in the inventory. Classes and modules are kept whole, so that
another method of a class that is there needs no run. Prints what it could not find in the full
data: Slicer does not have that.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "Testing"))

from api.checker import Checker
from api.full_data import full_document
from api.inventory import FOLDER, VERSIONS, Inventory
from api.sources import Source, read_widgets

ALWAYS_MODULES = (
    "slicer.util",
    "slicer.i18n",
    "slicer.ScriptedLoadableModule",
    "slicer.parameterNodeWrapper",
    "slicer.packaging",
)
"""Modules that the stand-ins imitate: kept whether or not a call is found."""

ALWAYS_CLASSES = (
    *("QApplication", "QUiLoader", "QToolButton", "QSplitter", "QScrollArea"),
    *("qSlicerLayoutManager", "qMRMLSliceWidget", "qMRMLSliceView", "qSlicerModuleManager"),
    *("QMainWindow", "QFontMetrics", "QAction", "QMenu", "QToolBar"),
    *("QFile", "QMessageBox", "QProgressDialog", "QEventLoop", "qMRMLSortFilterProxyModel"),
    "slicer.parameterNodeWrapper.serializers.ObservedList",
)
"""Classes that stand-ins and tests meet only while they run."""


def our_sources() -> tuple[list[Source], dict[str, str]]:
    """Return the files that run inside Slicer, and the widgets of their .ui files.

    HideSeekLib/browser is served by trame outside the application and has no Qt of Slicer's.
    """
    folders = (ROOT / "HideSeek", ROOT / "HideSeekLib")
    files = [
        path
        for folder in folders
        for path in sorted(folder.rglob("*.py"))
        if "browser" not in path.parts
    ]
    forms = [p for folder in folders for p in sorted(folder.rglob("*.ui"))]
    return [Source(p) for p in (*files, ROOT / "Testing/run_in_slicer.py")], read_widgets(forms)


# --- what our sources touch ----------------------------------------------------------------------


class Recording(Inventory):
    """The full data, noting what was asked for."""

    def __init__(self, document: dict[str, Any]) -> None:
        super().__init__(document)
        self.asked: set[str] = set()
        self.asked_words: set[str] = set()
        self.asked_signals: set[str] = set()
        self.asked_names: set[str] = set()

    def facts(self, name: str) -> dict[str, Any] | None:
        found = super().facts(name)
        if found is not None:
            self.asked.add(name)
        return found

    def has_word(self, word: str) -> bool:
        self.asked_words.add(word)
        return super().has_word(word)

    def has_signal(self, name: str, signature: str) -> bool:
        if not name:
            self.asked_signals.add(signature)
        return super().has_signal(name, signature)

    def find(self, dotted: str) -> Any:
        self.asked_names.add(dotted)
        return super().find(dotted)


def touched(document: dict[str, Any]) -> tuple[dict[str, Any], list[str]]:
    """Return the document with what our sources touch, and what they use that it lacks."""
    full = Recording(document)
    sources, widgets = our_sources()
    findings = Checker(full, sources, widgets).check().findings
    for name in (*ALWAYS_CLASSES, *widgets.values()):
        full.facts(name)
    asked = {n for n in full.asked_names if "." in n}
    modules = {
        module: facts
        for module, facts in document["modules"].items()
        if module in ALWAYS_MODULES or any(n == module or n.startswith(module + ".") for n in asked)
    }
    wanted = {base for name in tuple(full.asked) for base, _facts in full.lineage(name)}
    wanted |= set(document["parameterNodeWrapper"]["reads_as"].values())
    wanted |= {name for name in document["classes"] if name.rpartition(".")[0] in modules}
    wanted |= {base for name in tuple(wanted) for base, _facts in full.lineage(name)}
    classes = {name: facts for name, facts in document["classes"].items() if name in wanted}
    small = Inventory({**document, "classes": classes})
    names = {
        module: sorted(
            n for n in known if f"{module}.{n}" in {".".join(a.split(".")[:2]) for a in asked}
        )
        for module, known in document["names"].items()
    }
    return {
        **document,
        "absent": document["absent"],
        "modules": modules,
        "names": names,
        "words": sorted(
            w for w in full.asked_words if Inventory.has_word(full, w) and not small.has_word(w)
        ),
        "signals": sorted(
            s
            for s in full.asked_signals
            if Inventory.has_signal(full, "", s) and not small.has_signal("", s)
        ),
        "classes": dict(sorted(classes.items())),
    }, sorted(findings)


def written(value: Any, indent: int = 0, width: int = 118) -> str:
    """Return JSON with one member a line, and small things on one line."""
    line = json.dumps(value, ensure_ascii=False)
    if len(line) + indent <= width or not isinstance(value, (dict, list)):
        return line
    pad = " " * (indent + 1)
    if isinstance(value, dict):
        inner = [f"{json.dumps(k)}: {written(v, indent + 1, width)}" for k, v in value.items()]
        return "{\n" + ",\n".join(pad + text for text in inner) + "\n" + " " * indent + "}"
    lines, current = [], pad
    for item in value:
        text = written(item, indent + 1, width)
        if len(current) + len(text) + 2 > width and current != pad:
            lines.append(current.rstrip())
            current = pad
        current += text + ", "
    lines.append(current.rstrip().rstrip(","))
    return "[\n" + "\n".join(lines) + "\n" + " " * indent + "]"


def without_empty(document: dict[str, Any]) -> dict[str, Any]:
    """Leave out the empty parts of classes that look-ups do without."""
    needed = ("from", "bases")
    classes = {
        name: {k: v for k, v in facts.items() if v or k in needed}
        for name, facts in document["classes"].items()
    }
    return {**document, "classes": classes}


def main(arguments: list[str]) -> int:
    """Write the inventories; exit 1 when our sources use what a version lacks."""
    if not arguments:
        print(__doc__)
        return 2
    faults = 0
    for version in arguments[1:] or VERSIONS:
        document, findings = touched(full_document(Path(arguments[0]), version))
        target = FOLDER / f"slicer-{version}.json"
        target.write_text(written(without_empty(document)) + "\n", encoding="utf-8")
        print(
            f"{target.name}: {len(document['classes'])} classes, "
            f"{target.stat().st_size // 1024} KiB"
        )
        for finding in findings:
            print("  " + finding)
        faults += len(findings)
    return 1 if faults else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
