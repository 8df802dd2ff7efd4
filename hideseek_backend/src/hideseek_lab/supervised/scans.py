"""Scans to learn from: image channels, lesion mask and bone labels on one grid."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from hideseek_backend.volumes.crops import CROP_SPACING_MM
from hideseek_backend.wire.levels import LEVELS
from hideseek_lab.benchmark.baselines.common import to_unit
from hideseek_lab.benchmark.dataset import SliceSet

#: classes of the anatomical pretraining: regions of the spine, as Wuts et al.
REGIONS = ("cervical", "thoracic", "lumbar")
_FIRST = {"C": 1, "T": 2, "L": 3}
REGION_OF: dict[str, int] = {level: _FIRST[level[0]] for level in LEVELS}


@dataclass(frozen=True, eq=False)
class Scan:
    """One scan, or one vertebra's slices, on its own grid.

    image: (C, I, J, K) float, each channel in [0, 1]. lesions: (I, J, K) uint8, 1 lytic,
    2 blastic. bones: (I, J, K) uint8, 0 or one more than the index in REGIONS.
    spacing: mm per axis. patient: scans of one patient share it and are never parted.
    affine: (4, 4) index -> RAS mm, where the scan has a place in a patient.
    """

    name: str
    patient: str
    image: NDArray[np.floating]
    lesions: NDArray[np.uint8]
    bones: NDArray[np.uint8]
    spacing: tuple[float, float, float]
    affine: NDArray[np.float64] = field(default_factory=lambda: np.eye(4))

    @property
    def shape(self) -> tuple[int, int, int]:
        i, j, k = self.lesions.shape
        return int(i), int(j), int(k)

    @property
    def malignant(self) -> bool:
        return bool(self.lesions.any())


def scans_of(vertebrae: SliceSet, patients: Sequence[str] | None = None) -> list[Scan]:
    """Make a scan of each vertebra's five central slices: image (1, 64, 64, 5).

    patients: (N,) by default the source, for every phantom vertebra is of another patient.
    """
    own = vertebrae.source.tolist() if patients is None else list(patients)
    made = []
    for n in range(len(vertebrae)):
        region = REGION_OF[str(vertebrae.level[n])]
        made.append(
            Scan(
                f"{vertebrae.source[n]}:{vertebrae.level[n]}",
                own[n],
                np.moveaxis(to_unit(vertebrae.hu[n]), 0, 2)[None],
                np.moveaxis(vertebrae.truth[n], 0, 2),
                np.moveaxis(vertebrae.body[n].astype(np.uint8) * np.uint8(region), 0, 2),
                (CROP_SPACING_MM,) * 3,
            )
        )
    return made
