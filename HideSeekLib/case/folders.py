"""Names and places of our nodes: a subject-hierarchy folder per case, beside the CT."""

from __future__ import annotations

from typing import Any

import slicer

from HideSeekLib.i18n import _


def hierarchy(scene: Any) -> Any:
    """The scene's subject hierarchy node (made by Slicer itself when there is none yet)."""
    return slicer.vtkMRMLSubjectHierarchyNode.GetSubjectHierarchyNode(scene)


def item_of(sh: Any, node: Any) -> int:
    """Subject-hierarchy item of a node. Slicer makes items by itself; slicer-core does not."""
    item = sh.GetItemByDataNode(node)
    return int(item) if item else int(sh.CreateItem(sh.GetSceneItemID(), node))


def case_folder(scene: Any, name: str, ct_node: Any) -> int:
    """Make a folder for a case, in the study of its CT where that has one. The CT is not moved."""
    sh = hierarchy(scene)
    parent = sh.GetSceneItemID()
    if ct_node is not None:
        item = sh.GetItemByDataNode(ct_node)
        if item:
            parent = sh.GetItemParent(item) or parent
    return int(sh.CreateFolderItem(parent, name))


def place(scene: Any, node: Any, folder: int, subfolder: str | None = None) -> None:
    """Move a node of ours into the case's folder, or a folder within it."""
    sh = hierarchy(scene)
    parent = folder
    if subfolder is not None:
        parent = sh.GetItemChildWithName(folder, subfolder) or sh.CreateFolderItem(
            folder, subfolder
        )
        sh.SetItemExpanded(parent, False)
    sh.SetItemParent(item_of(sh, node), parent)


def folder_of(scene: Any, node: Any) -> int:
    """Folder in which a node of ours lies (the scene's root if the user took it out)."""
    sh = hierarchy(scene)
    return int(sh.GetItemParent(item_of(sh, node)))


def free_name(scene: Any, ct_name: str) -> str:
    """Name for a new case: "<CT> HideSeek", then "<CT> HideSeek (2)" and so on."""
    base = _("{ct} HideSeek").format(ct=ct_name)
    name, number = base, 1
    while scene.GetFirstNodeByName(name) is not None:
        number += 1
        name = f"{base} ({number})"
    return name
