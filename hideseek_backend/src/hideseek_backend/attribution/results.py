"""What an analysis returns: the records of the wire, with the arrays that stay on this side."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hideseek_backend.attribution.options import Options
from hideseek_backend.volumes.crops import CropFrame
from hideseek_backend.volumes.volume import Volume
from hideseek_backend.wire.records import Candidate, Unit, Vertebra

__all__ = ["Candidate", "CaseResult", "SliceEvidence", "VertebraResult"]


@dataclass(frozen=True, eq=False)
class SliceEvidence:
    """What the method saw on one sagittal slice k; all arrays (64, 64), axes posterior, superior.

    image, healthy: float32 HU where the model's intensities can be turned back
        into HU (as the model sees them: within its window), else model intensity.
    difference: healthy − image in the same unit; positive where the edit restores bone (lytic).
    labels: uint16 candidate numbers. body: bool.
    """

    k: int
    image: NDArray[np.float32]
    healthy: NDArray[np.float32]
    difference: NDArray[np.float32]
    labels: NDArray[np.uint16]
    body: NDArray[np.bool_]


@dataclass(frozen=True, eq=False)
class VertebraResult(Vertebra):
    """One vertebra with what was seen on its slices.

    evidence_unit: of the evidence. frame: place of the crop.
    block_labels: uint16 candidate numbers on the block's (the CT's) grid, with its corner in the
        CT; None when not analysed.
    """

    evidence: tuple[SliceEvidence, ...] = ()
    evidence_unit: Unit = "HU"
    frame: CropFrame | None = None
    block_labels: NDArray[np.uint16] | None = None
    block_origin_ijk: tuple[int, int, int] = (0, 0, 0)


@dataclass(frozen=True, eq=False)
class CaseResult:
    """One CT.

    lesions: uint8 on the CT's grid, 1 lytic, 2 blastic; kept candidates only.
    bodies: uint8 on that grid, VerSe's values; None where they stayed on another side.
    provenance: versions, model name and hash, seed, device, timings (s), names of the inputs,
        evidence_units ("HU" or "model") and warnings of the whole case.
    """

    vertebrae: tuple[VertebraResult, ...]
    lesions: Volume
    options: Options
    provenance: dict[str, Any]
    bodies: Volume | None = None
