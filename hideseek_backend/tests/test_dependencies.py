"""What Slicer installs runs without what only researchers install."""

from __future__ import annotations

import subprocess
import sys

# The room whose packages are extras: dicom.
SCRIPT = """
import importlib, pkgutil, sys

class Absent:
    def find_spec(self, name, path=None, target=None):
        if name.split(".")[0] in ("sklearn", "matplotlib", "joblib", "pandas", "panoptica", "monai",
                                  "pydicom", "highdicom", "nnunetv2", "mirp", "hideseek_lab"):
            raise ImportError(name)

sys.meta_path.insert(0, Absent())
import hideseek_backend
extras = ("hideseek_backend.dicom",)
for module in pkgutil.walk_packages(hideseek_backend.__path__, "hideseek_backend."):
    if not module.name.startswith(extras) and not module.name.endswith("__main__"):
        importlib.import_module(module.name)
from hideseek_backend.models.store import load_model
from hideseek_backend.models.reference_import import released_classifier
assert load_model("bundled", "cpu").classifier.channels
assert released_classifier().channels == 512
"""


def test_every_room_imports_without_the_extras() -> None:
    done = subprocess.run([sys.executable, "-c", SCRIPT], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[-2000:]
