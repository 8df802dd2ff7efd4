"""The stand-ins refuse what the real thing refuses, and have its names and signatures."""

from __future__ import annotations

import inspect
import time
from collections.abc import Callable
from typing import Any

import pytest
import slicer.util
from api.inventory import BINDINGS, inventories, parse, why_not
from harness import spin
from standins import (
    application,
    ctk_widgets,
    packaging,
    parameters,
    pythonqt,
    qmrml_widgets,
    scripted,
    slicer_modules,
)

WITH_QT = [inventory for inventory in inventories() if inventory.has_qt]
SERIALIZERS = "slicer.parameterNodeWrapper.serializers"
SCRIPTED = "slicer.ScriptedLoadableModule"
PYTHON_CLASSES = {
    f"{SERIALIZERS}.ObservedDict": parameters.ObservedDict,
    **{f"{SCRIPTED}.{cls.__name__}": cls for cls in scripted.CLASSES},
}
APPLICATION_CLASSES = (
    application.Application,
    application.DicomDatabase,
    application.LayoutManager,
    application.SliceWidget,
    application.SliceView,
)
WIDGETS = (*ctk_widgets.CTK, *qmrml_widgets.QMRML, qmrml_widgets.qMRMLSortFilterProxyModel)
QT_CALLS_THEM = {"sizeHint", "minimumSizeHint", "childEvent", "mousePressEvent", "paintEvent"}
"""Virtual methods through which Qt draws the stand-ins; Python code has no business with them."""


def shape(signature: inspect.Signature) -> list[tuple[str, Any, bool]]:
    """Names, kinds and whether they must be given, without self."""
    return [
        (p.name, p.kind, p.default is inspect.Parameter.empty)
        for p in signature.parameters.values()
        if p.name != "self"
    ]


def own_methods(cls: type) -> dict[str, Callable[..., Any]]:
    """The functions that a stand-in class itself defines for others."""
    return {
        name: value
        for name, value in vars(cls).items()
        if inspect.isfunction(value) and (not name.startswith("_") or name == "__init__")
    }


# --- Python classes and functions: the same signatures -------------------------------------------


@pytest.mark.parametrize("real", PYTHON_CLASSES)
def test_python_classes_have_slicers_methods_and_signatures(real: str) -> None:
    cls = PYTHON_CLASSES[real]
    for inventory in inventories():
        facts = inventory.facts(real)
        assert facts is not None, f"{real} is not in the inventory of {inventory.version}"
        for name, overloads in facts["methods"].items():
            method = getattr(cls, name, None)
            assert method is not None, f"the stand-in lacks {real}.{name}"
            if name.startswith("__") and name != "__init__":
                continue
            found = shape(inspect.signature(method))
            assert found in [shape(parse(text)[0]) for text in overloads], f"{real}.{name}"
        for name in own_methods(cls):
            assert inventory.member(real, name), f"{real} has no {name} in {inventory.version}"


def test_the_wrapped_class_gets_slicers_methods() -> None:
    for inventory in inventories():
        real = inventory.wrapper["methods"]
        assert set(own_methods(parameters.Wrapper)) == set(real)
        for name, overloads in real.items():
            found = shape(inspect.signature(getattr(parameters.Wrapper, name)))
            assert found in [shape(parse(text)[0]) for text in overloads], name


@pytest.mark.parametrize(
    ("module", "functions"),
    [
        ("slicer.util", slicer_modules.UTIL),
        ("slicer.i18n", {"tr": slicer_modules.tr, "translate": slicer_modules.translate}),
        (
            "slicer.packaging",
            {n: f for n, f in vars(packaging).items() if inspect.isfunction(f)},
        ),
        (
            "slicer.parameterNodeWrapper.wrapper",
            {"parameterNodeWrapper": parameters.parameterNodeWrapper},
        ),
    ],
)
def test_functions_have_slicers_signatures(module: str, functions: dict[str, Any]) -> None:
    found = 0
    for inventory in inventories():
        for name, function in functions.items():
            if module == "slicer.packaging" and inventory.version != packaging.VERSION:
                continue  # it came with 5.11, and main has another order
            real = inventory.modules[module]["functions"][name]
            assert shape(inspect.signature(function)) == shape(parse(real)[0]), name
            found += 1
    assert found >= len(functions)


# --- C++ classes: no name and no count of arguments more -----------------------------------------


@pytest.mark.parametrize("cls", [*APPLICATION_CLASSES, *WIDGETS], ids=lambda c: c.__name__)
def test_wrapped_classes_have_no_name_that_slicers_lack(cls: type) -> None:
    real = getattr(cls, "REAL", cls.__name__)
    mine = set(vars(cls)) - set(getattr(cls, "FOR_TESTS", ())) - QT_CALLS_THEM
    mine = {n for n in mine if not n.startswith("_") and n not in ("REAL", "FOR_TESTS")}
    mine -= {"staticMetaObject"}
    for inventory in WITH_QT:
        assert inventory.facts(real) is not None, f"{real} is not in the inventory"
        for name in mine:
            member = inventory.member(real, name)
            assert member is not None, f"{real} has no {name} in Slicer {inventory.version}"
            function = vars(cls)[name]
            if not inspect.isfunction(function) or not member.overloads:
                continue
            own = inspect.signature(function.__get__(object()))
            for count in range(6):
                try:
                    own.bind(*range(count))
                except TypeError:
                    continue
                assert not why_not(member.overloads, count, ()), f"{real}.{name}: {count}"


