"""Vertebra blocks, PSR crops of 64³ at 0.8 mm, and the exact way back to the CT grid.

Axes of a crop are world axes: axis 0 towards posterior, 1 superior, 2 right. Sagittal slice k is
`hu[:, :, k]`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any, Protocol

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import ndimage

from hideseek_backend.errors import LabelError
from hideseek_backend.volumes.masks import sample_mask
from hideseek_backend.volumes.padding import SOFT_TISSUE_HU, BoolArray, find_padding
from hideseek_backend.volumes.vertebrae import Vertebrae
from hideseek_backend.volumes.volume import FloatArray, Volume, apply_affine, inverse

CROP_SIZE = 64
CROP_SPACING_MM = 0.8
# The body's centroid lies on a voxel centre, so that the central slice goes right through it.
CENTRE_INDEX = CROP_SIZE // 2
_PSR = np.array([[0.0, 0.0, 1.0], [-1.0, 0.0, 0.0], [0.0, 1.0, 0.0]])
_FWHM_TO_SIGMA = 1.0 / 2.3548


class Grid(Protocol):
    """Anything with a shape (I, J, K) and an affine (4, 4) voxel index -> RAS mm."""

    @property
    def shape(self) -> tuple[int, int, int]: ...

    @property
    def affine(self) -> FloatArray: ...


@dataclass(frozen=True, eq=False)
class CropFrame:
    """The place of a crop: affine (4, 4) from crop index (p, s, r) to RAS mm, and its shape."""

    affine: FloatArray
    shape: tuple[int, int, int] = (CROP_SIZE, CROP_SIZE, CROP_SIZE)

    @classmethod
    def centred(cls, centre_ras: ArrayLike) -> CropFrame:
        """Return the frame whose voxel (32, 32, 32) lies at `centre_ras` (3,) mm."""
        affine = np.eye(4)
        affine[:3, :3] = _PSR * CROP_SPACING_MM
        affine[:3, 3] = np.asarray(centre_ras, dtype=float) - affine[:3, :3] @ (
            np.full(3, float(CENTRE_INDEX))
        )
        return cls(affine)

    @property
    def corners_ras(self) -> FloatArray:
        """(8, 3) RAS mm of the outer corners of the cube, voxel edges included."""
        ends = np.array([(-0.5, size - 0.5) for size in self.shape])
        corners = np.array(np.meshgrid(*ends, indexing="ij")).reshape(3, -1).T
        return apply_affine(self.affine, corners)


@dataclass(frozen=True, eq=False)
class VertebraBlock:
    """A box of the CT around one vertebra, on the CT's own grid; it carries no identifiers.

    ct: HU. vertebra, body: bool, same shape; the body excludes arch and processes.
    origin_ijk: the box's corner in the full CT. cut: the body touches the edge of the CT or a
    padded region, so part of it was not measured.
    """

    level: str
    ct: Volume
    vertebra: BoolArray
    body: BoolArray
    origin_ijk: tuple[int, int, int] = (0, 0, 0)
    cut: bool = False

    @property
    def centre_ras(self) -> FloatArray:
        """(3,) RAS mm of the body's centroid.

        Raises LabelError when the body is empty.
        """
        return body_centre(self.level, self.body, self.ct.affine)

    @cached_property
    def padding(self) -> BoolArray | None:
        """Mask of voxels that were not measured, or None."""
        return find_padding(self.ct.data, self.vertebra | self.body)

    def with_ct(self, ct: Volume) -> VertebraBlock:
        """Return the block with another CT of its shape and the padding that was found here."""
        changed = replace(self, ct=ct)
        vars(changed)["padding"] = self.padding
        return changed

    @property
    def body_volume_mm3(self) -> float:
        """Volume of the body mask in mm³."""
        return float(np.count_nonzero(self.body)) * self.ct.voxel_volume_mm3


@dataclass(frozen=True, eq=False, kw_only=True)
class BodyCrop:
    """Where a vertebra's body lies in its PSR frame.

    body, valid: bool (64, 64, n). valid is False outside the field of view and in padding, and body
    there as well. slices: the k of each sagittal slice held; all 64 unless asked otherwise.
    """

    level: str
    frame: CropFrame
    body: BoolArray
    valid: BoolArray
    slices: tuple[int, ...] = tuple(range(CROP_SIZE))

    @property
    def body_slices(self) -> tuple[int, ...]:
        """The k of the slices held that cross the body, ascending."""
        crossed = np.asarray(self.body.any(axis=(0, 1)))
        return tuple(k for k, hit in zip(self.slices, crossed.tolist(), strict=True) if hit)

    @property
    def central_slice(self) -> int:
        """The k of the slice through the body that is nearest to its centroid (at k = 32)."""
        crossing = self.body_slices
        if not crossing:
            return CENTRE_INDEX
        return min(crossing, key=lambda k: (abs(k - CENTRE_INDEX), k))

    def only(self, slices: Sequence[int]) -> BodyCrop:
        """Return the crop of some of its slices k."""
        held = [self.slices.index(k) for k in slices]
        return replace(
            self, body=self.body[:, :, held], valid=self.valid[:, :, held], slices=tuple(slices)
        )


@dataclass(frozen=True, eq=False, kw_only=True)
class VertebraCrop(BodyCrop):
    """One vertebra resampled to the PSR frame.

    hu: (64, 64, n) float32 HU; a soft-tissue value where the crop is not valid.
    """

    hu: NDArray[np.float32]


def body_centre(level: str, body: BoolArray, affine: FloatArray) -> FloatArray:
    """Return the centroid (3,) in RAS mm of a mask (I, J, K).

    Raises LabelError when it is empty.
    """
    index = np.nonzero(body)
    if not index[0].size:
        raise LabelError(
            f"Expected a body mask for {level}, got an empty one.",
            "Check the segmentation of this level, or leave the level out.",
        )
    return apply_affine(affine, np.array([axis.mean() for axis in index]))


def cut_block(
    ct: Volume, vertebrae: Vertebrae, level: str, margin_mm: float = 2.0
) -> VertebraBlock:
    """Cut the box around one vertebra that holds its whole crop cube and its body.

    margin_mm is kept around the cube, so that interpolation and blur never see the box's edge.
    Where the CT ends, the box ends. The vertebra mask may go on beyond it.

    Raises LabelError when the level is absent.
    """
    value = vertebrae.levels.get(level)
    if value is None:
        raise LabelError(
            f"Expected one of the levels {', '.join(vertebrae.levels)}, got {level}.",
            "Choose a level that is in the segmentation.",
        )
    low, high = vertebrae.bounds(level)
    window = tuple(slice(int(a), int(b)) for a, b in zip(low, high, strict=True))
    body_box = vertebrae.bodies[window] == value
    sub_affine = ct.affine.copy()
    sub_affine[:3, 3] = ct.ras(low)
    centre = body_centre(level, body_box, sub_affine)

    cube = ct.ijk(CropFrame.centred(centre).corners_ras)
    margin = margin_mm / ct.spacing
    hits = np.nonzero(body_box)
    body_low = low + np.array([axis.min() for axis in hits])
    body_high = low + np.array([axis.max() for axis in hits]) + 1
    box_low = np.maximum(np.floor(np.minimum(cube.min(axis=0), body_low) - margin), 0).astype(int)
    box_high = np.ceil(np.maximum(cube.max(axis=0) + 1, body_high) + margin).astype(int)
    box_high = np.minimum(box_high, ct.shape)

    where = tuple(slice(int(a), int(b)) for a, b in zip(box_low, box_high, strict=True))
    body = vertebrae.bodies[where] == value
    vertebra = vertebrae.labels[where] == value
    faces = np.stack([box_low <= 0, box_high >= np.array(ct.shape)], axis=1)
    block = VertebraBlock(level, ct.box(box_low, box_high), vertebra, body, tuple(box_low.tolist()))
    return marked_cut(block, faces)


def marked_cut(block: VertebraBlock, faces: BoolArray) -> VertebraBlock:
    """Say whether a block's body was measured only in part: at the CT's edge, or in padding.

    faces: (3, 2), whether the box's low and high face on each axis is the CT's own.
    """
    body = block.body
    at_edge = any(
        faces[axis, side] and np.take(body, -side, axis=axis).any()
        for axis in range(3)
        for side in (0, 1)
    )
    return replace(block, cut=bool(at_edge or touches(body, block.padding)))


def touches(mask: BoolArray, padding: BoolArray | None) -> bool:
    """Say whether any voxel of `mask` is in or next to `padding` (both (I, J, K))."""
    if padding is None:
        return False
    near = ndimage.maximum_filter(padding.view(np.uint8), size=3).astype(bool)
    return bool((mask & near).any())


def crop_body(block: VertebraBlock, slices: Sequence[int] | None = None) -> BodyCrop:
    """Resample a block's body as `crop_block` does, without the HU: a part of the work.

    Raises LabelError when the body is empty, ValueError for a slice outside 0..63.
    """
    frame, wanted = CropFrame.centred(block.centre_ras), _wanted(slices)
    to_block = inverse(block.ct.affine) @ frame.affine
    valid = _valid(block, to_block, wanted)
    body = _resample_mask(block.body, to_block, wanted)
    # Masks go on beyond a face as they end there; only measured voxels count.
    return BodyCrop(level=block.level, frame=frame, body=body & valid, valid=valid, slices=wanted)


def crop_block(
    block: VertebraBlock, slices: Sequence[int] | None = None, outline: BodyCrop | None = None
) -> VertebraCrop:
    """Resample a block to 64³ at 0.8 mm in PSR, centred on its body.

    HU are interpolated linearly, after a blur only along axes that are finer than 0.8 mm (full
    width at half maximum brought to 0.8 mm); masks are interpolated linearly and cut at one half.
    slices: the sagittal slices k wanted, in the order wanted; all 64 by default. A few slices cost
    a small part of the whole. outline: the block's `crop_body`, where it is at hand.

    Raises LabelError when the body is empty, ValueError for a slice outside 0..63.
    """
    outline = crop_body(block, slices) if outline is None else outline.only(_wanted(slices))
    to_block = inverse(block.ct.affine) @ outline.frame.affine
    low, high = _needed_box(to_block, outline.slices, block.ct.shape)
    where = tuple(slice(int(a), int(b)) for a, b in zip(low, high, strict=True))
    to_block[:3, 3] -= low

    hu = np.asarray(block.ct.data[where], dtype=np.float32)
    padding = block.padding
    if padding is not None:
        hu = np.where(padding[where], np.float32(SOFT_TISSUE_HU), hu)
    hu = _anti_alias(hu, block.ct.spacing)
    image = _resample(hu, to_block, outline.slices, order=1, mode="nearest")
    image[~outline.valid] = SOFT_TISSUE_HU
    return VertebraCrop(**vars(outline), hu=image)


def crop_mask(
    block: VertebraBlock, mask: BoolArray, slices: Sequence[int] | None = None
) -> BoolArray:
    """Resample a mask on a block's grid as its body is: (64, 64, n) bool."""
    to_block = inverse(block.ct.affine) @ CropFrame.centred(block.centre_ras).affine
    return _resample_mask(mask, to_block, _wanted(slices))


