"""Nodes for tests: a CT from an array, a segmentation from masks, a scene reopened."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import replies
import slicer
import slicer.util
import vtk

from HideSeekLib.anatomy.geometry import to_numpy, to_vtk
from HideSeekLib.case import case as case_scene
from HideSeekLib.wire import arrays


def add_ct(
    scene: Any,
    voxels: np.ndarray,
    affine: np.ndarray,
    name: str = "CT",
    class_name: str = "vtkMRMLScalarVolumeNode",
) -> Any:
    """Add a volume node with voxels (I, J, K)."""
    node = scene.AddNewNodeByClass(class_name, name)
    slicer.util.updateVolumeFromArray(node, np.ascontiguousarray(voxels.transpose(2, 1, 0)))
    node.SetIJKToRASMatrix(to_vtk(affine))
    node.CreateDefaultDisplayNodes()
    return node


def add_segmentation(
    scene: Any, ct: Any, segments: dict[str, tuple[str, np.ndarray]], name: str = "Vertebrae"
) -> Any:
    """Add a segmentation node: segment id -> (name, mask (I, J, K) on the CT's grid)."""
    node = scene.AddNewNodeByClass("vtkMRMLSegmentationNode", name)
    node.SetReferenceImageGeometryParameterFromVolumeNode(ct)
    node.CreateDefaultDisplayNodes()
    for segment_id, (segment_name, mask) in segments.items():
        node.GetSegmentation().AddEmptySegment(segment_id, segment_name)
        array = np.ascontiguousarray(mask.astype(np.uint8).transpose(2, 1, 0))
        slicer.util.updateSegmentBinaryLabelmapFromArray(array, node, segment_id, ct)
    return node


def mask_of(node: Any, segment_id: str, ct: Any) -> np.ndarray:
    """A segment on the CT's grid, (I, J, K) bool, as Slicer's own utilities export it."""
    array = slicer.util.arrayFromSegmentBinaryLabelmap(node, segment_id, ct)
    return array.transpose(2, 1, 0).astype(bool)


def save_and_reopen(app: Any, folder: Path) -> Any:
    """Write the scene to an .mrb, close it, and open it in a new scene; returns the new app."""
    from slicer_core_app import CoreApp

    from HideSeekLib.case.scene_file import save_mrb

    path = folder / "case.mrb"
    save_mrb(app.scene, path)
    app.close()
    fresh = CoreApp()
    if not fresh.scene.ReadFromMRB(str(path)):
        raise RuntimeError(f"could not read {path}")
    return fresh


def to_numpy_affine(node):
    matrix = vtk.vtkMatrix4x4()
    node.GetIJKToRASMatrix(matrix)
    return to_numpy(matrix)


CASE_SHAPE = (90, 80, 60)
CASE_GRIDS = {
    "oblique anisotropic": replies.ct_affine(),
    "oblique, fine, not flipped": replies.ct_affine((0.4, 0.4, 0.9), turn=-0.35, flip=False),
    "axis-aligned": replies.ct_affine((1.0, 1.0, 1.0), turn=0.0),
}


def make_case(scene, affine, levels=("T10",), **kwargs):
    ct = add_ct(
        scene,
        np.full(CASE_SHAPE, 50, np.int16) + np.arange(CASE_SHAPE[0], dtype=np.int16)[:, None, None],
        affine,
    )
    masks = {}
    for n, level in enumerate(levels):
        mask = np.zeros(CASE_SHAPE, bool)
        mask[10:70, 10:60, 5 + 12 * n : 15 + 12 * n] = True
        masks[f"vertebrae_{level}"] = (f"{level} vertebra", mask)
    segmentation = add_segmentation(scene, ct, masks)
    case = case_scene.begin_run(
        ct,
        segmentation,
        model={"name": "bundled", "hash": "abc"},
        options={"tau": 0.5},
        levels=levels,
        **kwargs,
    )
    return ct, segmentation, case


def expected_mask(reply_message, numbers):
    labels = arrays.decode(reply_message["block_labels"])
    out = np.zeros(CASE_SHAPE, bool)
    i, j, k = reply_message["block_origin_ijk"]
    a, b, c = labels.shape
    out[i : i + a, j : j + b, k : k + c] = np.isin(labels, numbers)
    return out
