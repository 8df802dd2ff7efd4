"""The truth tables: one row per lesion, one per vertebra."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy import ndimage

from .vertebra import Anatomy

_CENTRAL_MM = 2.0  # half width of the central sagittal slab
_SPECK_MM3 = 15.0
_CONNECTED = np.ones((3, 3, 3))  # a lesion is one part when its voxels touch by a corner
_NAMES = {1: "lytic", 2: "blastic"}


@dataclass(frozen=True)
class TruthLesion:
    """One connected lytic or blastic part of a vertebra's truth.

    kind: of the focus it belongs to ("focal", "diffuse", "interwoven"); centroid_ras: mm;
    touches_cortex: it reaches within a voxel of the body's surface; crosses_centre: it meets the
    sagittal slab of +-2 mm about the body's centre.
    """

    level: str
    lesion: int
    polarity: str
    kind: str
    centroid_ras: tuple[float, float, float]
    volume_mm3: float
    touches_cortex: bool
    crosses_centre: bool


@dataclass(frozen=True)
class VertebraTruth:
    """The class of one vertebra.

    phenotype: healthy, lytic, blastic or mixed; benign: findings. heights_mm: anterior, middle and
    posterior height of the body as drawn; None where it was not asked for.
    """

    level: str
    malignant: bool
    phenotype: str
    benign: tuple[str, ...]
    heights_mm: tuple[float, float, float] | None = None


def vertebra_truth(anatomy: Anatomy, *, heights: bool = False) -> VertebraTruth:
    """Return the vertebra's class and findings, and its heights where asked for."""
    malignant = anatomy.phenotype != "healthy"
    mm = anatomy.shape.heights() if heights else None
    findings = anatomy.benign.names + ("biconcave",) * anatomy.shape.biconcave
    return VertebraTruth(anatomy.vertebra.level, malignant, anatomy.phenotype, findings, mm)


def drop_specks(truth: np.ndarray, affine: np.ndarray) -> np.ndarray:
    """Return `truth` without connected parts under 15 mm3, which no reader would annotate.

    truth: (I, J, K) uint8, 1 lytic, 2 blastic, of one vertebra; affine: index to RAS mm. The
    largest part stays whatever its size.
    """
    if not truth.any():
        return truth
    voxel = abs(float(np.linalg.det(affine[:3, :3])))
    kept = np.zeros_like(truth)
    largest = (0, kept > 0, 0)
    for value in _NAMES:
        parts, count = ndimage.label(truth == value, _CONNECTED)
        sizes = np.bincount(parts.ravel(), minlength=count + 1)
        sizes[0] = 0
        kept[(sizes * voxel >= _SPECK_MM3)[parts]] = value
        if sizes.max() > largest[0]:
            largest = (int(sizes.max()), parts == int(sizes.argmax()), value)
    kept[largest[1]] = largest[2]
    return kept


def lesion_table(
    anatomy: Anatomy, truth: np.ndarray, body: np.ndarray, affine: np.ndarray
) -> tuple[TruthLesion, ...]:
    """Measure the connected parts of `truth` inside one body, largest first per polarity.

    truth: (I, J, K) uint8; body: bool of the same shape; affine: index to RAS mm.
    """
    if not truth.any():
        return ()
    voxel = abs(float(np.linalg.det(affine[:3, :3])))
    surface = body & ~ndimage.binary_erosion(body, iterations=1)
    frame = anatomy.vertebra.frame
    rows: list[TruthLesion] = []
    for value, name in _NAMES.items():
        parts, count = ndimage.label(truth == value, _CONNECTED)
        sizes = np.bincount(parts.ravel(), minlength=count + 1)[1:]
        for part in np.argsort(sizes)[::-1] + 1:
            index = np.argwhere(parts == part)
            ras = index @ affine[:3, :3].T + affine[:3, 3]
            across = ras[:, 0] - frame.origin[0]
            centroid = ras.mean(0)
            local = frame.to_local(centroid)
            nearest = min(
                anatomy.lesions,
                key=lambda s: float(np.linalg.norm((s.centre - local) / s.radii)),
            )
            rows.append(
                TruthLesion(
                    level=anatomy.vertebra.level,
                    lesion=len(rows) + 1,
                    polarity=name,
                    kind=nearest.kind,
                    centroid_ras=(float(centroid[0]), float(centroid[1]), float(centroid[2])),
                    volume_mm3=float(len(index) * voxel),
                    touches_cortex=bool(surface[tuple(index.T)].any()),
                    crosses_centre=bool((np.abs(across) <= _CENTRAL_MM).any()),
                )
            )
    return tuple(rows)