def _wanted(slices: Sequence[int] | None) -> tuple[int, ...]:
    wanted = tuple(range(CROP_SIZE)) if slices is None else tuple(int(k) for k in slices)
    if any(not 0 <= k < CROP_SIZE for k in wanted):
        raise ValueError(f"slices must be in 0..{CROP_SIZE - 1}, got {wanted}")
    return wanted


def labels_to_grid(labels: NDArray[Any], frame: CropFrame, grid: Grid) -> NDArray[Any]:
    """Carry labels (64, 64, 64) from the crop frame to `grid`, nearest neighbour.

    Returns an array of the grid's shape and the labels' dtype, 0 outside the crop. Every voxel of
    the grid takes the label of the crop voxel that holds its centre, so nothing shifts by more
    than half a voxel of either grid.
    """
    if labels.shape != frame.shape:
        raise ValueError(f"labels must have the frame's shape {frame.shape}, got {labels.shape}")
    out = np.zeros(grid.shape, dtype=labels.dtype)
    corners = apply_affine(inverse(grid.affine), frame.corners_ras)
    low = np.maximum(np.floor(corners.min(axis=0)), 0).astype(int)
    high = np.minimum(np.ceil(corners.max(axis=0)).astype(int) + 1, grid.shape)
    if (high <= low).any() or not labels.any():
        return out
    to_crop = inverse(frame.affine) @ grid.affine
    offset = to_crop[:3, :3] @ low + to_crop[:3, 3]
    where = tuple(slice(int(a), int(b)) for a, b in zip(low, high, strict=True))
    out[where] = ndimage.affine_transform(
        labels,
        to_crop[:3, :3],
        offset,
        output_shape=tuple(int(n) for n in high - low),
        order=0,
        mode="grid-constant",
        cval=0,
        prefilter=False,
    )
    return out


