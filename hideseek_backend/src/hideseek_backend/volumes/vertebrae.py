"""A CT with its vertebrae: levels, whole vertebrae and bodies on the CT's grid."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from hideseek_backend.errors import InputError, LabelError
from hideseek_backend.volumes import checks
from hideseek_backend.volumes.bodies import split_body
from hideseek_backend.volumes.grids import onto_grid
from hideseek_backend.volumes.labels import choose_labels
from hideseek_backend.volumes.names import SegmentName
from hideseek_backend.volumes.reading import (
    LabelMap,
    ScanFile,
    read_label_map,
    read_scan,
    whole_numbers,
)
from hideseek_backend.volumes.strays import MIN_VERTEBRA_MM3, without_strays
from hideseek_backend.volumes.volume import Volume
from hideseek_backend.wire.acquisition import UNTOLD, Acquisition
from hideseek_backend.wire.levels import LEVELS, VERSE_VALUES

SUBREGION_BODIES = (49, 50)  # SPINEPS: corpus border and corpus
_MIN_BODY_MM3 = 300.0


@dataclass(frozen=True, eq=False)
class Vertebrae:
    """Hold every vertebra of a CT.

    labels, bodies: (I, J, K) uint8 on the CT's grid; a voxel of a level has the value
    `levels[name]` in `labels`, and in `bodies` where it belongs to the vertebral body.
    levels: name ("T12") -> value, in cranio-caudal order; `load_case` uses VerSe's values.
    scheme: where the levels came from: "names", "verse", "totalsegmentator",
    "totalsegmentator-v1" or "custom". body_source: "given" or "geometry".
    """

    labels: NDArray[np.uint8]
    bodies: NDArray[np.uint8]
    levels: dict[str, int]
    scheme: str = "verse"
    body_source: str = "given"

    def bounds(self, level: str) -> tuple[NDArray[np.int_], NDArray[np.int_]]:
        """Return the box low <= index < high, (3,) each, that holds a level's body and vertebra.

        Raises LabelError when the level has no voxel.
        """
        box = self._boxes.get(self.levels.get(level, -1))
        if box is None:
            raise LabelError(
                f"Expected voxels of {level} in the segmentation, got none.",
                f"Choose among {', '.join(self.levels) or 'no levels at all'}.",
            )
        return np.array([s.start for s in box]), np.array([s.stop for s in box])

    @cached_property
    def _boxes(self) -> dict[int, tuple[slice, ...]]:
        found: dict[int, tuple[slice, ...]] = {}
        for array in (self.labels, self.bodies):
            for value, box in enumerate(ndimage.find_objects(array), start=1):
                if box is not None:
                    found[value] = _union(found[value], box) if value in found else box
        return found


@dataclass(frozen=True, eq=False)
class LoadedCase:
    """A CT in HU, its vertebrae on the same grid, and what the user should know about them.
    scan: how the CT was made."""

    ct: Volume
    vertebrae: Vertebrae
    warnings: tuple[str, ...] = ()
    scan: Acquisition = UNTOLD


def load_case(
    ct_path: str | Path | Volume,
    vertebrae_path: str | Path | Volume,
    *,
    bodies_path: str | Path | Volume | None = None,
    labels: str | Path | Mapping[str, int] | None = None,
    levels: Sequence[str] | None = None,
    series: str | None = None,
) -> LoadedCase:
    """Read a CT, its vertebra mask and, if given, its body mask, and check them.

    Each of the three is a path or a `Volume`. A CT is NIfTI, NRRD, MetaImage or a DICOM folder.
    labels: "verse", "totalsegmentator", "totalsegmentator-v1", a JSON file {level: value} or such
    a mapping; None to go by the names in the file, or by the values where only one scheme fits.
    In the body mask 49 and 50 are bodies where present, else 1 where only 1 and 2 occur, else every
    voxel that is not 0. Without one, bodies are split off by geometry.
    levels: those whose bodies are wanted, all by default; splitting a body off takes time.
    series: of a DICOM study, its uid or number; see `dicom.read_study`.

    Raises InputError, GeometryError or LabelError, each saying what to do.
    """
    file = ScanFile(ct_path) if isinstance(ct_path, Volume) else read_scan(ct_path, series)
    ct, warnings = file.volume, file.warnings
    warnings += checks.check_grid(ct) + checks.check_hu(ct)
    mask = _label_map(vertebrae_path, "the vertebra mask")
    given = None if bodies_path is None else _label_map(bodies_path, "the body mask")
    choice = choose_labels(mask.volume, mask.names, labels, mask.source)
    on_ct, grid_warnings = onto_grid(mask.volume, ct, mask.source)
    warnings += mask.warnings + choice.warnings + grid_warnings

    canonical, present = _canonical(on_ct, choice.values)
    canonical, lost = without_strays(canonical, ct.spacing)
    if lost:
        text = ", ".join(
            f"{level} {lost[value]}" for level, value in present.items() if value in lost
        )
        warnings += (f"Stray voxels far from their vertebrae were left out: {text}.",)
    canonical, present, dropped = _without_crumbs(canonical, present, ct.voxel_volume_mm3)
    warnings += dropped
    if not present:
        raise LabelError(
            f"Expected vertebrae within the CT in {mask.source}, got none of a vertebra's size.",
            "Check that mask and CT are of one patient and one scan.",
        )
    warnings += checks.check_bone(ct, canonical, mask.source)
    if given is None:
        wanted = [level for level in present if levels is None or level in levels]
        bodies = _split_all(canonical, present, ct, wanted)
        source = "geometry"
    else:
        body_labels, body_warnings = onto_grid(given.volume, ct, given.source)
        warnings += given.warnings + body_warnings
        bodies = np.where(body_voxels(body_labels, given.names), canonical, 0).astype(np.uint8)
        wanted = [level for level in present if levels is None or level in levels]
        bodies, body_warnings = _complete(bodies, canonical, present, wanted, ct, given.source)
        warnings += body_warnings
        source = "given"
    vertebrae = Vertebrae(canonical, bodies, present, choice.scheme, source)
    return LoadedCase(ct, vertebrae, warnings, file.scan)


def body_voxels(
    labels: NDArray[Any], names: Mapping[int, SegmentName] | None = None
) -> NDArray[np.bool_]:
    """Return the mask of body voxels in a body file's labels (I, J, K).

    49 and 50 where present, else 1 where only 1 and 2 occur, else all that is not 0. Names that
    give levels (vertebrae_pp of C1 and C2 alone) show that 1 and 2 are levels.

    Raises InputError when there is none.
    """
    present = {int(value) for value in np.unique(labels) if value > 0}
    if not present:
        raise InputError(
            "Expected bodies in the body mask, got a mask without labels.",
            "Check the file, or leave it out: bodies are then split off by geometry.",
        )
    if present & set(SUBREGION_BODIES) and not _names_levels(names, present):
        return np.isin(labels, SUBREGION_BODIES)
    if present <= {1, 2} and not _names_levels(names, present):
        if 1 not in present:
            raise InputError(
                "Expected bodies (1) in the body mask, got only discs (2).",
                "Check the file, or leave it out: bodies are then split off by geometry.",
            )
        return np.asarray(labels == 1)
    return np.asarray(labels > 0)


def _names_levels(names: Mapping[int, SegmentName] | None, present: set[int]) -> bool:
    return any(name.level is not None for value, name in (names or {}).items() if value in present)


def _label_map(source: str | Path | Volume, what: str) -> LabelMap:
    if not isinstance(source, Volume):
        return read_label_map(source)
    return LabelMap(source.with_data(whole_numbers(source.data, what)), source=what)


def _canonical(
    labels: NDArray[Any], values: Mapping[int, str]
) -> tuple[NDArray[np.uint8], dict[str, int]]:
    """Renumber any scheme to VerSe's values; other structures become 0."""
    # Labels of other structures may be huge: the table ends with the last vertebra.
    last = max(values)
    table = np.zeros(last + 1, dtype=np.uint8)
    for value, level in values.items():
        table[value] = VERSE_VALUES[level]
    canonical = table[np.where(labels <= last, labels, 0)]
    present = set(np.unique(canonical).tolist())
    return canonical, {
        level: VERSE_VALUES[level] for level in LEVELS if VERSE_VALUES[level] in present
    }


