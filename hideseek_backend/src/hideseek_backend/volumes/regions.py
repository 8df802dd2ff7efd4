"""Regions that a reader drew or another tool found: a mask on the CT, taken apart by vertebra."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from hideseek_backend.errors import InputError
from hideseek_backend.volumes.grids import onto_grid
from hideseek_backend.volumes.reading import read_label_map
from hideseek_backend.volumes.vertebrae import Vertebrae
from hideseek_backend.volumes.volume import Volume


@dataclass(frozen=True, eq=False)
class Region:
    """One region. box: where it lies in the CT; mask: (I, J, K) bool within it. value: its label in
    the file. level: of the vertebra that holds most of it, or None where none does."""

    box: tuple[slice, ...]
    mask: NDArray[np.bool_]
    value: int
    level: str | None

    def in_box(self, low: tuple[int, ...], shape: tuple[int, ...]) -> NDArray[np.bool_]:
        """The region on another box of the CT: its corner and shape; what is outside is left."""
        out = np.zeros(shape, dtype=bool)
        index = np.argwhere(self.mask) + [s.start for s in self.box] - np.asarray(low)
        inside = ((index >= 0) & (index < shape)).all(axis=1)
        out[tuple(index[inside].T)] = True
        return out


def read_regions(
    source: str | Path | Volume, ct: Volume, vertebrae: Vertebrae, *, whole_labels: bool = False
) -> tuple[list[Region], tuple[str, ...]]:
    """Read a mask's regions, the largest first, and warnings.

    source: a label map on disk or as a Volume, brought onto the CT's grid. whole_labels: each value
    is one region; else each connected part (26 neighbours) of each value.

    Raises InputError for a mask without voxels or without any in a vertebra, and what reading and
    `onto_grid` raise.
    """
    warnings: tuple[str, ...] = ()
    name = "the candidate mask"
    if not isinstance(source, Volume):
        found = read_label_map(source)
        source, warnings, name = found.volume, found.warnings, found.source
    labels, grid_warnings = onto_grid(source, ct, name)
    parts = _parts(np.asarray(labels), whole_labels)
    if not parts:
        raise InputError(
            f"Expected regions in {name}, got a mask without labels.",
            "Check that the segmentation was saved and is not empty.",
        )
    by_value = {value: level for level, value in vertebrae.levels.items()}
    regions = []
    for box, mask, value in parts:
        held = vertebrae.labels[box][mask]
        counts = np.bincount(held[held > 0], minlength=1)
        level = by_value[int(counts.argmax())] if counts.any() else None
        regions.append(Region(box, mask, value, level))
    regions.sort(key=lambda region: -int(region.mask.sum()))
    outside = sum(region.level is None for region in regions)
    if outside == len(regions):
        raise InputError(
            f"Expected regions within the vertebrae in {name}, got none there.",
            "Check that both masks are of this CT.",
        )
    if outside:
        warnings += (f"{outside} of {len(regions)} regions of {name} lie in no vertebra.",)
    return regions, warnings + grid_warnings


def _parts(
    labels: NDArray[Any], whole_labels: bool
) -> list[tuple[tuple[slice, ...], NDArray[np.bool_], int]]:
    parts = []
    for value, box in _boxes(labels).items():
        own = labels[box] == value
        if whole_labels:
            parts.append((box, own, value))
            continue
        pieces, _ = ndimage.label(own, np.ones((3, 3, 3)))
        for number, inner in enumerate(ndimage.find_objects(pieces), start=1):
            where = tuple(
                slice(b.start + s.start, b.start + s.stop) for b, s in zip(box, inner, strict=True)
            )
            parts.append((where, pieces[inner] == number, value))
    return parts


def _boxes(labels: NDArray[Any]) -> Mapping[int, tuple[slice, ...]]:
    """The box of each value above 0, however large the values are."""
    values = np.unique(labels)
    values = values[values > 0]
    places = np.searchsorted(values, labels) + 1
    places[labels <= 0] = 0
    boxes = ndimage.find_objects(places.astype(np.int32))
    return {int(value): box for value, box in zip(values, boxes, strict=True) if box is not None}
