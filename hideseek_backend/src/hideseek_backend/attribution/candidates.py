"""Candidates: connected regions of the signed residual inside the vertebral body."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage
from skimage.filters import apply_hysteresis_threshold
from skimage.morphology import disk
from skimage.segmentation import watershed

from hideseek_backend.attribution.options import Options

BoolArray = NDArray[np.bool_]
FloatArray = NDArray[np.float32]
Polarity = Literal["lytic", "blastic"]

POLARITIES: tuple[Polarity, ...] = ("lytic", "blastic")

# The peak of a residual is its 99th percentile: a single noisy pixel does not move it.
_PEAK_PERCENTILE = 99.0


@dataclass(frozen=True, eq=False)
class Candidates:
    """Numbered regions.

    labels: (64, 64, N) uint16, candidate i + 1 or 0. polarities: of candidate i + 1, in order.
    suspected: bool, same shape: every pixel above the threshold, also of regions too small to be
        candidates. Hiding "all others" hides those as well, as the released code does.
    Lytic: healthy − image > 0 (the edit restores bone); blastic: the opposite.
    """

    labels: NDArray[np.uint16]
    polarities: tuple[Polarity, ...]
    suspected: BoolArray

    def __len__(self) -> int:
        return len(self.polarities)


def find_candidates(
    difference: FloatArray,
    body: BoolArray,
    options: Options,
    *,
    min_residual: float = 0.0,
    lytic_ceiling: float = np.inf,
) -> Candidates:
    """Binarise both polarities of a residual and label what is left.

    difference: (64, 64, N) healthy minus base, N adjacent sagittal slices (1 in the paper's
    setting). body: bool, same shape: where a candidate may lie before erosion; pixels outside the
    field of view must be False in it. min_residual, lytic_ceiling: `options.min_contrast`
    and `options.lytic_ceiling` in units of `difference`; no ceiling by default.

    One threshold a polarity serves all N slices. It is taken from the whole body, whatever the
    erosion, so that erosion only removes candidates and never changes the others.
    """
    residual = _smoothed(difference, body, options)
    region = erode_in_plane(body, options.erode)
    signed = {"lytic": residual, "blastic": -residual}
    masks = {p: _binarised(signed[p], body, options, min_residual) & region for p in POLARITIES}
    labels = np.zeros(difference.shape, dtype=np.uint16)
    suspected = np.zeros(difference.shape, dtype=bool)
    polarities: list[Polarity] = []
    for polarity, other in (POLARITIES, POLARITIES[::-1]):
        allowed = region & ~masks[other]
        ceiling = lytic_ceiling if polarity == "lytic" else np.inf
        regions = _regions(masks[polarity], signed[polarity], allowed, options, ceiling)
        suspected |= regions > 0
        for index in _large_enough(regions, options):
            # A region may only claim what no other polarity has claimed by filling or closing.
            labels[(regions == index) & (labels == 0)] = len(polarities) + 1
            polarities.append(polarity)
    return Candidates(labels, tuple(polarities), suspected)


def reaching(candidates: Candidates, planes: Sequence[int]) -> Candidates:
    """Return the candidates that show in any of these planes (indices of axis 2), renumbered.

    The others stay suspected: they are hidden with the rest, and reported nowhere.
    """
    shown = np.unique(candidates.labels[:, :, list(planes)])
    kept = [int(number) for number in shown if number]
    renumbered = np.zeros(len(candidates) + 1, dtype=np.uint16)
    renumbered[kept] = np.arange(1, len(kept) + 1)
    polarities = tuple(candidates.polarities[number - 1] for number in kept)
    return Candidates(renumbered[candidates.labels], polarities, candidates.suspected)


def numbered_on(parts: Sequence[Candidates]) -> Candidates:
    """Join candidates of adjacent stacks along axis 2, numbered on from one to the next."""
    if len(parts) == 1:
        return parts[0]
    labels: list[NDArray[np.uint16]] = []
    polarities: list[Polarity] = []
    for part in parts:
        shifted = np.where(part.labels > 0, part.labels.astype(int) + len(polarities), 0)
        labels.append(shifted.astype(np.uint16))
        polarities += part.polarities
    suspected = np.concatenate([part.suspected for part in parts], axis=2)
    return Candidates(np.concatenate(labels, axis=2), tuple(polarities), suspected)


def erode_in_plane(mask: BoolArray, voxels: int) -> BoolArray:
    """Erode each slice of mask: (64, 64, N) by so many 4-connected voxels, also at the border."""
    if voxels == 0:
        return mask.copy()
    structure = ndimage.generate_binary_structure(2, 1)[:, :, None]
    return np.asarray(ndimage.binary_erosion(mask, structure, iterations=voxels))


def _smoothed(difference: FloatArray, body: BoolArray, options: Options) -> FloatArray:
    """Blur inside the body only, so that the strong residual of other tissue does not leak in."""
    through = options.smooth_through if difference.shape[2] > 1 else 0.0
    sigma = (options.smooth_sigma, options.smooth_sigma, through)
    if not any(sigma):
        return difference
    weight = ndimage.gaussian_filter(body.astype(np.float32), sigma)
    blurred = ndimage.gaussian_filter(np.where(body, difference, 0).astype(np.float32), sigma)
    return np.where(body, blurred / np.maximum(weight, 1e-6), 0).astype(np.float32)


def _binarised(
    signed: FloatArray, body: BoolArray, options: Options, min_residual: float
) -> BoolArray:
    """Threshold the positive part of one polarity."""
    values = signed[body & (signed > 0)]
    if not values.size:
        return np.zeros(signed.shape, dtype=bool)
    inside = np.where(body, signed, 0)
    if options.binarize == "hysteresis":
        peak = float(np.percentile(values, _PEAK_PERCENTILE))
        low = max(options.hysteresis_low * peak, min_residual)
        high = max(options.hysteresis_high * peak, min_residual)
        return np.asarray(apply_hysteresis_threshold(inside, low, high))
    return np.asarray(inside > max(_threshold(values, options.binarize), min_residual))


def _threshold(values: FloatArray, rule: str) -> float:
    if rule == "median":
        return float(np.median(values))
    return float(np.mean(values))


def _regions(
    mask: BoolArray, signed: FloatArray, allowed: BoolArray, options: Options, ceiling: float
) -> NDArray[Any]:
    """Label one polarity's mask after trimming, closing, filling and splitting."""
    structure = linking_structure(options.connectivity)
    if options.peak_fraction > 0:
        mask = _above_share_of_peak(mask, signed, structure, options.peak_fraction, ceiling)
    if options.closing > 0:
        # Candidates already reach the border of what is allowed: padding keeps closing symmetric.
        width = options.closing
        padded = np.pad(mask, ((width, width), (width, width), (0, 0)))
        closed = ndimage.binary_closing(padded, disk(width)[:, :, None])
        mask = mask | (closed[width:-width, width:-width] & allowed)
    if options.fill_holes:
        for k in range(mask.shape[2]):
            mask[:, :, k] |= ndimage.binary_fill_holes(mask[:, :, k]) & allowed[:, :, k]
    labels, count = ndimage.label(mask, structure)
    if options.split_distance > 0 and count:
        pieces = _split(mask, labels, options.split_distance, structure)
        labels = _merged(pieces, signed, structure, options.merge_depth)
    return np.asarray(labels)


