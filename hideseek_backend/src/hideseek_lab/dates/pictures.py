"""Both dates in the current one's frame: CT, and where the method changed it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from hideseek_backend.followup.timepoint import Timepoint
from hideseek_backend.report.panels import LEAST_DIFFERENCE_HU, LEAST_DIFFERENCE_MODEL
from hideseek_backend.report.pixels import (
    BONE,
    Window,
    difference_picture,
    grey_picture,
    outline,
    symmetric_limit,
)
from hideseek_backend.volumes.crops import CROP_SIZE, CropFrame
from hideseek_backend.volumes.volume import FloatArray, Volume, inverse
from hideseek_backend.wire.changes import Change, FollowUp
from hideseek_backend.wire.records import Evidence

_OUTSIDE_HU = -200.0


@dataclass(frozen=True)
class DatePicture:
    """One date's sagittal slice: data URIs and SVG paths. "" where that date has no picture."""

    ct: str
    evidence: str
    outline: str


@dataclass(frozen=True)
class ChangePicture:
    """A lesion at both dates on one sagittal slice of the current frame. limit: of the colours."""

    before: DatePicture
    now: DatePicture
    window: str
    limit: str


def change_picture(
    change: Change,
    told: FollowUp,
    earlier: Timepoint,
    current: Timepoint,
    cts: tuple[Volume | None, Volume | None] = (None, None),
) -> ChangePicture | None:
    """Draw a change; None where neither date has a picture of its vertebra.

    cts: both whole CTs, if at hand; else what the analysis kept of its vertebrae is shown.
    """
    pair = next((p for p in told.pairs if p.level == change.vertebra), None)
    if pair is None or not (change.before or change.after):
        return None
    body = current.bodies[pair.level]
    frame = CropFrame.centred(body.ras(np.argwhere(body.data).mean(axis=0)))
    to_earlier = inverse(pair.matrix)
    sides = (
        (earlier, pair.level_before, change.before, to_earlier, cts[0]),
        (current, pair.level, change.after, np.eye(4), cts[1]),
    )
    masks = [_lesion(date, level, numbers, frame, move) for date, level, numbers, move, _ in sides]
    k = int(np.argmax([(masks[0] | masks[1])[:, :, k].sum() for k in range(CROP_SIZE)]))
    seen = [date.evidence.get(level) for date, level, *_ in sides]
    model_units = any(e is not None and e.unit != "HU" for e in seen)
    window = Window(0.5, 1.0, "model intensity") if model_units else BONE
    slices, differences = [], []
    for (_, _, _, move, ct), evidence in zip(sides, seen, strict=True):
        slices.append(_image(ct, evidence, frame, move, k, model_units))
        differences.append(
            None if evidence is None
            else _sampled(evidence, evidence.difference, frame, move, k, 0.0)
        )  # fmt: skip
    if all(s is None for s in slices):
        return None
    shown = [d for d in differences if d is not None]
    least = LEAST_DIFFERENCE_MODEL if model_units else LEAST_DIFFERENCE_HU
    inside = masks[0][:, :, k] | masks[1][:, :, k]
    limit = max((symmetric_limit(d, inside, least) for d in shown), default=least)
    made = [
        DatePicture(
            "" if image is None else grey_picture(image, window),
            "" if difference is None else difference_picture(difference, limit),
            outline(mask[:, :, k]),
        )
        for image, difference, mask in zip(slices, differences, masks, strict=True)
    ]
    return ChangePicture(made[0], made[1], window.text, f"{limit:g}")


def _image(
    ct: Volume | None, evidence: Evidence | None, frame: CropFrame, move: FloatArray, k: int,
    model_units: bool,
) -> NDArray[np.float32] | None:  # fmt: skip
    if ct is not None and not model_units:
        return _slice(ct.data, inverse(ct.affine) @ move, frame, k, _OUTSIDE_HU)
    if evidence is None:
        return None
    return _sampled(evidence, evidence.image, frame, move, k, float(evidence.image.min()))


def _sampled(
    evidence: Evidence, values: NDArray[np.float32], frame: CropFrame, move: FloatArray, k: int,
    outside: float,
) -> NDArray[np.float32]:  # fmt: skip
    affine = evidence.affine.copy()
    affine[:3, 3] += affine[:3, 2] * evidence.slices[0]
    return _slice(values, inverse(affine) @ move, frame, k, outside)


def _slice(
    values: NDArray[np.generic], to_index: FloatArray, frame: CropFrame, k: int, outside: float
) -> NDArray[np.float32]:
    """One sagittal slice (64, 64) of a frame from voxels whose index `to_index` gives."""
    matrix = to_index @ frame.affine
    offset = matrix[:3, 3] + matrix[:3, 2] * k
    out = np.empty((CROP_SIZE, CROP_SIZE, 1), dtype=np.float32)
    data = np.asarray(values, dtype=np.float32)
    ndimage.affine_transform(data, matrix[:3, :3], offset, out.shape, out, order=1, cval=outside)
    return out[:, :, 0]


def _lesion(
    date: Timepoint, level: str, numbers: tuple[int, ...], frame: CropFrame, to_own: FloatArray
) -> NDArray[np.bool_]:
    """Voxels of a date's candidates in the frame (64, 64, 64), by the nearest place of theirs."""
    from scipy.spatial import cKDTree

    out = np.zeros(frame.shape, dtype=bool)
    places = [f.places for f in date.of(level) if f.candidate.number in numbers]
    if not places:
        return out
    own = np.concatenate(places)
    moved = (own - to_own[:3, 3]) @ np.linalg.inv(to_own[:3, :3]).T
    index = (moved - frame.affine[:3, 3]) @ np.linalg.inv(frame.affine[:3, :3]).T
    low = np.maximum(np.floor(index.min(axis=0)).astype(int) - 2, 0)
    high = np.minimum(np.ceil(index.max(axis=0)).astype(int) + 3, frame.shape)
    grid = np.stack(np.meshgrid(*map(np.arange, low, high), indexing="ij"), axis=-1)
    points = grid.reshape(-1, 3) @ frame.affine[:3, :3].T + frame.affine[:3, 3]
    there = points @ to_own[:3, :3].T + to_own[:3, 3]
    near = cKDTree(own).query(there, p=np.inf)[0] <= 0.51 * float(date.spacing.max())
    out[tuple(slice(a, b) for a, b in zip(low, high, strict=True))] = near.reshape(grid.shape[:3])
    return out
