"""Files into the scene: CT, vertebrae and saved scenes; names and contents that are no such thing
are refused with a sentence."""

from __future__ import annotations

import os
import zipfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np
import slicer
from trame_slicer.core.volumes_reader import VolumesReader

from HideSeekLib.anatomy import geometry
from HideSeekLib.anatomy.labelmaps import add_segment, new_image
from HideSeekLib.errors import InputError
from HideSeekLib.i18n import _

SCENE = (".mrb",)
SEGMENTATION = (".seg.nrrd",)
IMAGE = (".nii.gz", ".nii", ".nrrd", ".nhdr", ".mha", ".mhd")
_LONGEST = 128
_SAMPLE = 4096


@dataclass(frozen=True)
class Found:
    """What a list of paths holds: a saved scene, or a CT (one file, or DICOM) and vertebrae."""

    scene: Path | None = None
    ct: tuple[Path, ...] = ()
    vertebrae: Path | None = None


def checked_name(name: str) -> str:
    """Return the bare name of a file that was sent here. Raises InputError for any other."""
    short = repr(name if len(name) <= 40 else name[:37] + "…")
    if not name or name != PurePosixPath(name.replace("\\", "/")).name or name.startswith("."):
        raise InputError(_("{name} is not the name of a file.").format(name=short))
    if len(name.encode()) > _LONGEST or not name.isprintable():
        raise InputError(
            _(
                "The file name {name} is too long or has control characters. Rename the file."
            ).format(name=short)
        )
    return name


def find(paths: Sequence[Path]) -> Found:
    """Tell what the paths are. A folder holds a CT and vertebrae by these names, or DICOM.

    Raises InputError for a path that is not there or is of no known kind.
    """
    for path in paths:
        if not path.exists():
            raise InputError(_("{path} is not there.").format(path=path))
    if len(paths) == 1 and paths[0].is_dir():
        named = {p.name for p in paths[0].iterdir()}
        cts = [f"ct{end}" for end in IMAGE if f"ct{end}" in named]
        masks = [f"vertebrae{end}" for end in (*SEGMENTATION, *IMAGE) if f"vertebrae{end}" in named]
        if cts and masks:
            return Found(ct=(paths[0] / cts[0],), vertebrae=paths[0] / masks[0])
    scenes = [p for p in paths if p.name.lower().endswith(SCENE)]
    if scenes:
        if len(paths) > 1:
            raise InputError(_("Open a saved scene (.mrb) alone, without other files."))
        return Found(scene=scenes[0])
    segmentations = [p for p in paths if p.name.lower().endswith(SEGMENTATION)]
    images = [p for p in paths if p.name.lower().endswith(IMAGE) and p not in segmentations]
    slices = [p for p in paths if p not in segmentations and p not in images]
    dicom = [q for p in slices for q in (sorted(p.rglob("*")) if p.is_dir() else [p])]
    strangers = [p for p in dicom if p.is_file() and not _is_dicom(p)]
    dicom = [p for p in dicom if p.is_file() and p not in strangers]
    if strangers and (not dicom or any(p in slices for p in strangers)):
        raise InputError(
            _(
                "'{name}' is neither a CT nor a segmentation. Give .nii.gz, .nrrd, .mha, DICOM, "
                ".seg.nrrd or .mrb."
            ).format(name=strangers[0].name)
        )
    if dicom:
        images_left = [*segmentations, *images]
        if len(images_left) > 1:
            raise InputError(_("Give one CT and one vertebra segmentation."))
        return Found(ct=tuple(dicom), vertebrae=images_left[0] if images_left else None)
    if len(images) + len(segmentations) > 2 or len(segmentations) > 1:
        raise InputError(_("Give one CT and one vertebra segmentation."))
    if segmentations:
        return Found(ct=tuple(images[:1]), vertebrae=segmentations[0])
    if len(images) == 2:
        masks_first = sorted(images, key=lambda p: (not _sounds_like_mask(p), images.index(p)))
        mask = masks_first[0] if _sounds_like_mask(masks_first[0]) else images[1]
        return Found(ct=tuple(p for p in images if p != mask), vertebrae=mask)
    return Found(ct=tuple(images))


def _sounds_like_mask(path: Path) -> bool:
    name = path.name.lower()
    return any(word in name for word in ("seg", "mask", "msk", "vert", "label"))


def _is_dicom(path: Path) -> bool:
    with path.open("rb") as file:
        return file.read(132)[128:] == b"DICM"


def study_of(paths: Sequence[Path]) -> str:
    """The folder, or the folder of the files, of a DICOM study among paths; "" where none is."""
    for path in paths:
        if path.is_dir() and any(p.is_file() and _is_dicom(p) for p in path.rglob("*")):
            return str(path)
        if path.is_file() and not path.name.lower().endswith(IMAGE + SEGMENTATION + SCENE):
            return str(path.parent)
    return ""


