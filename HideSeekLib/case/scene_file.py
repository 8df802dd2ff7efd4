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
    draft = target.with_name(f".{os.getpid()}.{target.name}")
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        # The data are written beside the target: temporary folders may be small.
        with tempfile.TemporaryDirectory(prefix=".hideseek-", dir=target.parent) as folder:
            _write_data(scene, folder)
            scene.SetRootDirectory(folder)
            if not scene.WriteToMRB(str(draft)):
                raise SceneError(_("{path} cannot be written.").format(path=target))
        os.replace(draft, target)
    except OSError as error:
        raise SceneError(
            _("{path} cannot be written: {error}.").format(path=target, error=error.strerror)
        ) from error
    finally:
        draft.unlink(missing_ok=True)
    return target


def _write_data(scene: Any, folder: str) -> None:
    for index in range(scene.GetNumberOfNodesByClass("vtkMRMLStorableNode")):
        node = scene.GetNthNodeByClass(index, "vtkMRMLStorableNode")
        if not node.GetSaveWithScene() or node.GetHideFromEditors() and not node.GetStorageNode():
            continue
        if not node.GetStorageNode():
            node.AddDefaultStorageNode()
        storage = node.GetStorageNode()
        if storage is None:
            continue
        extension = storage.GetDefaultWriteFileExtension()
        storage.SetFileName(os.path.join(folder, f"node{index}.{extension}"))
        if not storage.WriteData(node):
            raise SceneError(_("'{name}' cannot be written.").format(name=node.GetName()))
