"""The nodes of a case: found by role from its hub, made again when one of ours was deleted."""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import Any

import numpy as np

from HideSeekLib.anatomy.geometry import in_scene, need
from HideSeekLib.case import folders, lesion_segments, lesions_view
from HideSeekLib.case.record import Record
from HideSeekLib.case.review import Review
from HideSeekLib.errors import SceneError
from HideSeekLib.i18n import _

OURS_ATTRIBUTE = "HideSeek.Role"
"""Marks what a case made, so that it is not offered as an input."""


class CaseNodes:
    """Hub of a case and what it refers to. node: the hub, a text node; record: the results;
    review: the decisions on them."""

    def __init__(self, hub: Any, record: Record, review: Review) -> None:
        self.node = hub
        for text_node in (hub, hub.GetNodeReference("record")):
            if text_node is not None:
                # Kept in the scene file itself, however long: as files of their own they would be
                # rows of the save dialog that somebody may untick, or be passed over as hidden.
                text_node.SetForceCreateStorageNode(text_node.CreateStorageNodeNever)
        self.record = record
        self.review = review

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

    def _node(
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
        hub = need(self.node, _("The HideSeek case"))
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
        node = self._node("record", "vtkMRMLTextNode", _("{case} record"), hidden=True)
        node.SetForceCreateStorageNode(node.CreateStorageNodeNever)
        node.SetText(self.record.dumps())

    def voxels(self, key: str) -> np.ndarray:
        """Voxels of a candidate, (N, 3) indices on the CT's grid. Raises KeyError if unknown."""
        candidate = self.review.candidate(key)
        found = self.record.replies[candidate.vertebra].voxels.get(candidate.number)
        return np.zeros((0, 3), np.int32) if found is None else found

    def lesion_segments(self, show: bool) -> Any:
        """Make a node with one segment per candidate, dropped ones faint; or take it away again."""
        hub = need(self.node, _("The HideSeek case"))
        if not show:
            if self.lesion_segments_node is not None:
                hub.GetScene().RemoveNode(self.lesion_segments_node)
            return None
        node = self._node("perLesion", "vtkMRMLSegmentationNode", _("{case} single lesions"))
        candidates = [
            (c, self.voxels(c.key))
            for c in self.record.candidates()
            if not self.review.withdrawn(c.key)
        ]
        lesion_segments.fill(node, self.record.grid, candidates)
        lesions_view.prepare(node, self.ct, self.record.grid)
        lesion_segments.mark(node, {c.key: self.review.kept(c.key) for c, _voxels in candidates})
        return node

    def _update_single_lesions(self, changed: Iterable[str] | None = None) -> None:
        if self.lesion_segments_node is None:
            return
        if changed is None:
            self.lesion_segments(True)
        else:
            kept = {key: self.review.kept(key) for key in changed}
            lesion_segments.mark(self.lesion_segments_node, kept)
