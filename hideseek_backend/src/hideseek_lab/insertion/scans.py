"""One scan made to stand for many: pose, slice thickness, kernel, dose and contrast."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage
from scipy.spatial.transform import Rotation

from hideseek_backend.volumes.crops import VertebraBlock
from hideseek_backend.volumes.volume import Volume
from hideseek_lab.insertion.site import Field

THICKEST_MM = 5.0
_SOFT_TISSUE_HU = 40.0


def another_scan(hu: Field, spacing: NDArray[np.float64], rng: np.random.Generator) -> Field:
    """Return a block's HU (I, J, K) as another scanner might have shown it.

    Thicker slices (up to 5 mm) along the coarsest axis, a softer or sharper kernel, a lower dose,
    and bone shown lighter or darker against soft tissue (tube voltage, density).
    """
    coarsest = int(np.argmax(spacing))
    image = hu
    if rng.random() < 0.5:
        image = _thicker(image, coarsest, float(spacing[coarsest]), rng)
    in_plane = [axis for axis in range(3) if axis != coarsest]
    if rng.random() < 0.6:
        width = np.zeros(3)
        amount = float(rng.uniform(-0.6, 1.3))
        width[in_plane] = (rng.uniform(0.3, 0.8) if amount < 0 else 1.0) / spacing[in_plane]
        soft = ndimage.gaussian_filter(image, width, truncate=3.0)
        image = soft if amount < 0 else image + np.float32(amount) * (image - soft)
    if rng.random() < 0.6:
        image = image + _noise(image.shape, spacing, coarsest, rng)
    if rng.random() < 0.6:
        factor = np.float32(rng.uniform(0.75, 1.3))
        bone = np.maximum(image - _SOFT_TISSUE_HU, 0)
        image = image + (factor - 1) * bone
    return np.clip(image, -1024, 3071).astype(np.float32)


def another_pose(
    block: VertebraBlock, rng: np.random.Generator, tilt_deg: float = 9.0
) -> VertebraBlock:
    """Turn a block about its centre, move it a little and mirror it (half of the time)."""
    centre = block.centre_ras
    turn = Rotation.from_euler("xyz", rng.normal(0, tilt_deg / 2, 3), degrees=True).as_matrix()
    if rng.random() < 0.5:
        turn = turn @ np.diag([-1.0, 1.0, 1.0])
    affine = block.ct.affine.copy()
    affine[:3, :3] = turn @ affine[:3, :3]
    affine[:3, 3] = turn @ (affine[:3, 3] - centre) + centre
    return block.with_ct(Volume(block.ct.data, affine))


def _thicker(image: Field, axis: int, own_mm: float, rng: np.random.Generator) -> Field:
    """Average neighbouring slices and keep only some, interpolated back onto the grid."""
    thickness = float(rng.uniform(own_mm, THICKEST_MM)) if own_mm < THICKEST_MM else own_mm
    count = thickness / own_mm
    if count < 1.15:
        return image
    sigma = np.zeros(3)
    sigma[axis] = 0.36 * np.sqrt(count**2 - 1)
    thick = ndimage.gaussian_filter(image, sigma, truncate=3.0)
    length = image.shape[axis]
    kept = np.arange(rng.uniform(0, min(count, length - 1)), length, count * rng.uniform(0.5, 1.0))
    if len(kept) < 3:
        return np.asarray(thick, dtype=np.float32)
    lower = np.clip(np.searchsorted(kept, np.arange(length), side="right") - 1, 0, len(kept) - 2)
    share = np.clip((np.arange(length) - kept[lower]) / (kept[lower + 1] - kept[lower]), 0, 1)
    rows = np.moveaxis(thick, axis, -1)
    at = np.clip(np.rint(kept).astype(int), 0, length - 1)
    mixed = rows[..., at[lower]] * (1 - share) + rows[..., at[lower + 1]] * share
    return np.ascontiguousarray(np.moveaxis(mixed, -1, axis), dtype=np.float32)


def _noise(
    shape: tuple[int, ...], spacing: NDArray[np.float64], coarsest: int, rng: np.random.Generator
) -> Field:
    """Noise of up to 45 HU, correlated in the plane as kernels do, little across slices."""
    white = rng.standard_normal(shape, dtype=np.float32)
    grain = np.full(3, rng.uniform(0.35, 0.8)) / spacing
    grain[coarsest] = min(float(grain[coarsest]), 0.3)
    noise = ndimage.gaussian_filter(white, grain, truncate=2.5)
    if rng.random() < 0.5:  # a sharp kernel's noise lacks low frequencies
        wide = 2.2 * grain
        wide[coarsest] = 0
        noise -= np.float32(rng.uniform(0.3, 0.9)) * ndimage.gaussian_filter(noise, wide)
    return np.asarray(noise * (rng.uniform(3, 45) / float(noise.std())), dtype=np.float32)