def _needed_box(
    to_block: FloatArray, slices: Sequence[int], shape: tuple[int, int, int]
) -> tuple[NDArray[np.int_], NDArray[np.int_]]:
    """The box of the block that the wanted slices read, with room for the blur."""
    ends = [(0, CROP_SIZE - 1), (0, CROP_SIZE - 1), (min(slices), max(slices))]
    corners = np.array(np.meshgrid(*ends, indexing="ij")).reshape(3, -1).T
    index = apply_affine(to_block, corners)
    room = 4
    top = np.array(shape)
    low = np.clip(np.floor(index.min(axis=0)).astype(int) - room, 0, top - 1)
    high = np.clip(np.ceil(index.max(axis=0)).astype(int) + room + 1, low + 1, top)
    return low, high


def _anti_alias(hu: NDArray[np.float32], spacing: FloatArray) -> NDArray[np.float32]:
    """Blur along axes finer than the crop, so that resampling does not fold noise in."""
    ratio = CROP_SPACING_MM / spacing
    if (ratio <= 1.0).all():
        return hu
    sigma = np.sqrt(np.maximum(ratio**2 - 1.0, 0.0)) * _FWHM_TO_SIGMA
    for axis, width in enumerate(sigma.tolist()):
        if width > 0.1:  # narrower kernels change nothing
            hu = ndimage.gaussian_filter1d(hu, width, axis=axis, mode="nearest", truncate=2.5)
    return hu


