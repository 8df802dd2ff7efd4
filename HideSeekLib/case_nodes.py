"""The nodes of a case: found by role from its hub, made again when one of ours was deleted."""

from __future__ import annotations

import json
from typing import Any

from . import folders
from .errors import SceneError
from .geometry import in_scene, need
from .i18n import _
from .record import Record


class CaseNodes:
    """Hub of a case and what it refers to. node: the hub, a text node; record: the results."""

    def __init__(self, hub: Any, record: Record) -> None:
        self.node = hub
        self.record = record

    @property
    def alive(self) -> bool:
        """Tell whether the case is still in a scene."""
        return in_scene(self.node)

    @property
    def name(self) -> str:
        """The case's name, as its folder and nodes have it."""
        return self.record.name

    def _reference(self, role: str) -> Any:
        return self.node.GetNodeReference(role) if self.alive else None

    @property
    def ct(self) -> Any:
        """The CT volume node, or None when it was deleted."""
        return self._reference("ct")

    @property
    def vertebra_node(self) -> Any:
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

    def _node(self, role: str, class_name: str, name: str, subfolder: str | None = None) -> Any:
        """Our node of a role, made (again) when there is none. name: "{case}" is the case's."""
        hub = need(self.node, _("The HideSeek case"))
        node = hub.GetNodeReference(role)
        if node is None:
            scene = hub.GetScene()
            node = scene.AddNewNodeByClass(class_name, name.replace("{case}", self.name))
            hub.SetNodeReferenceID(role, node.GetID())
            folders.place(scene, node, folders.folder_of(scene, hub), subfolder)
            if self.ct is not None and node.IsA("vtkMRMLTransformableNode"):
                parent = self.ct.GetTransformNodeID()
                if parent:
                    node.SetAndObserveTransformNodeID(parent)
        return node

    @property
    def lesion_segments_node(self) -> Any:
        """The segmentation with one segment per candidate, or None when it was not asked for."""
        return self._reference("perLesion")

    def _evidence_node(self, kind: str, level: str, title: str) -> Any:
        return self._node(
            f"{kind}.{level}",
            "vtkMRMLScalarVolumeNode",
            title.replace("{level}", level),
            _("Evidence"),
        )

    def _stored(self) -> dict[str, Any]:
        text = self.node.GetText()
        if not text:
            return {}
        try:
            return dict(json.loads(text))
        except ValueError as error:
            raise SceneError(
                _("The stored review of '{name}' cannot be read: {error}").format(
                    name=self.node.GetName(), error=error
                )
            ) from error

    def _save_record(self) -> None:
        node = self._node("record", "vtkMRMLTextNode", _("{case} record"))
        node.SetText(self.record.dumps())
