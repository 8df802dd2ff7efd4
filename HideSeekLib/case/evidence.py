"""The healthy edit and the difference as volumes in the CT's frame."""

from __future__ import annotations

from typing import Any

import numpy as np
import slicer
import vtk
from vtk.util import numpy_support

from HideSeekLib.anatomy.geometry import to_vtk
from HideSeekLib.wire.codes import COLORS
from HideSeekLib.wire.records import Evidence

# What stands in slices that were not edited, where edited ones lie on both sides of them.
_AIR_HU = -1024.0
_COLORS = "HideSeek.DifferenceColors"
# Differences below this part of the window's reach (60 HU of 300) are not shown.
_QUIET = 0.2


def right_handed(
    volume: np.ndarray, affine: np.ndarray, slices: tuple[int, ...], fill: float
) -> tuple[np.ndarray, np.ndarray]:
    """Turn crop slices (64, 64, n), at indices `slices` of axis 2, into a volume and its affine.

    The crop's axes (posterior, superior, right) are left-handed, which volume rendering and some
    file formats do not bear, so axis 2 is turned round: right becomes left. Voxels stay where they
    were. Slices missing between the first and the last are filled with `fill`.
    """
    first, last = min(slices), max(slices)
    out = np.full((*volume.shape[:2], last - first + 1), fill, np.float32)
    out[:, :, [last - k for k in slices]] = volume
    turned = affine.copy()
    turned[:3, 2] = -affine[:3, 2]
    turned[:3, 3] = affine[:3, 3] + affine[:3, 2] * last
    return out, turned


def write_volume(node: Any, volume: np.ndarray, affine: np.ndarray) -> None:
    """Put an (I, J, K) array with its affine (index -> RAS mm) into a scalar volume node."""
    image = node.GetImageData()
    if image is None:
        image = vtk.vtkImageData()
    flat = np.ascontiguousarray(volume.transpose(2, 1, 0)).reshape(-1)
    scalars = numpy_support.numpy_to_vtk(flat, deep=True)
    image.SetDimensions(*(int(n) for n in volume.shape))
    image.GetPointData().SetScalars(scalars)
    node.SetIJKToRASMatrix(to_vtk(affine))
    node.SetAndObserveImageData(image)


def show(node: Any, ct_node: Any, unit: str, difference: bool) -> None:
    """Give a volume a fitting window: the CT's own for a healthy edit in HU, symmetric for a
    difference; without HU the volume's own range."""
    node.CreateDefaultDisplayNodes()
    display = node.GetDisplayNode()
    if display is None:
        return
    ct_display = ct_node.GetDisplayNode() if ct_node is not None else None
    if difference:
        low, high = node.GetImageData().GetScalarRange()
        reach = 300.0 if unit == "HU" else max(abs(low), abs(high), 1e-6)
        display.AutoWindowLevelOff()
        display.SetWindowLevelMinMax(-reach, reach)
        display.SetAndObserveColorNodeID(difference_colors(node.GetScene()).GetID())
    elif (
        unit == "HU" and ct_display is not None and ct_display.IsA("vtkMRMLScalarVolumeDisplayNode")
    ):
        display.AutoWindowLevelOff()
        display.SetWindowLevel(ct_display.GetWindow(), ct_display.GetLevel())


def difference_colors(scene: Any) -> Any:
    """Colour table of difference volumes, one for the scene: blue, through transparent, to red.

    Red is bone restored (lytic), blue is bone taken away (blastic), as everywhere else.
    """
    for index in range(scene.GetNumberOfNodesByClass("vtkMRMLColorTableNode")):
        node = scene.GetNthNodeByClass(index, "vtkMRMLColorTableNode")
        if node.GetAttribute(_COLORS):
            return node
    node = scene.AddNewNodeByClass("vtkMRMLColorTableNode", "HideSeek difference")
    node.SetAttribute(_COLORS, "1")
    node.SetTypeToUser()
    node.SetNumberOfColors(256)
    for index in range(256):
        strength = abs(index - 127.5) / 127.5
        polarity = "lytic" if index > 127 else "blastic"
        name = f"{(index - 127.5) / 127.5:+.2f}"
        # Slice views show a colour wholly or not at all, so strength is told by saturation.
        vivid = min(1.0, 1.6 * strength)
        color = [vivid * part + (1 - vivid) * 0.55 for part in COLORS[polarity]]
        node.SetColor(index, name, *color, 0.0 if strength < _QUIET else 1.0)
    return node


def put(healthy_node: Any, difference_node: Any, ct_node: Any, evidence: Evidence) -> None:
    """Write a vertebra's evidence into its two volume nodes."""
    in_hu = evidence.unit == "HU"
    for node, data, fill in (
        (healthy_node, evidence.healthy, _AIR_HU if in_hu else float(evidence.healthy.min())),
        (difference_node, evidence.difference, 0.0),
    ):
        volume, affine = right_handed(data, evidence.affine, evidence.slices, fill)
        write_volume(node, volume, affine)
        # The report of a reopened scene needs the unit and the crop's slices again.
        node.SetAttribute("HideSeek.Unit", evidence.unit)
        node.SetAttribute("HideSeek.Slices", " ".join(str(k) for k in evidence.slices))
        if in_hu:
            node.SetVoxelValueUnits(_hu_code())
        show(node, ct_node, evidence.unit, node is difference_node)


def _hu_code() -> Any:
    """Slicer's coded unit for Hounsfield units."""
    code = slicer.vtkCodedEntry()
    code.SetValueSchemeMeaning("[hnsf'U]", "UCUM", "Hounsfield unit")
    return code