def linking_structure(connectivity: int) -> BoolArray:
    """Neighbourhood (3, 3, 3): 4 or 8 neighbours in plane, direct overlap across slices."""
    structure = np.zeros((3, 3, 3), dtype=bool)
    structure[1, 1, :] = True
    structure[:, :, 1] = ndimage.generate_binary_structure(2, 1 if connectivity == 4 else 2)
    return structure


def _above_share_of_peak(
    mask: BoolArray, signed: FloatArray, structure: BoolArray, share: float, ceiling: float
) -> BoolArray:
    """Keep of each component what reaches `share` of its own peak, or `ceiling`.

    At one half this is the edge of a blurred lesion, whatever its contrast.
    """
    labels, count = ndimage.label(mask, structure)
    limits = np.full(count + 1, np.inf, dtype=np.float32)
    for index, box in enumerate(ndimage.find_objects(labels), start=1):
        values = signed[box][labels[box] == index]
        limits[index] = min(share * np.percentile(values, _PEAK_PERCENTILE), ceiling)
    return np.asarray(mask & (signed >= limits[labels]))


def _split(
    mask: BoolArray, labels: NDArray[Any], distance: int, structure: BoolArray
) -> NDArray[Any]:
    """Cut components at their necks: watershed on the distance to the edge, in plane."""
    depth = np.stack(
        [
            ndimage.distance_transform_edt(np.pad(plane, 1))[1:-1, 1:-1]
            for plane in np.moveaxis(mask, 2, 0)
        ],
        axis=2,
    )
    # A small blur merges the plateau maxima of a digital distance map.
    depth = ndimage.gaussian_filter(depth, (0.7, 0.7, 0.7 if mask.shape[2] > 1 else 0.0))
    size = (2 * distance + 1, 2 * distance + 1, min(3, mask.shape[2]))
    cores = mask & (depth == ndimage.maximum_filter(depth, size=size))
    seeds, _ = ndimage.label(cores, np.ones((3, 3, 3)))
    pieces = watershed(-depth, seeds, mask=mask, connectivity=structure)
    # Any component without a seed of its own keeps its identity.
    missed = mask & (pieces == 0)
    return np.asarray(np.where(missed, labels + seeds.max(), pieces))