def _resample(
    array: NDArray[Any],
    to_block: FloatArray,
    slices: Sequence[int],
    order: int,
    mode: str,
) -> NDArray[np.float32]:
    """Sample `array` at crop points (64, 64, slices), slab by slab of equally spaced slices."""
    out = np.empty((CROP_SIZE, CROP_SIZE, len(slices)), dtype=np.float32)
    for start, stop in _runs(slices):
        offset = to_block[:3, 3] + to_block[:3, 2] * slices[start]
        ndimage.affine_transform(
            array,
            to_block[:3, :3],
            offset,
            output_shape=(CROP_SIZE, CROP_SIZE, stop - start),
            output=out[:, :, start:stop],
            order=order,
            mode=mode,
            prefilter=False,
        )
    return out


def _runs(slices: Sequence[int]) -> list[tuple[int, int]]:
    """Index ranges (start, stop) of `slices` in which k goes up by one."""
    runs: list[tuple[int, int]] = []
    start = 0
    for index in range(1, len(slices) + 1):
        if index == len(slices) or slices[index] != slices[index - 1] + 1:
            runs.append((start, index))
            start = index
    return runs


def _resample_mask(mask: BoolArray, to_block: FloatArray, slices: Sequence[int]) -> BoolArray:
    """Sample a mask (I, J, K) at crop points, and only at those about what is set in it."""
    out = np.zeros((CROP_SIZE, CROP_SIZE, len(slices)), dtype=bool)
    if not mask.any():
        return out
    lines = [np.flatnonzero(mask.any(axis=axes)) for axes in ((1, 2), (0, 2), (0, 1))]
    low = np.maximum([line[0] - 2 for line in lines], 0)
    high = np.minimum([line[-1] + 3 for line in lines], mask.shape)
    corners = np.array(np.meshgrid(*np.stack([low - 1, high], axis=1), indexing="ij"))
    reached = apply_affine(inverse(to_block), corners.reshape(3, -1).T)
    first = np.clip(np.floor(reached.min(axis=0)).astype(int), 0, CROP_SIZE)
    last = np.clip(np.ceil(reached.max(axis=0)).astype(int) + 1, first, CROP_SIZE)
    held = [i for i, k in enumerate(slices) if first[2] <= k < last[2]]
    where = tuple(slice(int(a), int(b)) for a, b in zip(low, high, strict=True))
    shifted = to_block.copy()
    shifted[:3, 3] -= low
    p, s = (np.arange(a, b) for a, b in zip(first[:2], last[:2], strict=True))
    k = [slices[i] for i in held]
    out[first[0] : last[0], first[1] : last[1], held] = sample_mask(
        mask[where], shifted, (p, s, k), beyond="edge"
    )
    return out


def _valid(block: VertebraBlock, to_block: FloatArray, slices: Sequence[int]) -> BoolArray:
    """Crop voxels whose nearest CT voxel exists and was measured."""
    valid = np.ones((CROP_SIZE, CROP_SIZE, len(slices)), dtype=bool)
    points = (np.arange(CROP_SIZE), np.arange(CROP_SIZE), np.asarray(slices))
    for axis, size in enumerate(block.ct.shape):
        if not _axis_inside(to_block[axis], slices, size):
            p, s, r = (to_block[axis, i] * along for i, along in enumerate(points))
            values = np.add.outer(np.add.outer(p, s), r + to_block[axis, 3])
            valid &= (values >= -0.5) & (values <= size - 0.5)
    if block.padding is not None:
        measured = (~block.padding).astype(np.uint8)
        valid &= _resample(measured, to_block, slices, order=0, mode="nearest") > 0.5
    return valid


def _axis_inside(row: FloatArray, slices: Sequence[int], size: int) -> bool:
    """Whether every crop point stays within the block along one axis."""
    last = CROP_SIZE - 1
    spread = [(0.0, row[0] * last), (0.0, row[1] * last)]
    spread.append((row[2] * min(slices), row[2] * max(slices)))
    low = row[3] + sum(min(pair) for pair in spread)
    high = row[3] + sum(max(pair) for pair in spread)
    return bool(low >= -0.5 and high <= size - 0.5)
