"""Paths and fixtures of the tests on the Slicer side."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).resolve().parent.parent
for folder in (ROOT, ROOT / "Testing"):
    if str(folder) not in sys.path:
        sys.path.insert(0, str(folder))


@pytest.fixture
def app() -> Iterator[Any]:
    """A real MRML scene on slicer-core, as `slicer.mrmlScene`."""
    pytest.importorskip("slicer_core", reason="needs the slicer-core package")
    from slicer_core_app import CoreApp

    core = CoreApp()
    yield core
    core.close()


@pytest.fixture
def scene(app: Any) -> Any:
    """The scene of `app`."""
    return app.scene
