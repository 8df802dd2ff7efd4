"""Puts the stand-ins for the Slicer application around the real scene code of `slicer-core`.

Stands for: `slicer.i18n`, `slicer.packaging` and the functions of `slicer.util` that need a window;
the other modules are in files beside this one. All have Slicer's signatures
(Testing/panel/test_standins.py compares).

No kinder than Slicer: `selectModule` raises without a main window (util.py moduleSelector); `tr`
walks frames and runs regular expressions, so it costs 50 µs (i18n.py).

Limits: message boxes are recorded in `shown` and answered from `answers`; there is no main window
unless a test sets `window`.
"""

from __future__ import annotations

import os
import sys
import time
from types import ModuleType
from typing import Any

import slicer
import slicer.util

from . import (
    application,
    ctk_widgets,
    packaging,
    parameters,
    pythonqt,
    qmrml_widgets,
    scripted,
)
from .scripted import shown

answers: list[bool] = []
"""Answers to the next confirmations, first to be used first; empty means yes."""

window: list[Any] = []
"""The main window, when there is one."""

TR_SECONDS = 50e-6

TAKEN_SHORTCUT = "Ctrl+Shift+A"
"""The Markups toolbar's (qMRMLMarkupsToolBar.cxx): with a second one Qt runs neither."""


def tr(text: str) -> str:
    end = time.perf_counter() + TR_SECONDS
    while time.perf_counter() < end:
        pass
    return text


def translate(context: str, text: str) -> str:
    return text


def _message(text: str, windowTitle=None, parent=None, standardButtons=None, **kwargs) -> None:  # type: ignore[no-untyped-def]
    shown.append(text)


def _confirm(text: str, windowTitle=None, parent=None, **kwargs) -> bool:  # type: ignore[no-untyped-def]
    shown.append(text)
    return answers.pop(0) if answers else True


def mainWindow() -> Any:
    return window[0] if window else None


def startupEnvironment() -> dict[str, str]:
    return dict(os.environ)


def selectModule(module: Any) -> None:
    if mainWindow() is None:
        raise RuntimeError("Could not find main window")
    shown.append(f"module {module}")


UTIL = {
    "errorDisplay": _message,
    "warningDisplay": _message,
    "infoDisplay": _message,
    "confirmOkCancelDisplay": _confirm,
    "confirmYesNoDisplay": _confirm,
    "mainWindow": mainWindow,
    "startupEnvironment": startupEnvironment,
    "selectModule": selectModule,
}
"""Functions of slicer.util that the stand-ins replace."""


def _module(name: str, **members: Any) -> None:
    module = ModuleType(f"slicer.{name}", __doc__)
    for key, value in members.items():
        setattr(module, key, value)
    sys.modules[module.__name__] = module
    setattr(slicer, name, module)


def install_modules() -> None:
    """Put the stand-ins where `qt`, `ctk` and Slicer's Python modules would be imported from."""
    sys.modules["qt"] = pythonqt.make_module()
    sys.modules["ctk"] = ctk_widgets.make_module()
    _module("i18n", tr=tr, translate=translate)
    _module("ScriptedLoadableModule", **{cls.__name__: cls for cls in scripted.CLASSES})
    _module("parameterNodeWrapper", parameterNodeWrapper=parameters.parameterNodeWrapper)
    sys.modules["slicer.packaging"] = packaging
    slicer.packaging = packaging
    for widget in qmrml_widgets.QMRML:
        setattr(slicer, widget.__name__, pythonqt.WrappedClass(widget))


def install(app: Any, settings_file: str) -> application.Application:
    """Put a stand-in application around `app`, a CoreApp with its scene."""
    install_modules()
    packaging.behaviour = "works"
    packaging.asked.clear()
    window.clear()
    slicer.app = application.Application(app.scene, settings_file)
    for name, function in UTIL.items():
        setattr(slicer.util, name, function)
    return slicer.app
