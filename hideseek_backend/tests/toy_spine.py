"""A toy spine on any grid: cylinders with pedicles, arch and spinous process in soft tissue."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.spatial.transform import Rotation

from hideseek_backend.volumes.volume import Volume
from hideseek_backend.wire.levels import VERSE_VALUES

PITCH_MM = 32.0
HALF_HEIGHT_MM = 12.0


@dataclass(frozen=True)
class ToySpine:
    """ct: int16 HU; labels and bodies: uint8 with VerSe's values, all on one grid."""

    ct: Volume
    labels: Volume
    bodies: Volume
    centres: dict[str, np.ndarray]


def grid_affine(
    spacing: tuple[float, float, float] = (1.5, 1.5, 2.0),
    degrees: tuple[float, float, float] = (0.0, 0.0, 0.0),
    flips: tuple[int, int, int] = (1, 1, 1),
    order: tuple[int, int, int] = (0, 1, 2),
) -> np.ndarray:
    """Return an affine at the origin: axes permuted, flipped, rotated and scaled."""
    axes = np.eye(3)[:, list(order)] * np.array(flips)
    affine = np.eye(4)
    affine[:3, :3] = Rotation.from_euler("xyz", degrees, degrees=True).as_matrix() @ axes
    affine[:3, :3] *= np.array(spacing)
    return affine


def toy_spine(
    levels: tuple[str, ...] = ("L1", "L2", "L3"),
    affine: np.ndarray | None = None,
    field_mm: tuple[float, float, float] = (90.0, 110.0, 110.0),
    noise: float = 12.0,
) -> ToySpine:
    """Make a spine around the RAS origin; levels are listed from the top.

    affine: its linear part is used, and the grid is centred on the origin.
    field_mm: at least this much along R, A and S, whatever the grid's axes.
    """
    affine = grid_affine() if affine is None else affine.copy()
    linear = affine[:3, :3]
    corners = np.array(np.meshgrid(*[(-f / 2, f / 2) for f in field_mm])).reshape(3, -1).T
    reach = np.abs(corners @ np.linalg.inv(linear).T).max(axis=0)
    shape = tuple(int(n) for n in 2 * np.ceil(reach) + 1)
    affine[:3, 3] = -linear @ ((np.array(shape) - 1) / 2)
    index = np.stack(np.meshgrid(*(np.arange(n) for n in shape), indexing="ij"), axis=-1)
    r, a, s = np.moveaxis(index @ linear.T + affine[:3, 3], -1, 0)

    rng = np.random.default_rng(0)
    hu = np.where(np.hypot(r, a) > 42.0, -95.0, 45.0)
    labels = np.zeros(shape, dtype=np.uint8)
    bodies = np.zeros(shape, dtype=np.uint8)
    centres = {}
    for number, level in enumerate(levels):
        height = PITCH_MM * ((len(levels) - 1) / 2 - number)
        centres[level] = np.array([0.0, 10.0, height])
        z, y = s - height, a - 10.0
        column = np.maximum(np.hypot(r / 21.0, y / 16.0), -y / 13.0)
        body = (column <= 1.0) & (np.abs(z) <= HALF_HEIGHT_MM)
        pedicles = (np.abs(np.abs(r) - 14.0) < 4.0) & (y < -11.0) & (y > -26.0)
        pedicles &= np.abs(z - 3.0) < 6.5
        arch = (np.abs(r) < 18.0) & (y < -26.0) & (y > -31.0) & (np.abs(z) < 9.0)
        spinous = (np.abs(r) < 3.5) & (y < -29.0) & (y > -52.0) & (np.abs(z + 4.0) < 7.0)
        transverse = (np.abs(r) < 38.0) & (np.abs(y + 21.0) < 3.5) & (np.abs(z - 3.0) < 4.0)
        transverse &= np.abs(r) > 14.0
        vertebra = body | pedicles | arch | spinous | transverse
        hu[vertebra] = 330.0
        hu[(column <= 0.9) & (np.abs(z) <= HALF_HEIGHT_MM - 1.5)] = 170.0
        labels[vertebra] = VERSE_VALUES[level]
        bodies[body] = VERSE_VALUES[level]
    hu += rng.normal(0.0, noise, shape)
    return ToySpine(
        Volume(hu.astype(np.int16), affine), Volume(labels, affine), Volume(bodies, affine), centres
    )
