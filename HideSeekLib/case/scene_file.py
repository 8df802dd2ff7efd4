"""A scene as one .mrb file, where there is no application to save it (outside Slicer)."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path
from typing import Any

from HideSeekLib.errors import SceneError
from HideSeekLib.i18n import _


def save_mrb(scene: Any, path: str | os.PathLike[str]) -> Path:
    """Write the scene with all its data into an .mrb, whole or not at all; returns the path.

    Raises SceneError when it cannot be written.
    """
    target = Path(path).resolve()
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        # Beside the target: temporary folders may be small. Slicer writes every node's data itself
        # and names a folder within the file after it, so the draft has its final name.
        with tempfile.TemporaryDirectory(prefix=".hideseek-", dir=target.parent) as folder:
            draft = Path(folder) / target.name
            scene.SetRootDirectory(folder)
            if not scene.WriteToMRB(str(draft)):
                raise SceneError(_("{path} cannot be written.").format(path=target))
            os.replace(draft, target)
    except OSError as error:
        raise SceneError(
            _("{path} cannot be written: {error}.").format(path=target, error=error.strerror)
        ) from error
    return target
