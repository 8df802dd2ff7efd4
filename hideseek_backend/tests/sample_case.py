"""A case made by hand, as the analysis would return it: two levels with lesions, two without."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from hideseek_backend.attribution.options import Options
from hideseek_backend.case import Candidate, CaseResult, SliceEvidence, VertebraResult
from hideseek_backend.volumes.crops import CropFrame
from hideseek_backend.volumes.volume import Volume

SHAPE = (30, 40, 50)
# Oblique, anisotropic and left-handed, as scanners make them.
AFFINE = np.array(
    [[-0.7, 0.0, 0.1, 80.0], [0.0, -0.68, 0.5, 60.0], [0.02, 0.17, 1.9, -300.0], [0, 0, 0, 1.0]]
)
ORIGINS = {"T12": (2, 3, 20), "L1": (2, 3, 4)}
BLOCK = (20, 24, 14)


def sample_case(*, slices: str = "central") -> CaseResult:
    """Return the case; T12 has a kept lytic, a kept blastic and a dropped lytic candidate."""
    lesions: NDArray[np.uint8] = np.zeros(SHAPE, dtype=np.uint8)
    t12, l1 = _analysed("T12", lesions, slices), _analysed("L1", lesions, slices)
    options = Options.for_protocol("fast", slices=slices, min_area=7)
    provenance = {
        "versions": {"hideseek": "0.1.0", "torch": "2.13.0"},
        "model": {"name": "tiny", "hash": "ab" * 32},
        "device": "cpu",
        "inputs": {"ct": "patient <7>.nii.gz", "vertebrae": "vertebrae.nii.gz"},
        "timings": {"total": 1.25},
        "warnings": ["The slices are 3.5 mm thick."],
    }
    others = (
        _screened("T11", 0.12, "below p = 0.5"),
        _screened("L2", 0.9, "cut by the field of view"),
    )
    return CaseResult(
        vertebrae=(others[0], t12, l1, others[1]),
        lesions=Volume(lesions, AFFINE),
        options=options,
        provenance=provenance,
    )


def _analysed(level: str, lesions: NDArray[np.uint8], slices: str) -> VertebraResult:
    block: NDArray[np.uint16] = np.zeros(BLOCK, dtype=np.uint16)
    block[4:8, 5:10, 3:6] = 1
    block[12:15, 12:18, 6:9] = 2
    block[16:18, 4:6, 10:12] = 3
    origin = ORIGINS[level]
    box = lesions[tuple(slice(o, o + n) for o, n in zip(origin, BLOCK, strict=True))]
    box[block == 1] = 1
    box[block == 2] = 2
    voxel = Volume(block, AFFINE).voxel_volume_mm3
    volumes = [float((block == n).sum()) * voxel for n in (1, 2, 3)]
    ks = (32,) if slices == "central" else tuple(range(28, 37))
    return VertebraResult(
        level=level,
        p_malignant=0.9731,
        p_healthy_image=0.04,
        analysed=True,
        reason="",
        phenotype="mixed",
        candidates=(
            _candidate(level, 1, "lytic", 0.91, True, volumes[0], ks),
            _candidate(level, 2, "blastic", 0.6, True, volumes[1], ks),
            _candidate(level, 3, "lytic", 0.08, False, volumes[2], ks[:1]),
        ),
        evidence=tuple(evidence(k) for k in ks),
        frame=CropFrame.centred((10.0, 20.0, -250.0)),
        block_labels=block,
        block_origin_ijk=origin,
        body_volume_mm3=20000.0,
        lytic_volume_mm3=volumes[0],
        blastic_volume_mm3=volumes[1],
        warnings=("The healthy edit leaves p = 0.04.",),
        seconds=0.5,
    )


def evidence(k: int) -> SliceEvidence:
    """Return a slice with a body, two lesions and a small third candidate."""
    noise = np.random.default_rng(k).normal(0, 25, (64, 64))
    p, s = np.mgrid[:64, :64]
    body = (np.abs(p - 26) < 19) & (np.abs(s - 32) < 14)
    labels: NDArray[np.uint16] = np.zeros((64, 64), dtype=np.uint16)
    labels[((p - 20) ** 2 + (s - 27) ** 2) < 30] = 1
    labels[((p - 34) ** 2 + (s - 38) ** 2) < 20] = 2
    labels[38:41, 24:27] = 3
    healthy = np.where(body, 220.0, 30.0) + noise
    image = healthy - 190.0 * (labels == 1) + 480.0 * (labels == 2) - 60.0 * (labels == 3)
    return SliceEvidence(
        k=k,
        image=image.astype(np.float32),
        healthy=healthy.astype(np.float32),
        difference=(healthy - image).astype(np.float32),
        labels=labels,
        body=body,
    )


def _candidate(
    level: str, n: int, polarity: str, delta: float, kept: bool, mm3: float, ks: tuple[int, ...]
) -> Candidate:
    return Candidate(
        vertebra=level,
        number=n,
        polarity=polarity,
        delta=delta,
        kept=kept,
        p_hide=0.2,
        p_without=0.375,
        slices=ks,
        area_px=80 // n,
        volume_mm3=mm3,
        mean_hu=35.5,
        centroid_ras=(1.0, -2.5, 3.25),
    )


def _screened(level: str, p: float, reason: str) -> VertebraResult:
    return VertebraResult(
        level=level,
        p_malignant=p,
        p_healthy_image=None,
        analysed=False,
        reason=reason,
        phenotype=None,
        candidates=(),
        evidence=(),
        frame=None,
        block_labels=None,
        block_origin_ijk=(0, 0, 0),
        body_volume_mm3=18000.0,
        seconds=0.01,
    )
