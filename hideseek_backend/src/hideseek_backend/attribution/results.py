"""What an analysis returns: candidates, the evidence behind them, vertebrae, cases."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hideseek_backend.attribution.candidates import Polarity
from hideseek_backend.attribution.options import Options
from hideseek_backend.volumes.crops import CropFrame
from hideseek_backend.volumes.volume import Volume


@dataclass(frozen=True)
class Candidate:
    """One suspected lesion and its Hide-and-Seek score.

    vertebra: level, "T12". candidate: number from 1 in this vertebra, by falling Δ.
    delta: Δ. kept: Δ ≥ tau, and of a polarity that is reported. p_hide: malignancy of the vertebra
        when only this candidate is shown.
    slices: the sagittal crop slices that it crosses.
    area_px: area of its largest slice in px of 0.8 × 0.8 mm.
    volume_mm3: of its voxels on the CT's own grid. For `slices="central"` these are the voxels
        of one slab about 0.8 mm thick: not the volume of a lesion.
    mean_hu: mean of the CT over it, in the crop. centroid_ras: mm.
    """

    vertebra: str
    candidate: int
    polarity: Polarity
    delta: float
    kept: bool
    p_hide: float
    slices: tuple[int, ...]
    area_px: int
    volume_mm3: float
    mean_hu: float
    centroid_ras: tuple[float, float, float]


@dataclass(frozen=True, eq=False)
class SliceEvidence:
    """What the method saw on one sagittal slice k; all arrays (64, 64), axes posterior, superior.

    image, reconstruction, healthy: float32 HU where the model's intensities can be turned back
        into HU (as the model sees them: within its window), else model intensity.
    difference: healthy − image in the same unit; positive where the edit restores bone (lytic).
    labels: uint16 candidate numbers. body: bool.
    """

    k: int
    image: NDArray[np.float32]
    reconstruction: NDArray[np.float32]
    healthy: NDArray[np.float32]
    difference: NDArray[np.float32]
    labels: NDArray[np.uint16]
    body: NDArray[np.bool_]


@dataclass(frozen=True, eq=False)
class VertebraResult:
    """One vertebra.

    p_malignant: NaN where it could not be computed. p_healthy_image: malignancy of the healthy
        image, encoded again; None when not analysed.
    reason: why it was not analysed, "" when it was.
    phenotype: "lytic", "blastic", "mixed", or None when nothing is kept.
    frame: place of the crop. block_labels: uint16 candidate numbers on the block's (the CT's)
        grid, with its corner in the CT; None when not analysed.
    volumes: mm³ on the CT's grid; lytic and blastic count kept candidates only.
    """

    level: str
    p_malignant: float
    p_healthy_image: float | None = None
    analysed: bool = False
    reason: str = ""
    phenotype: str | None = None
    candidates: tuple[Candidate, ...] = ()
    evidence: tuple[SliceEvidence, ...] = ()
    frame: CropFrame | None = None
    block_labels: NDArray[np.uint16] | None = None
    block_origin_ijk: tuple[int, int, int] = (0, 0, 0)
    body_volume_mm3: float = 0.0
    lytic_volume_mm3: float = 0.0
    blastic_volume_mm3: float = 0.0
    warnings: tuple[str, ...] = ()
    seconds: float = 0.0


@dataclass(frozen=True, eq=False)
class CaseResult:
    """One CT.

    lesions: uint8 on the CT's grid, 1 lytic, 2 blastic; kept candidates only.
    provenance: versions, model name and hash, seed, device, timings (s), names of the inputs,
        evidence_units ("HU" or "model") and warnings of the whole case.
    """

    vertebrae: tuple[VertebraResult, ...]
    lesions: Volume
    options: Options
    provenance: dict[str, Any]
