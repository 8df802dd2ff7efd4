"""The scanner: random CT grids, point spread, edge enhancement and correlated noise."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.ndimage import gaussian_filter
from scipy.spatial.transform import Rotation

AIR_HU, METAL_HU = -1024, 3071  # the 12-bit range of CT


@dataclass(frozen=True)
class Scan:
    """One acquisition. spacing: (3,) mm, the last axis across slices; tilt: (3, 3) grid axes.

    blur_mm: sigma of the in-plane point spread; slice_blur_mm: across slices;
    enhancement: strength of unsharp masking; noise_hu: standard deviation; grain_mm: noise
    correlation length; highpass: share of low frequencies removed from the noise (sharp kernels).
    """

    spacing: np.ndarray
    tilt: np.ndarray
    blur_mm: float
    slice_blur_mm: float
    enhancement: float
    noise_hu: float
    grain_mm: float
    highpass: float


def draw_scan(
    rng: np.random.Generator,
    *,
    noise_hu: tuple[float, float],
    thickness_mm: tuple[float, float],
    in_plane_mm: tuple[float, float],
    tilt_deg: float,
) -> Scan:
    """Draw an acquisition: kernel soft to sharp, dose, slice thickness and tilt."""
    sharp = float(rng.beta(1.3, 2.0))
    pixel = float(rng.uniform(*in_plane_mm))
    low, high = thickness_mm
    thickness = float(np.exp(rng.uniform(np.log(low), np.log(high))))
    tilt = Rotation.from_euler(
        "xyz", np.clip(rng.normal(0, tilt_deg / 2, 3), -tilt_deg, tilt_deg), degrees=True
    )
    low, high = noise_hu
    level = rng.beta(1.2, 2.0)
    noise = float(low + (high - low) * np.clip(0.75 * level + 0.35 * sharp * rng.random(), 0, 1))
    return Scan(
        spacing=np.array([pixel, pixel, thickness]),
        tilt=tilt.as_matrix(),
        blur_mm=float(0.85 - 0.45 * sharp),
        slice_blur_mm=float(0.3 * thickness),
        enhancement=float(max(0.0, rng.uniform(-0.3, 0.5) + 0.5 * sharp)),
        noise_hu=noise,
        grain_mm=float(rng.uniform(0.45, 0.75) * (1.35 - 0.6 * sharp)),
        highpass=float(0.9 * sharp),
    )


def scan_affine(scan: Scan, shape: tuple[int, int, int], centre: np.ndarray) -> np.ndarray:
    """Return the (4, 4) affine of a grid about `centre` (RAS mm); voxel axes run L, P, S."""
    axes = scan.tilt @ np.diag([-1.0, -1.0, 1.0]) * scan.spacing
    affine = np.eye(4)
    affine[:3, :3] = axes
    affine[:3, 3] = centre - axes @ ((np.array(shape) - 1) / 2)
    return affine


def acquire(hu: np.ndarray, scan: Scan, rng: np.random.Generator) -> np.ndarray:
    """Blur, enhance, add noise and round: (I, J, K) HU to int16."""
    voxels = np.array([scan.blur_mm, scan.blur_mm, scan.slice_blur_mm]) / scan.spacing
    image = gaussian_filter(hu, voxels, truncate=2.5)
    if scan.enhancement > 0:
        wide = 1.3 / scan.spacing[:2]
        image = image + scan.enhancement * (
            image - gaussian_filter(image, (*wide, 0), truncate=2.5)
        )
    image += correlated_noise(hu.shape, scan, rng)
    return np.clip(np.rint(image), AIR_HU, METAL_HU).astype(np.int16)


def correlated_noise(shape: tuple[int, ...], scan: Scan, rng: np.random.Generator) -> np.ndarray:
    """Return CT noise of `scan.noise_hu` HU: band-limited in plane, short across slices."""
    white = rng.standard_normal(shape, dtype=np.float32)
    grain = scan.grain_mm / scan.spacing[:2]
    across = 0.35 / scan.spacing[2]
    noise = gaussian_filter(white, (*grain, across), truncate=2.5)
    if scan.highpass > 0.05:
        noise -= scan.highpass * gaussian_filter(noise, (*(2.2 * grain), 0), truncate=2.5)
    return noise * np.float32(scan.noise_hu / max(float(noise.std()), 1e-6))