def _without_crumbs(
    labels: NDArray[np.uint8], levels: dict[str, int], voxel_mm3: float
) -> tuple[NDArray[np.uint8], dict[str, int], tuple[str, ...]]:
    """Leave out levels of which next to nothing is in the CT, saying so."""
    counts = np.bincount(labels.ravel(), minlength=256) * voxel_mm3
    small = {level: value for level, value in levels.items() if counts[value] < MIN_VERTEBRA_MM3}
    if not small:
        return labels, levels, ()
    kept = np.where(np.isin(labels, list(small.values())), 0, labels).astype(np.uint8)
    text = ", ".join(f"{level} ({counts[value]:.0f} mm³)" for level, value in small.items())
    return (
        kept,
        {level: value for level, value in levels.items() if level not in small},
        (f"Left out, too small to be a vertebra within the CT: {text}.",),
    )


def _split_all(
    labels: NDArray[np.uint8], levels: Mapping[str, int], ct: Volume, wanted: Sequence[str]
) -> NDArray[np.uint8]:
    """Split the body off each wanted level by geometry."""
    bodies = np.zeros_like(labels)
    boxes = ndimage.find_objects(labels)
    for level in wanted:
        value = levels[level]
        box = boxes[value - 1]
        if box is None:
            continue
        affine = ct.affine.copy()
        affine[:3, 3] = ct.ras([s.start for s in box])
        bodies[box][split_body(labels[box] == value, affine)] = value
    return bodies


def _complete(
    bodies: NDArray[np.uint8],
    labels: NDArray[np.uint8],
    levels: Mapping[str, int],
    wanted: Sequence[str],
    ct: Volume,
    source: str,
) -> tuple[NDArray[np.uint8], tuple[str, ...]]:
    """Split bodies off by geometry where the body mask has none."""
    counts = np.bincount(bodies.ravel(), minlength=256) * ct.voxel_volume_mm3
    missing = tuple(level for level in wanted if counts[levels[level]] < _MIN_BODY_MM3)
    if not missing:
        return bodies, ()
    if not any(counts[value] >= _MIN_BODY_MM3 for value in levels.values()):
        raise InputError(
            f"Expected bodies of {', '.join(levels)} in {source}, got none within these vertebrae.",
            "Check that the body mask is of the same CT, or leave it out.",
        )
    split = _split_all(labels, levels, ct, missing)
    cleared = np.where(np.isin(labels, [levels[level] for level in missing]), 0, bodies)
    text = f"{source} has no body of {', '.join(missing)}: split off by geometry."
    return np.where(split > 0, split, cleared).astype(np.uint8), (text,)


def _union(a: tuple[slice, ...], b: tuple[slice, ...]) -> tuple[slice, ...]:
    return tuple(
        slice(min(x.start, y.start), max(x.stop, y.stop)) for x, y in zip(a, b, strict=True)
    )