def load_ct(app: Any, files: Sequence[Path]) -> Any:
    """Read a CT into the scene. Of several series the one with the most voxels is kept.

    Raises InputError when it cannot be read.
    """
    try:
        found = VolumesReader.load_volumes(app.scene, app.core.app_logic, [str(p) for p in files])
    except Exception as error:  # pydicom and ITK raise many kinds, all of them: not readable
        raise InputError(
            _("'{name}' cannot be read: {error}").format(name=files[0].name, error=error)
        ) from error
    if not found:
        raise InputError(
            _("'{name}' cannot be read as an image. Is it damaged?").format(name=files[0].name)
        )
    found.sort(key=lambda node: node.GetImageData().GetNumberOfPoints())
    for node in found[:-1]:
        app.scene.RemoveNode(node)
    ct = found[-1]
    for end in IMAGE:
        ct.SetName(ct.GetName().removesuffix(end))
    return ct


def put_ct(scene: Any, read: Any) -> Any:
    """Put a CT that was read into a scene that was closed since, with a bone window."""
    ct = _put(scene, read)
    ct.CreateDefaultDisplayNodes()
    display = ct.GetDisplayNode()
    display.AutoWindowLevelOff()
    display.SetWindowLevel(1400, 300)
    return ct


def put_vertebrae(scene: Any, read: Any, ct: Any) -> Any:
    """Put a segmentation that was read into a scene that was closed since, as outlines."""
    node = _put(scene, read)
    node.SetReferenceImageGeometryParameterFromVolumeNode(ct)
    node.CreateDefaultDisplayNodes()
    show_outlines(node)
    return node


def _put(scene: Any, read: Any) -> Any:
    """A new node with the content of one that left the scene; its data are not copied."""
    node = scene.AddNewNodeByClass(read.GetClassName(), read.GetName())
    node.CopyContent(read, False)
    return node


def show_outlines(segmentation_node: Any) -> None:
    """Show segments as lines in slices and faintly in 3D."""
    display = segmentation_node.GetDisplayNode()
    if display is not None:
        display.SetVisibility2DFill(False)
        display.SetOpacity2DOutline(0.5)
        display.SetOpacity3D(0.25)


def load_vertebrae(app: Any, path: Path, ct: Any) -> Any:
    """Read a vertebra segmentation; a label map gets one segment a value, named "label 20".

    Raises InputError when it cannot be read.
    """
    if path.name.lower().endswith(SEGMENTATION):
        logic = app.core.segmentations_logic
        node = logic.LoadSegmentationFromFile(str(path), True, path.name.split(".")[0])
        if node is None:
            raise InputError(_("'{name}' cannot be read as a segmentation.").format(name=path.name))
    else:
        node = _segments_of_labels(app.scene, path, ct)
    show_outlines(node)
    return node


def _segments_of_labels(scene: Any, path: Path, ct: Any) -> Any:
    labels = slicer.vtkMRMLLabelMapVolumeNode()
    scene.AddNode(labels)
    storage = slicer.vtkMRMLVolumeArchetypeStorageNode()
    storage.SetFileName(str(path))
    try:
        if not storage.ReadData(labels):
            raise InputError(_("'{name}' cannot be read as a label map.").format(name=path.name))
        grid, voxels = geometry.grid_of(labels), geometry.voxels_of(labels)
        values = np.unique(voxels)
        if len(values) > 256:
            raise InputError(
                _("'{name}' has {n} different values: it is an image, not a label map.").format(
                    name=path.name, n=len(values)
                )
            )
        node = scene.AddNewNodeByClass("vtkMRMLSegmentationNode", path.name.split(".")[0])
        node.SetReferenceImageGeometryParameterFromVolumeNode(ct)
        node.CreateDefaultDisplayNodes()
        for value in values[values > 0].astype(int).tolist():
            mask = voxels == value
            box_corners = geometry.box_of(mask)
            assert box_corners is not None  # the value is there
            low, high = box_corners
            image, view = new_image(grid, low, high - low)
            box = mask[tuple(slice(a, b) for a, b in zip(low, high, strict=True))]
            view[:] = box.transpose(2, 1, 0).reshape(-1)
            add_segment(node, f"label_{value}", f"label {value}", (0.9, 0.85, 0.7), "", image)
    finally:
        scene.RemoveNode(labels)
    return node


def check_scene(path: Path) -> None:
    """Refuse what is no saved scene, or would write outside its folder. Raises InputError."""
    try:
        with zipfile.ZipFile(path) as archive:
            names = archive.namelist()
    except (OSError, zipfile.BadZipFile) as error:
        raise InputError(_("'{name}' is not a saved scene.").format(name=path.name)) from error
    outside = [n for n in names if os.path.isabs(n) or ".." in PurePosixPath(n).parts]
    if outside or not any(n.endswith(".mrml") for n in names):
        raise InputError(_("'{name}' is not a saved scene.").format(name=path.name))
