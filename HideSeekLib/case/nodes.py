"""The nodes of a case: found by role from its hub, made again when one of ours was deleted."""

from __future__ import annotations

import json
from typing import Any

from HideSeekLib.anatomy.geometry import in_scene, need
from HideSeekLib.case import folders
from HideSeekLib.errors import SceneError
from HideSeekLib.i18n import _

OURS_ATTRIBUTE = "HideSeek.Role"
"""Marks what a case made, so that it is not offered as an input."""


TEXTS = ("record", "followUp", "sheets")
"""Roles of the text nodes that keep what belongs to a case."""


class CaseNodes:
    """The hub of a case, a text node, and what it refers to. name: the case's, as its folder and
    nodes have it."""

    def __init__(self, hub: Any, name: str) -> None:
        self.hub = hub
        self.name = name
        for text_node in (hub, *(hub.GetNodeReference(role) for role in TEXTS)):
            if text_node is not None:
                # Kept in the scene file itself, however long: as files of their own they would be
                # rows of the save dialog that somebody may untick, or be passed over as hidden.
                text_node.SetForceCreateStorageNode(text_node.CreateStorageNodeNever)

    @property
    def alive(self) -> bool:
        """Tell whether the case is still in a scene."""
        return in_scene(self.hub)

    def _reference(self, role: str) -> Any:
        return self.hub.GetNodeReference(role) if self.alive else None

    @property
    def ct(self) -> Any:
        """The CT volume node, or None when it was deleted."""
        return self._reference("ct")

    @property
    def vertebrae(self) -> Any:
        """The user's vertebra segmentation node, or None."""
        return self._reference("vertebrae")

    @property
    def lesions(self) -> Any:
        """The segmentation node of kept lesions, or None when it was deleted."""
        return self._reference("lesions")

    @property
    def candidates_table(self) -> Any:
        """The candidates table node, or None when it was deleted."""
        return self._reference("candidates")

    @property
    def vertebra_table(self) -> Any:
        """The vertebra table node, or None when it was deleted."""
        return self._reference("vertebraTable")

    def healthy(self, level: str) -> Any:
        """The healthy edit of a vertebra as a volume node, or None."""
        return self._reference(f"healthy.{level}")

    def difference(self, level: str) -> Any:
        """Healthy edit minus image as a volume node, or None."""
        return self._reference(f"difference.{level}")

    def ours(
        self,
        role: str,
        class_name: str,
        name: str,
        subfolder: str | None = None,
        *,
        hidden: bool = False,
    ) -> Any:
        """Our node of a role, made (again) when there is none. name: "{case}" is the case's.

        hidden: of no use to a user, and easily spoilt by one; no list and no editor shows it.
        """
        hub = need(self.hub, _("The HideSeek case"))
        node = hub.GetNodeReference(role)
        if node is None:
            scene = hub.GetScene()
            node = scene.CreateNodeByClass(class_name)
            node.UnRegister(None)
            node.SetName(scene.GenerateUniqueName(name.replace("{case}", self.name)))
            node.SetHideFromEditors(hidden)  # before it is added, or Slicer lists it
            node.SetAttribute(OURS_ATTRIBUTE, role)
            scene.AddNode(node)
            hub.SetNodeReferenceID(role, node.GetID())
            if not hidden:
                folders.place(scene, node, folders.folder_of(scene, hub), subfolder)
            if self.ct is not None and node.IsA("vtkMRMLTransformableNode"):
                parent = self.ct.GetTransformNodeID()
                if parent:
                    node.SetAndObserveTransformNodeID(parent)
        return node

    @property
    def single_lesions(self) -> Any:
        """The segmentation with one segment per candidate, or None when it was not asked for."""
        return self._reference("perLesion")

    def evidence(self, kind: str, level: str, title: str) -> Any:
        """Our volume node of a vertebra's evidence; title: "{case}" and "{level}" are filled in."""
        return self.ours(
            f"{kind}.{level}",
            "vtkMRMLScalarVolumeNode",
            title.replace("{level}", level),
            _("Evidence"),
        )

    def stored(self) -> dict[str, Any]:
        """What the hub's text holds. Raises SceneError when it is damaged."""
        text = self.hub.GetText()
        if not text:
            return {}
        try:
            return dict(json.loads(text))
        except ValueError as error:
            raise SceneError(
                _("The stored review of '{name}' cannot be read: {error}").format(
                    name=self.hub.GetName(), error=error
                )
            ) from error

    def keep_record(self, text: str) -> None:
        """Write the case's record into its own text node."""
        self.keep_text("record", text)

    def keep_text(self, role: str, text: str) -> None:
        """Write a text that belongs to the case into its own node, one of `TEXTS`."""
        node = self.ours(role, "vtkMRMLTextNode", f"{{case}} {role}", hidden=True)
        node.SetForceCreateStorageNode(node.CreateStorageNodeNever)
        node.SetText(text)

    def text_of(self, role: str) -> str:
        """What `keep_text` wrote, "" where there is none."""
        node = self._reference(role)
        return "" if node is None else str(node.GetText() or "")
