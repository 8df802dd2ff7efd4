"""Find the optional folder of real CT examples, and skip tests that need it where it is not.

The folder is named `shared` and lies beside the repository's root; the environment variable
HIDESEEK_SHARED gives another place.
"""

from __future__ import annotations

import os
from pathlib import Path

import pytest

_ROOT = Path(__file__).resolve().parents[2]


def shared_folder() -> Path | None:
    """Return the folder, or None where there is none."""
    folder = Path(os.environ.get("HIDESEEK_SHARED", _ROOT.parent / "shared"))
    return folder if folder.is_dir() else None


def shared_file(*parts: str) -> Path:
    """Return a file or folder of the shared folder; skips the test, saying so, if it is absent."""
    folder = shared_folder()
    if folder is None:
        pytest.skip("the folder of real CT examples is absent (set HIDESEEK_SHARED to give it)")
    path = folder.joinpath(*parts)
    if not path.exists():
        pytest.skip(f"the real CT example {'/'.join(parts)} is absent")
    return path


needs_shared = pytest.mark.skipif(
    shared_folder() is None,
    reason="the folder of real CT examples is absent (set HIDESEEK_SHARED to give it)",
)
