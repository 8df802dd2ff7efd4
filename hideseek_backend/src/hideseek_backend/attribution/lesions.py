"""From numbered regions in crop frames to lesions in mm on the CT's own grid."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hideseek_backend.attribution.candidates import Candidates
from hideseek_backend.attribution.scoring import Score
from hideseek_backend.volumes.crops import (
    CROP_SPACING_MM,
    CropFrame,
    VertebraBlock,
    VertebraCrop,
    labels_to_grid,
)
from hideseek_backend.volumes.volume import Volume
from hideseek_backend.wire.codes import LESION_VALUES
from hideseek_backend.wire.records import Candidate


def in_order_of_delta(
    candidates: Candidates, scores: Mapping[int, Score]
) -> tuple[Candidates, tuple[Score, ...]]:
    """Keep the scored candidates and number them by falling Δ; returns their scores in order."""
    order = sorted(scores, key=lambda number: (-scores[number].delta, number))
    numbers = np.zeros(len(candidates) + 1, dtype=np.uint16)
    numbers[order] = np.arange(1, len(order) + 1)
    ordered = Candidates(
        numbers[candidates.labels],
        tuple(candidates.polarities[number - 1] for number in order),
        candidates.suspected,
    )
    return ordered, tuple(scores[number] for number in order)


def labels_in_frame(
    labels: NDArray[np.uint16], slices: Sequence[int], frame: CropFrame
) -> NDArray[np.uint16]:
    """Put labels (64, 64, N) of the slices k into an array of the frame's shape (64, 64, 64)."""
    full = np.zeros(frame.shape, dtype=np.uint16)
    full[:, :, list(slices)] = labels
    return full


def labels_on_block(
    labels: NDArray[np.uint16], frame: CropFrame, block: VertebraBlock, *, one_slice: bool
) -> NDArray[np.uint16]:
    """Carry labels (64, 64, 64) to the block's grid; only measured voxels of the body are labelled.

    one_slice: the labels are one sagittal slice, whose slab of 0.8 mm is taken. Where the CT's
    sagittal spacing is coarser the slab is made as thick as that spacing, because it could
    otherwise fall between two CT voxels and vanish.
    """
    measured = block.body if block.padding is None else block.body & ~block.padding
    labelled = np.flatnonzero(labels.any(axis=(0, 1)))
    if one_slice and labelled.size:
        k = int(labelled[0])
        measured = measured & _slab(block.ct, float((frame.affine @ [0, 0, k, 1])[0]))
        labels = np.repeat(labels[:, :, k : k + 1], frame.shape[2], axis=2)
    on_grid = labels_to_grid(labels, frame, block.ct)
    return np.asarray(np.where(measured, on_grid, 0), dtype=np.uint16)


def _slab(grid: Volume, right_mm: float) -> NDArray[np.bool_]:
    """Voxels (I, J, K) whose centre is in the sagittal slab around R = right_mm."""
    step = grid.affine[0, :3]
    half = 0.5 * max(CROP_SPACING_MM, float(np.abs(step).max()))
    i, j, k = (step[axis] * np.arange(size) for axis, size in enumerate(grid.shape))
    distance = np.add.outer(np.add.outer(i, j), k) + (grid.affine[0, 3] - right_mm)
    # Half open, and shifted by a hair: of two voxels on either border exactly one is inside.
    return np.asarray((distance > 1e-6 - half) & (distance <= half + 1e-6))


def measured_candidates(
    candidates: Candidates,
    scores: Sequence[Score],
    kept: Sequence[bool],
    crop: VertebraCrop,
    slices: Sequence[int],
    block: VertebraBlock,
    block_labels: NDArray[np.uint16],
) -> tuple[Candidate, ...]:
    """Measure each candidate; labels are numbered in the order of `scores`.

    crop: holds the HU of `slices`, the k of candidates.labels (64, 64, N).
    """
    voxels = np.bincount(block_labels.ravel(), minlength=len(candidates) + 1)
    held = [crop.slices.index(k) for k in slices]
    hu = crop.hu[:, :, held]
    measured = []
    for number, (polarity, score) in enumerate(zip(candidates.polarities, scores, strict=True), 1):
        region = candidates.labels == number
        areas = region.sum(axis=(0, 1))
        measured.append(
            Candidate(
                vertebra=block.level,
                number=number,
                polarity=polarity,
                delta=score.delta,
                kept=bool(kept[number - 1]),
                p_hide=score.p_hide,
                p_without=score.p_without if np.isfinite(score.p_without) else None,
                slices=tuple(int(slices[i]) for i in np.flatnonzero(areas)),
                area_px=int(areas.max()),
                volume_mm3=float(voxels[number]) * block.ct.voxel_volume_mm3,
                mean_hu=float(hu[region].mean()),
                centroid_ras=_centroid(region, slices, crop.frame),
            )
        )
    return tuple(measured)


def _centroid(
    region: NDArray[np.bool_], slices: Sequence[int], frame: CropFrame
) -> tuple[float, float, float]:
    p, s, index = np.nonzero(region)
    k = np.asarray(slices)[index]
    place = frame.affine @ [p.mean(), s.mean(), k.mean(), 1.0]
    return float(place[0]), float(place[1]), float(place[2])


def kept_volume(candidates: Sequence[Candidate], polarity: str) -> float:
    """Sum of the volumes of the kept candidates of one polarity, mm³."""
    return float(sum(c.volume_mm3 for c in candidates if c.kept and c.polarity == polarity))


def paint_lesions(
    lesions: NDArray[np.uint8],
    candidates: Sequence[Candidate],
    block_labels: NDArray[Any],
    origin_ijk: Sequence[int],
) -> None:
    """Write one vertebra's kept candidates into the case's lesion map: 1 lytic, 2 blastic."""
    values = np.zeros(len(candidates) + 1, dtype=np.uint8)
    for candidate in candidates:
        if candidate.kept:
            values[candidate.number] = LESION_VALUES[candidate.polarity]
    box = tuple(slice(o, o + n) for o, n in zip(origin_ijk, block_labels.shape, strict=True))
    lesions[box] = np.maximum(lesions[box], values[block_labels])