def test_the_application_shows_only_what_slicers_has(core: Any) -> None:
    kept = {n for n in vars(slicer.app) if not n.startswith("_")}
    for inventory in WITH_QT:
        for name in kept - set(application.Application.FOR_TESTS):
            assert inventory.member("qSlicerApplication", name), name


def test_names_that_python_does_not_see_are_refused(core: Any) -> None:
    import ctk
    import qt

    slider = ctk.ctkRangeWidget()
    slider.minimum = 3.0
    with pytest.raises(AttributeError, match="setMinimum"):
        slider.setMinimum(3.0)  # C++ alone
    with pytest.raises(AttributeError, match="no signal pushed"):
        qt.QPushButton().connect("pushed()", print)
    with pytest.raises((AttributeError, ValueError), match="currentIndexChanged"):
        qt.QComboBox().connect("currentIndexChanged(QString)", print)  # Qt 5 alone
    with pytest.raises(AttributeError):
        qt.QComboBox().colour = "red"
    with pytest.raises(AttributeError, match="make_inventory"):
        _ = qt.QBluetooth
    with pytest.raises(AttributeError, match="setStretchLastSectionOfAll"):
        qt.QHeaderView.setStretchLastSectionOfAll()


def test_arguments_that_no_overload_takes_are_refused(core: Any) -> None:
    import qt

    combo = qt.QComboBox()
    combo.addItem("a", "key")
    with pytest.raises(TypeError, match="addItem"):
        combo.addItem("a", "b", "c", "d")
    with pytest.raises(TypeError, match="keyword"):
        combo.addItem(text="a")
    with pytest.raises(TypeError, match="keyword"):
        qt.QPushButton(text="Go")
    with pytest.raises(TypeError, match="QTimer"):
        qt.QTimer(1, 2, 3)
    with pytest.raises(AttributeError, match="QFontMetrics"):
        combo.fontMetrics()


def test_every_binding_is_judged() -> None:
    """What no inventory knows would pass unjudged: the widgets of the form are all known."""
    from api.make_inventory import our_sources

    widgets = set(our_sources()[1].values())
    for inventory in WITH_QT:
        assert all(inventory.complete(name) for name in widgets)
        assert {(inventory.facts(name) or {})["from"] for name in widgets} <= set(BINDINGS)


# --- behaviour -----------------------------------------------------------------------------------


def test_observed_dicts_write_back_and_take_no_default(core: Any) -> None:
    @parameters.parameterNodeWrapper
    class Choices:
        byLevel: dict[str, str] = {}

    node = slicer.vtkMRMLScriptedModuleNode()
    choices = Choices(node)
    choices.byLevel["T12"] = "lytic"
    assert type(choices.byLevel).__name__ == "ObservedDict" and dict(choices.byLevel) == {
        "T12": "lytic"
    }
    with pytest.raises(TypeError):
        choices.byLevel.get("L1", "")
    with pytest.raises(TypeError):
        choices.byLevel.pop("L1", "")
    assert choices.byLevel.pop("T12") == "lytic" and not Choices(node).byLevel


def test_types_without_a_serializer_are_refused() -> None:
    class Choices:
        levels: set[str]

    Choices.__annotations__["levels"] = set
    with pytest.raises(RuntimeError, match="serializer"):
        parameters.parameterNodeWrapper(Choices)


def test_only_the_very_widget_class_is_joined(core: Any) -> None:
    from PySide6.QtWidgets import QComboBox

    from HideSeekLib.panel.parameters import Polarity

    class Derived(QComboBox):
        pass

    assert parameters._connector(pythonqt.wrap(QComboBox()), Polarity)
    with pytest.raises(RuntimeError, match="No connector"):
        parameters._connector(pythonqt.wrap(Derived()), Polarity)


def test_select_module_wants_a_main_window(core: Any) -> None:
    with pytest.raises(RuntimeError, match="main window"):
        slicer.util.selectModule("Data")
    slicer_modules.window.append(object())
    slicer.util.selectModule("Data")
    assert slicer_modules.shown == ["module Data"]


def test_translation_costs_time() -> None:
    start = time.perf_counter()
    assert [slicer_modules.tr("x") for _ in range(100)][0] == "x"
    assert time.perf_counter() - start >= 100 * slicer_modules.TR_SECONDS


def test_a_shot_of_a_timer_leaves_it_behind(core: Any) -> None:
    import qt

    before, seen = len(pythonqt.left_timers), []
    qt.QTimer.singleShot(0, lambda: seen.append(1))
    spin(0.05)
    assert seen == [1] and len(pythonqt.left_timers) == before + 1