def _merged(
    pieces: NDArray[Any], signed: FloatArray, structure: BoolArray, depth: float
) -> NDArray[Any]:
    """Join pieces between which the residual does not fall: one lesion to the eye.

    A neck in a candidate's outline may be anatomy (the body's waist, a vein) within one lesion. Two
    pieces that touch are one where the residual on their border, its median over the voxel pairs
    that meet there, is at least `depth` times the peak of the weaker piece.
    """
    count = int(pieces.max())
    if depth == 0 or count < 2:
        return pieces
    peaks = np.zeros(count + 1)
    for index, box in enumerate(ndimage.find_objects(pieces), start=1):
        if box is not None:
            peaks[index] = np.percentile(signed[box][pieces[box] == index], _PEAK_PERCENTILE)
    borders: dict[tuple[int, int], list[float]] = {}
    for step in np.argwhere(structure) - 1:
        if tuple(step) <= (0, 0, 0):
            continue  # each pair of neighbours once
        here = tuple(
            slice(max(0, -d), size - max(0, d)) for d, size in zip(step, pieces.shape, strict=True)
        )
        there = tuple(
            slice(max(0, d), size - max(0, -d)) for d, size in zip(step, pieces.shape, strict=True)
        )
        a, b = pieces[here], pieces[there]
        meet = (a != b) & (a > 0) & (b > 0)
        level = np.minimum(signed[here], signed[there])[meet]
        for one, other, value in zip(a[meet].tolist(), b[meet].tolist(), level, strict=True):
            borders.setdefault((min(one, other), max(one, other)), []).append(float(value))
    root = np.arange(count + 1)
    for (one, other), values in borders.items():
        if np.median(values) >= depth * min(peaks[one], peaks[other]):
            root[root == root[other]] = root[one]
    return root[pieces]


def _large_enough(regions: NDArray[Any], options: Options) -> list[int]:
    """Numbers of the regions that reach min_area in a slice and, in a stack, min_slices."""
    count = int(regions.max())
    if count == 0:
        return []
    per_slice = np.stack(
        [np.bincount(plane.ravel(), minlength=count + 1) for plane in np.moveaxis(regions, 2, 0)]
    )
    needed = options.min_slices if regions.shape[2] > 1 else 1
    kept = (per_slice.max(axis=0) >= options.min_area) & ((per_slice > 0).sum(axis=0) >= needed)
    kept[0] = False
    return [int(index) for index in np.flatnonzero(kept)]
