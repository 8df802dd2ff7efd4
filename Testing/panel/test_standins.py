"""The stand-ins refuse what the real thing refuses, and have its signatures."""

from __future__ import annotations

import inspect
from typing import Any

import pytest
from api.inventory import inventories, parse
from standins import slicer_modules

OBSERVED = "slicer.parameterNodeWrapper.serializers.ObservedDict"


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


@pytest.mark.parametrize("name", ["get", "pop", "__getitem__", "__len__"])
def test_observed_dict_has_slicers_signatures(name: str) -> None:
    own = inspect.signature(getattr(slicer_modules.ObservedDict, name))
    parameters = [p for p in own.parameters.values() if p.name != "self"]
    for inventory in inventories():
        member = inventory.member(OBSERVED, name)
        assert member is not None, f"{OBSERVED}.{name} in Slicer {inventory.version}"
        real = [parse(text)[0].parameters.values() for text in member.overloads]
        counts = [[p.default is inspect.Parameter.empty for p in each] for each in real]
        assert [p.default is inspect.Parameter.empty for p in parameters] in counts


@pytest.mark.parametrize(
    "name",
    ["getParameterNode", "setup", "resourcePath", "onReload", "getDefaultModuleDocumentationLink"],
)
def test_module_bases_take_what_slicers_take(name: str) -> None:
    for inventory in inventories():
        for base in ("Logic", "Widget", ""):
            real = f"slicer.ScriptedLoadableModule.ScriptedLoadableModule{base}"
            member = inventory.member(real, name)
            if member is None:
                continue
            stand_in = getattr(slicer_modules, f"ScriptedLoadableModule{base}")
            if not hasattr(stand_in, name):
                continue  # kinder never, poorer often: our code would fail on it
            own = inspect.signature(getattr(stand_in, name))
            required = [
                p.name
                for p in own.parameters.values()
                if p.default is inspect.Parameter.empty and p.name != "self"
            ]
            for text in member.overloads:
                parse(text)[0].bind(*required)
