"""Vertebra and body masks on the CT's grid."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from hideseek_backend.errors import LabelError


@dataclass(frozen=True, eq=False)
class Vertebrae:
    """Hold every vertebra of a CT.

    labels, bodies: (I, J, K) uint8 on the CT's grid; a voxel of a level has the value
    `levels[name]` in `labels`, and in `bodies` where it belongs to the vertebral body.
    levels: name ("T12") -> value, in cranio-caudal order.
    scheme: where the values came from, e.g. "verse". body_source: "given" or "geometry".
    """

    labels: NDArray[np.uint8]
    bodies: NDArray[np.uint8]
    levels: dict[str, int]
    scheme: str = "verse"
    body_source: str = "given"
    _boxes: dict[int, tuple[slice, ...]] = field(default_factory=dict, repr=False)

    def bounds(self, level: str) -> tuple[NDArray[np.int_], NDArray[np.int_]]:
        """Return the box low <= index < high, (3,) each, that holds a level's body and vertebra.

        Raises LabelError when the level has no voxel.
        """
        if not self._boxes:
            found: dict[int, tuple[slice, ...]] = {}
            for array in (self.labels, self.bodies):
                for value, box in enumerate(ndimage.find_objects(array), start=1):
                    if box is not None:
                        found[value] = _union(found[value], box) if value in found else box
            self._boxes.update(found)
        box = self._boxes.get(self.levels.get(level, -1))
        if box is None:
            raise LabelError(
                f"Expected voxels of {level} in the segmentation, got none.",
                f"Choose among {', '.join(self.levels) or 'no levels at all'}.",
            )
        return np.array([s.start for s in box]), np.array([s.stop for s in box])


def _union(a: tuple[slice, ...], b: tuple[slice, ...]) -> tuple[slice, ...]:
    return tuple(
        slice(min(x.start, y.start), max(x.stop, y.stop)) for x, y in zip(a, b, strict=True)
    )
