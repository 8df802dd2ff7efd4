"""A real vertebral body made ready for insertion: where its points lie, and what its scan is like.

Local coordinates are RAS mm from the centre of the body.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from hideseek_backend.volumes.volume import Volume

MARGIN_MM = 9.0
"""How far beyond the body an insertion reaches (osteophytes, a mass beyond the cortex)."""
STRUCTURE_MM = 1.0
"""What is smoother than this is taken for structure; the rest is noise and finest trabeculae."""
_SUB_SLICE_MM = 1.3
_LEAST_SOFT_VOXELS = 150

Field = NDArray[np.float32]


@dataclass(frozen=True, eq=False)
class Site:
    """One body within a CT block, restricted to its box.

    where: the box in the block; x, y, z: local RAS mm of its voxels (float32, the box's shape);
    depth: mm inside the body's surface, negative outside; upright: the share of the way to the
    nearest surface that runs up (+) or down (−), so ±1 under an endplate; body: the mask.
    half: (3,) half extents right, anterior and superior, mm. marrow: median HU of the body.
    noise_share: the scanner's noise over the whole fine texture of the body, at most 1.
    step: (3,) RAS mm from one voxel to the next along the coarsest voxel axis.
    """

    where: tuple[slice, slice, slice]
    x: Field
    y: Field
    z: Field
    depth: Field
    upright: Field
    body: NDArray[np.bool_]
    half: NDArray[np.float64]
    marrow: float
    noise_share: float
    spacing: NDArray[np.float64]
    coarsest: int
    step: NDArray[np.float64]

    def sub_slices(self) -> list[NDArray[np.float64]]:
        """Offsets (mm) within one voxel along the coarsest axis, for partial volume."""
        count = max(1, int(np.ceil(self.spacing[self.coarsest] / _SUB_SLICE_MM)))
        shares = (np.arange(count) + 0.5) / count - 0.5
        return [share * self.step for share in shares]

    def point_spread(self, hu: Field, in_plane_mm: float = 0.5) -> Field:
        """Blur a change as the scanner would: in the plane of the slices, less across them."""
        sigma = in_plane_mm / self.spacing
        sigma[self.coarsest] = min(float(sigma[self.coarsest]), 0.35)
        return np.asarray(ndimage.gaussian_filter(hu, sigma, truncate=3.0), dtype=np.float32)


def make_site(ct: Volume, body: NDArray[np.bool_]) -> Site:
    """Prepare a body, a mask (I, J, K) on the grid of `ct`."""
    spacing = ct.spacing
    hits = [np.flatnonzero(body.any(axis=tuple({0, 1, 2} - {axis}))) for axis in range(3)]
    room = np.ceil(MARGIN_MM / spacing).astype(int)
    low = [max(int(h[0]) - int(r), 0) for h, r in zip(hits, room, strict=True)]
    high = [min(int(h[-1]) + 1 + int(r), n) for h, r, n in zip(hits, room, body.shape, strict=True)]
    where = (slice(low[0], high[0]), slice(low[1], high[1]), slice(low[2], high[2]))
    own = body[where]
    index = np.moveaxis(np.indices(own.shape), 0, -1) + np.array(low)
    points = ct.ras(index)
    centre = points[own].mean(axis=0)
    x, y, z = (np.ascontiguousarray(points[..., a] - centre[a], dtype=np.float32) for a in range(3))
    inside, nearest = ndimage.distance_transform_edt(own, sampling=spacing, return_indices=True)
    outside = ndimage.distance_transform_edt(~own, sampling=spacing)
    depth = np.where(own, inside, -outside).astype(np.float32)
    away = z[tuple(nearest)] - z
    upright = np.where(own, away / np.maximum(inside, 1e-3), 0).astype(np.float32)
    local = np.stack([x[own], y[own], z[own]])
    hu = ct.data[where].astype(np.float32)
    coarsest = int(np.argmax(spacing))
    return Site(
        where,
        x,
        y,
        z,
        depth,
        upright,
        own,
        np.percentile(np.abs(local), 97, axis=1),
        float(np.median(hu[own])),
        _noise_share(hu, own, depth, spacing),
        spacing,
        coarsest,
        ct.affine[:3, coarsest],
    )


def structure(hu: Field, spacing: NDArray[np.float64]) -> Field:
    """Return the HU without noise and finest texture."""
    return np.asarray(ndimage.gaussian_filter(hu, STRUCTURE_MM / spacing), dtype=np.float32)


def _noise_share(
    hu: Field, body: NDArray[np.bool_], depth: Field, spacing: NDArray[np.float64]
) -> float:
    """The spread of fine texture in soft tissue over that in the core of the body, 0.3 to 1."""
    smooth = structure(hu, spacing)
    fine = hu - smooth
    even = ndimage.generic_gradient_magnitude(smooth, ndimage.sobel) < 300
    soft = even & (smooth > -30) & (smooth < 110) & (depth < -2)
    core = body & (depth > 3)
    if soft.sum() < _LEAST_SOFT_VOXELS or core.sum() < _LEAST_SOFT_VOXELS:
        return 0.6
    spread = [float(np.median(np.abs(fine[m] - np.median(fine[m])))) for m in (soft, core)]
    return float(np.clip(spread[0] / max(spread[1], 1.0), 0.3, 1.0))
