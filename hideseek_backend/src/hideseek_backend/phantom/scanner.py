"""The scanner: random CT grids, point spread, edge enhancement and correlated noise."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.ndimage import gaussian_filter
from scipy.spatial.transform import Rotation

from .options import ScanOptions

LOWEST_HU, HIGHEST_HU = -1024, 3071  # the 12-bit range of CT
# Voxel axes in RAS by orientation of the slices; the last axis runs across them.
_AXES = {
    "axial": np.array([[-1.0, 0, 0], [0, -1, 0], [0, 0, 1]]),  # L, P, S
    "sagittal": np.array([[0.0, 0, 1], [-1, 0, 0], [0, -1, 0]]),  # P, I, R
}


@dataclass(frozen=True)
class Scan:
    """One acquisition.

    orientation: of the slices, "axial" or "sagittal"; spacing: (3,) mm, the last axis across
    slices; tilt: (3, 3) rotation of the grid from upright. blur_mm: sigma of the in-plane point
    spread; slice_blur_mm: sigma across slices, beside the slice thickness itself; enhancement:
    strength of unsharp masking; noise_hu: standard deviation; grain_mm: noise correlation length;
    highpass: share of low frequencies removed from the noise (sharp kernels).
    """

    orientation: str
    spacing: np.ndarray
    tilt: np.ndarray
    blur_mm: float
    slice_blur_mm: float
    enhancement: float
    noise_hu: float
    grain_mm: float
    highpass: float

    @property
    def axes(self) -> np.ndarray:
        """(3, 3) unit voxel axes in RAS, one a column."""
        return self.tilt @ _AXES[self.orientation]


def draw_scan(rng: np.random.Generator, options: ScanOptions) -> Scan:
    """Draw an acquisition: orientation, kernel soft to sharp, dose, slice thickness and tilt."""
    sagittal, coarse = rng.random() < options.p_sagittal, rng.random() < options.p_coarse
    sharp = float(rng.beta(1.2, 1.6))
    pixel = float(rng.uniform(*options.in_plane_mm))
    thin, thick = np.log(options.thickness_mm)
    thickness = max(float(np.exp(rng.uniform(thin, thick))), options.thickness_mm[0])
    angles = np.clip(rng.normal(0, options.tilt_deg / 2, 3), -options.tilt_deg, options.tilt_deg)
    low, high = options.noise_hu
    dose = float(np.clip(0.75 * rng.beta(1.2, 2.0) + 0.35 * sharp * rng.random(), 0, 1))
    noise = low + (high - low) * dose
    blur = 0.80 - 0.45 * sharp
    if coarse:  # a study resampled to large isotropic voxels, as some collections are
        pixel = thickness = float(rng.uniform(1.5, 3.0))
        noise, blur, sharp = 0.45 * noise, 0.4 * pixel, 0.3 * sharp
    return Scan(
        orientation="sagittal" if sagittal else "axial",
        spacing=np.array([pixel, pixel, thickness]),
        tilt=Rotation.from_euler("xyz", angles, degrees=True).as_matrix(),
        blur_mm=float(blur),
        slice_blur_mm=float(0.35 * thickness),
        enhancement=float(max(0.0, rng.uniform(-0.3, 0.4) + 0.6 * sharp)),
        noise_hu=float(noise),
        grain_mm=float(rng.uniform(0.45, 0.75) * (1.35 - 0.6 * sharp)),
        highpass=float(0.9 * sharp),
    )


def scan_shape(scan: Scan, extent_mm: np.ndarray) -> tuple[int, int, int]:
    """Return the voxel counts of a tilted grid that holds an upright box of `extent_mm` (3,)."""
    size = np.abs(scan.axes.T) @ extent_mm
    i, j, k = (int(n) for n in np.ceil(size / scan.spacing).astype(int) + 1)
    return i, j, k


def scan_affine(scan: Scan, shape: tuple[int, int, int], centre: np.ndarray) -> np.ndarray:
    """Return the (4, 4) affine, voxel index to RAS mm, of a grid about `centre` (3,) mm."""
    affine = np.eye(4)
    affine[:3, :3] = scan.axes * scan.spacing
    affine[:3, 3] = centre - affine[:3, :3] @ ((np.array(shape) - 1) / 2)
    return affine


def acquire(hu: np.ndarray, scan: Scan, rng: np.random.Generator) -> np.ndarray:
    """Blur, enhance, add noise and round: (I, J, K) HU to int16."""
    voxels = np.array([scan.blur_mm, scan.blur_mm, scan.slice_blur_mm]) / scan.spacing
    image = gaussian_filter(hu, voxels, truncate=2.5)
    if scan.enhancement > 0.02:
        wide = np.maximum(1.2, 0.8 * scan.spacing[0]) / scan.spacing[:2]
        blurred = gaussian_filter(image, (*wide, 0), truncate=2.5)
        image = image + np.float32(scan.enhancement) * (image - blurred)
    image += correlated_noise(hu.shape, scan, rng)
    return np.clip(np.rint(image), LOWEST_HU, HIGHEST_HU).astype(np.int16)


def correlated_noise(shape: tuple[int, ...], scan: Scan, rng: np.random.Generator) -> np.ndarray:
    """Return CT noise of `scan.noise_hu` HU: band-limited in plane, short across slices."""
    white = rng.standard_normal(shape, dtype=np.float32)
    grain = scan.grain_mm / scan.spacing[:2]
    across = 0.35 / scan.spacing[2]
    noise = gaussian_filter(white, (*grain, across), truncate=2.5)
    if scan.highpass > 0.05:
        low = gaussian_filter(noise, (*(2.2 * grain), 0), truncate=2.5)
        noise -= np.float32(scan.highpass) * low
    return noise * np.float32(scan.noise_hu / max(float(noise.std()), 1e-6))
