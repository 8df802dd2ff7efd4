"""Stand-in for `slicer.packaging` of Slicer 5.12, which nothing installs through.

`behaviour` is what `pip_install(blocking=False)` does, each as packaging.py does it: "works" calls
back with 0 and "fails" with 1 after the present event; "raises" stands for another installation in
progress; "silent" for testing mode, where it never calls back.

Limits: nothing is installed; a blocking call works or raises; requirements are not resolved.
"""

from __future__ import annotations

from typing import Any

VERSION = "5.12"
behaviour = "works"
asked: list[Any] = []
"""Requirements of each call."""


def pip_install(
    requirements: Any,
    constraints: Any = None,
    no_deps_requirements: Any = None,
    skip_packages: Any = None,
    blocking: bool = True,
    show_progress: bool = True,
    requester: str | None = None,
    parent: Any = None,
    logCallback: Any = None,
    completedCallback: Any = None,
) -> list[str] | None:
    """Do as `behaviour` says."""
    asked.append(requirements)
    if behaviour == "raises":
        raise RuntimeError("Another pip install operation is already in progress.")
    if behaviour == "silent":
        return None
    if blocking:
        if behaviour == "fails":
            raise RuntimeError("pip install failed")
        return []
    from .pythonqt import QtCore, TimerClass

    code = 0 if behaviour == "works" else 1
    if completedCallback is not None:
        TimerClass(QtCore.QTimer).singleShot(0, lambda: completedCallback(code))
    return None


def isPipInstallInProgress() -> bool:
    return behaviour == "raises"
