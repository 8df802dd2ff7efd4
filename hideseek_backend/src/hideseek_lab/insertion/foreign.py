"""What no training shows, put into a real vertebra: metal, cement, spoilt scans, another modality.

For measuring whether a model says that it has not seen such a thing. Nothing is trained on these.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np
from scipy import ndimage

from hideseek_backend.volumes.crops import VertebraBlock
from hideseek_backend.volumes.volume import apply_affine
from hideseek_lab.insertion.site import Field

METAL_HU = 3071.0
_SCREW_RADIUS_MM = 3.0
_SCREW_APART_MM = 13.0


def screws(block: VertebraBlock, rng: np.random.Generator) -> Field:
    """Two pedicle screws from behind into the front of the body, with beam-hardening streaks."""
    hu = block.ct.data.astype(np.float32)
    place = _ras(block) - block.centre_ras
    depth = float(np.ptp(place[block.body][:, 1]))
    metal = np.zeros(hu.shape, bool)
    for side in (-1, 1):
        converge = rng.uniform(0.1, 0.35)
        x = place[..., 0] - side * (_SCREW_APART_MM + converge * np.minimum(-place[..., 1], 0))
        z = place[..., 2] - rng.uniform(-2, 2) - rng.uniform(-0.15, 0.15) * place[..., 1]
        shaft = np.hypot(x, z) < _SCREW_RADIUS_MM
        metal |= shaft & (place[..., 1] < 0.25 * depth) & (place[..., 1] > -depth - 25)
    # Dark between the screws and bright beside them, in the scan's own planes.
    sigma = 12.0 / block.ct.spacing
    sigma[int(np.argmax(block.ct.spacing))] = 0.3
    spread = ndimage.gaussian_filter(metal.astype(np.float32), sigma)
    angle = np.arctan2(place[..., 1] + depth / 2, place[..., 0])
    streak = np.cos(angle * rng.integers(8, 14) + rng.uniform(0, 6)) * 900 * spread
    return np.where(metal, METAL_HU, np.clip(hu + streak - 500 * spread, -1024, METAL_HU)).astype(
        np.float32
    )


def cement(block: VertebraBlock, rng: np.random.Generator) -> Field:
    """Vertebroplasty cement: a ragged blob of 1,200 to 2,500 HU in the front half of the body."""
    hu = block.ct.data.astype(np.float32)
    place = _ras(block) - block.centre_ras
    size = np.ptp(place[block.body], axis=0)
    offset = place - [rng.uniform(-0.1, 0.1) * size[0], 0.12 * size[1], 0]
    rough = ndimage.gaussian_filter(
        rng.standard_normal(hu.shape, dtype=np.float32), 2.5 / block.ct.spacing
    )
    rough /= rough.std()
    radii = rng.uniform(0.24, 0.34) * size
    inside = (offset / radii) ** 2
    blob = (inside.sum(axis=-1) + 0.35 * rough < 1) & block.body
    return np.where(blob, np.float32(rng.uniform(1200, 2500)) + 60 * rough, hu).astype(np.float32)


def thick_slices(block: VertebraBlock, rng: np.random.Generator) -> Field:
    """Slices of 8 to 10 mm along the patient's axis, repeated as nearest neighbours show them."""
    axis = int(np.argmax(np.abs(block.ct.affine[2, :3])))
    count = max(2, round(float(rng.uniform(8, 10)) / block.ct.spacing[axis]))
    rows = np.moveaxis(block.ct.data.astype(np.float32), axis, 0)
    first = int(rng.integers(count))
    group = (np.arange(len(rows)) + first) // count
    means = np.stack([rows[group == g].mean(axis=0) for g in range(group.max() + 1)])
    return np.ascontiguousarray(np.moveaxis(means[group], 0, axis))


def motion(block: VertebraBlock, rng: np.random.Generator) -> Field:
    """A patient who moved during the turn: the same anatomy three times, 4 to 7 mm apart."""
    hu = block.ct.data.astype(np.float32)
    coarsest = int(np.argmax(block.ct.spacing))
    in_plane = [axis for axis in range(3) if axis != coarsest]
    out = np.zeros_like(hu)
    step = rng.uniform(4, 7) * rng.choice([-1, 1], 2)
    for share, weight in ((-1, 0.3), (0, 0.4), (1, 0.3)):
        shift = np.zeros(3)
        shift[in_plane] = share * step / block.ct.spacing[in_plane]
        out += np.float32(weight) * ndimage.shift(hu, shift, order=1, mode="nearest")
    return out


def noise(block: VertebraBlock, rng: np.random.Generator) -> Field:
    """A dose far too low: 180 to 300 HU of grain."""
    hu = block.ct.data.astype(np.float32)
    grain = ndimage.gaussian_filter(
        rng.standard_normal(hu.shape, dtype=np.float32), 0.4 / block.ct.spacing
    )
    amount = np.float32(rng.uniform(180, 300) / grain.std())
    return np.clip(hu + amount * grain, -1024, METAL_HU).astype(np.float32)


def magnetic_resonance(block: VertebraBlock, rng: np.random.Generator) -> Field:
    """T1-weighted signal in arbitrary units: fatty marrow and fat bright, cortex and air dark."""
    hu = block.ct.data.astype(np.float32)
    knots = np.array([-1024, -300, -100, 20, 60, 150, 350, 700, 3071])
    signal = np.array([0, 60, 900, 380, 330, 620, 420, 60, 20]) * rng.uniform(0.7, 1.2)
    out = np.interp(hu, knots, signal)
    coil = 1 + 0.25 * np.sin(_ras(block)[..., 1] / 60 + rng.uniform(0, 6))
    return np.asarray(out * coil, dtype=np.float32)


FOREIGN: Mapping[str, Callable[[VertebraBlock, np.random.Generator], Field]] = {
    "screws": screws,
    "cement": cement,
    "thick slices": thick_slices,
    "motion": motion,
    "noise": noise,
    "magnetic resonance": magnetic_resonance,
}
"""Name -> what makes HU (I, J, K) on the block's grid."""


def _ras(block: VertebraBlock) -> Field:
    """(I, J, K, 3) RAS mm of every voxel."""
    index = np.stack(np.meshgrid(*map(np.arange, block.ct.shape), indexing="ij"), axis=-1)
    return np.asarray(apply_affine(block.ct.affine, index), dtype=np.float32)
