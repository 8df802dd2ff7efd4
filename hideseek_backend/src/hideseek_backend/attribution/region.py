"""Δ of a region that somebody drew: how much of the suspicion is *this*?

The region is hidden and shown like any candidate (Atad et al. 2025, eq. 2 and 3), against the
candidates that the vertebra has already.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from hideseek_backend.attribution.attribute import attribute
from hideseek_backend.attribution.candidates import Candidates, Polarity
from hideseek_backend.attribution.network import Network
from hideseek_backend.attribution.options import Options
from hideseek_backend.attribution.vertebra import AnalysisModel, sideways_of, stack_of
from hideseek_backend.errors import InputError
from hideseek_backend.progress import CancelledCallback, Meter, ProgressCallback
from hideseek_backend.volumes.crops import CropFrame, VertebraBlock, crop_block, crop_body
from hideseek_backend.volumes.volume import inverse
from hideseek_backend.wire.records import Candidate

# Of a region that reaches out of the crop less than this is not worth a word.
_TOLD_OUTSIDE = 0.02


@dataclass(frozen=True)
class ScoredRegion:
    """candidate: of source "reader". warnings: what of the region could not be scored."""

    candidate: Candidate
    warnings: tuple[str, ...] = ()


def score_region(
    model: AnalysisModel,
    block: VertebraBlock,
    region: NDArray[np.bool_],
    others: NDArray[np.uint16],
    options: Options,
    *,
    number: int = 0,
    polarity: Polarity | None = None,
    progress: ProgressCallback | None = None,
    cancelled: CancelledCallback | None = None,
) -> ScoredRegion:
    """Score a region of a vertebra against its other candidates.

    region: (I, J, K) bool on the block's grid. others: (I, J, K) uint16 on it, the numbers of the
    vertebra's other candidates; voxels of the region are the region's alone. number: of the new
    candidate, by default one more than the others have. polarity: by default what the healthy
    edit does to it on the whole: bone restored is lytic.

    Volume and mean HU are those of the region on the CT's own grid. Only the slices that Δ needs
    are edited.

    Raises InputError for a region that is empty or outside the vertebra's crop, Cancelled.
    """
    voxels = int(np.count_nonzero(region))
    if not voxels:
        raise InputError("Expected a region with voxels, got an empty one.", "Draw it first.")
    number = number or int(others.max(initial=0)) + 1
    frame = CropFrame.centred(block.centre_ras)
    drawn = labels_in_crop(region.astype(np.uint16), block, frame) > 0
    outline = crop_body(block)
    drawn &= outline.valid
    slices = _scored_slices(drawn, options)
    if not slices:
        raise InputError(
            f"The region is not within the 51.2 mm about the body of {block.level}, or smaller "
            "than a pixel of 0.8 mm.",
            "Choose the vertebra that it lies in, or draw it larger.",
        )
    meter = Meter(progress, cancelled, block.level)
    network = Network(model.dae, model.device, options, meter)
    stack = stack_of(model, crop_block(block, slices), slices)
    stack = replace(stack, sideways=sideways_of(outline, slices))
    candidates = _beside_others(drawn, labels_in_crop(others, block, frame), slices)
    own = len(candidates)
    done = attribute(
        network,
        model.classifier,
        model.intensity,
        stack,
        options,
        wanted=lambda _: [own],
        find=lambda _: candidates,
    )
    meter.phase("score", 100, 1)
    score = done.scores[own]
    if polarity is None:
        change = done.edit.difference(options)[drawn[:, :, list(slices)]]
        polarity = "lytic" if float(change.sum()) >= 0 else "blastic"
    index = np.argwhere(region)
    centre = block.ct.affine @ np.append(index.mean(axis=0), 1.0)
    candidate = Candidate(
        vertebra=block.level,
        number=number,
        polarity=polarity,
        delta=score.delta,
        kept=score.delta >= options.tau,
        p_hide=score.p_hide,
        p_without=score.p_without,
        slices=tuple(int(k) for k in np.flatnonzero(drawn.any(axis=(0, 1)))),
        area_px=int(drawn.sum(axis=(0, 1)).max()),
        volume_mm3=voxels * block.ct.voxel_volume_mm3,
        mean_hu=float(np.asarray(block.ct.data, dtype=np.float64)[region].mean()),
        centroid_ras=(float(centre[0]), float(centre[1]), float(centre[2])),
        source="reader",
    )
    return ScoredRegion(candidate, _warnings(region, block, frame))


def labels_in_crop(
    labels: NDArray[np.uint16], block: VertebraBlock, frame: CropFrame
) -> NDArray[np.uint16]:
    """Labels (I, J, K) of a block on the crop's grid (64, 64, 64), nearest voxel; 0 outside."""
    to_block = inverse(block.ct.affine) @ frame.affine
    moved = ndimage.affine_transform(
        labels,
        to_block[:3, :3],
        to_block[:3, 3],
        output_shape=frame.shape,
        order=0,
        mode="grid-constant",
        cval=0,
        prefilter=False,
    )
    return np.asarray(moved, dtype=np.uint16)


def _scored_slices(drawn: NDArray[np.bool_], options: Options) -> tuple[int, ...]:
    """The slices k that a region's Δ is computed on, ascending: its largest."""
    areas = drawn.sum(axis=(0, 1))
    crossing = [int(k) for k in np.argsort(-areas, kind="stable") if areas[k]]
    if options.score_slices > 0:
        crossing = crossing[: options.score_slices]
    return tuple(sorted(crossing))


def _beside_others(
    drawn: NDArray[np.bool_], others: NDArray[np.uint16], slices: tuple[int, ...]
) -> Candidates:
    """The region, as the last candidate, and the others on some slices."""
    index = list(slices)
    own, rest = drawn[:, :, index], others[:, :, index]
    present = [int(n) for n in np.unique(rest[~own]) if n]
    labels = np.zeros(own.shape, dtype=np.uint16)
    for place, n in enumerate(present, start=1):
        labels[rest == n] = place
    labels[own] = len(present) + 1
    unused: Polarity = "lytic"  # polarities play no part in a score
    return Candidates(labels, (unused,) * (len(present) + 1), labels > 0)


def _warnings(region: NDArray[np.bool_], block: VertebraBlock, frame: CropFrame) -> tuple[str, ...]:
    index = np.argwhere(region)
    to_crop = inverse(frame.affine) @ block.ct.affine
    place = index @ to_crop[:3, :3].T + to_crop[:3, 3]
    outside = ((place < -0.5) | (place > np.array(frame.shape) - 0.5)).any(axis=1).mean()
    if outside < _TOLD_OUTSIDE:
        return ()
    return (
        f"{outside:.0%} of the region lie outside the 51.2 mm about the body and do not count in "
        "its Δ.",
    )
