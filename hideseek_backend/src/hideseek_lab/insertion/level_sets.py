"""A second generator of metastases, for evaluation only: level sets of noise, filled with texture.

It shares nothing with `metastases` and `compose` but the published sizes: its outlines are level
sets of a smooth random field, grown from a seed to an exact volume; its HU come from quantiles
and a noise patch of the scan's own soft tissue; and it replaces voxels by weight instead of adding
a change. A figure that holds on both is not the first generator's own.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from hideseek_backend.volumes.crops import VertebraBlock

_FINE_MM = 1.0


def grow_lesions(
    block: VertebraBlock, phenotype: str, diameter: float, rng: np.random.Generator
) -> tuple[NDArray[np.float32], NDArray[np.uint8]]:
    """Return the block's HU (I, J, K) with one lesion, and its truth (1 lytic, 2 blastic).

    diameter: mm of a ball of the lesion's volume, cut to four fifths of the body.
    """
    spacing = block.ct.spacing
    hu = block.ct.data.astype(np.float32)
    body = block.body
    volume = min(np.pi / 6 * diameter**3, 0.8 * block.body_volume_mm3)
    order = _order(body, spacing, diameter, rng)
    count = max(1, int(round(volume / block.ct.voxel_volume_mm3)))
    levels = np.sort(order[body])[::-1]
    threshold = float(levels[min(count, len(levels)) - 1])
    # The width of the edge in units of the field: how much it falls from one voxel to the next.
    slope = float(np.median(np.abs(np.gradient(order, axis=int(np.argmin(spacing)))[body]))) + 1e-6
    edge = slope / float(spacing.min()) * rng.uniform(0.5, 2.5)
    weight = 1 / (1 + np.exp(-np.clip((order - threshold) / edge * 2, -30, 30)))
    depth = ndimage.distance_transform_edt(body, sampling=spacing)
    weight = (weight * np.clip(depth / rng.uniform(0.5, 1.8), 0, 1)).astype(np.float32)
    marrow = hu[body]
    grain = _fine_noise(hu, body, spacing, rng)
    part = np.zeros_like(weight)  # the blastic share of the lesion
    if phenotype == "blastic":
        part[:] = 1
    elif phenotype == "mixed":
        split = ndimage.gaussian_filter(rng.standard_normal(hu.shape), 0.35 * diameter / spacing)
        inside = body & (weight > 0.5)
        middle = np.quantile(split[inside], rng.uniform(0.35, 0.65)) if inside.any() else 0.0
        part[:] = split > middle
    soft = min(float(rng.normal(45, 15)), float(np.median(marrow)) - 50)
    dense = float(np.quantile(marrow, 0.9) + rng.gamma(3.0, 110.0) + 60)
    clumps = ndimage.gaussian_filter(rng.standard_normal(hu.shape), rng.uniform(0.8, 2.0) / spacing)
    clumps *= 0.25 / max(float(clumps.std()), 1e-6)
    target = np.where(part > 0.5, np.minimum(dense * (1 + clumps), 1400), soft) + grain
    blur = 0.45 / spacing
    blur[int(np.argmax(spacing))] = min(float(blur.max()), 0.3)
    mixed = ndimage.gaussian_filter(weight, blur, truncate=3.0)
    out = (hu * (1 - mixed) + target * mixed).astype(np.float32)
    truth = np.zeros(hu.shape, np.uint8)
    seen = body & (weight > 0.5)
    truth[seen] = np.where(part[seen] > 0.5, 2, 1)
    return out, truth


def _order(
    body: NDArray[np.bool_], spacing: NDArray[np.float64], diameter: float, rng: np.random.Generator
) -> NDArray[np.float64]:
    """The field whose level sets are the lesion at every size, highest at a seed in the body."""
    rough = ndimage.gaussian_filter(
        rng.standard_normal(body.shape), rng.uniform(0.18, 0.35) * diameter / spacing
    )
    rough /= max(float(rough[body].std()), 1e-6)
    voxels = np.argwhere(body)
    seed = voxels[rng.integers(len(voxels))]
    stretch = np.exp(rng.normal(0, 0.2, 3))
    away = [
        ((np.arange(n) - s) * mm / f) ** 2
        for n, s, mm, f in zip(body.shape, seed, spacing, stretch, strict=True)
    ]
    distance = np.sqrt(away[0][:, None, None] + away[1][:, None] + away[2])
    field = rng.uniform(0.15, 0.4) * rough - distance / (0.5 * diameter)
    return np.where(body, field, field - 1e-3)


def _fine_noise(
    hu: NDArray[np.float32],
    body: NDArray[np.bool_],
    spacing: NDArray[np.float64],
    rng: np.random.Generator,
) -> NDArray[np.float32]:
    """The scan's own noise: its soft tissue's fine texture, with the phases drawn anew."""
    fine = hu - ndimage.gaussian_filter(hu, _FINE_MM / spacing)
    even = ndimage.gaussian_filter(np.abs(fine), 2.0 / spacing)
    soft = ~body & (hu > -60) & (hu < 130)
    limit = np.quantile(even[soft], 0.5) if soft.sum() > 200 else np.inf
    pool = fine[soft & (even <= limit)] if soft.sum() > 200 else fine[body] * 0.6
    white = ndimage.gaussian_filter(rng.standard_normal(hu.shape), 0.45 / spacing)
    return np.asarray(white * (float(pool.std()) / max(float(white.std()), 1e-6)), dtype=np.float32)
