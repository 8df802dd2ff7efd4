"""Training samples from real vertebrae without disease: as they are, or with an inserted lesion.

The inserted lesion is a phantom's; the background, its noise and its blur are the scanner's.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from hideseek_backend.phantom.body import BodyShape
from hideseek_backend.phantom.lesions import draw_lesions
from hideseek_backend.phantom.spine import draw_patient
from hideseek_backend.phantom.texture import Waves
from hideseek_backend.volumes.crops import VertebraBlock, cut_block
from hideseek_backend.volumes.vertebrae import load_case
from hideseek_lab.training.dataset import PHENOTYPE_LABELS, Sample, sample_slices

_CORTEX_MM = 1.5
"""The outer shell of the body that an inserted lesion replaces only in part, as real ones do."""


def load_blocks(
    ct: Path,
    vertebrae: Path,
    *,
    bodies: Path | None = None,
    labels: str | None = None,
    levels: Sequence[str],
) -> list[VertebraBlock]:
    """Cut the blocks of the named levels, which the user vouches to be free of disease."""
    case = load_case(ct, vertebrae, bodies_path=bodies, labels=labels)
    return [cut_block(case.ct, case.vertebrae, level) for level in levels]


def insert_lesions(
    block: VertebraBlock, phenotype: str, rng: np.random.Generator
) -> tuple[VertebraBlock, NDArray[np.uint8]]:
    """Return the block with lesions of a phenotype, and their truth (1 lytic, 2 blastic).

    The lesion acts on the smoothed image and its change, blurred by half a voxel, is added to the
    image itself, so that the scanner's noise and sharpness stay.
    """
    hu = block.ct.data.astype(np.float32)
    spacing = block.ct.spacing
    points = block.ct.ras(np.moveaxis(np.indices(hu.shape), 0, -1)) - block.centre_ras
    x, y, z = (points[..., axis].astype(np.float32) for axis in range(3))
    inside = np.stack([x[block.body], y[block.body], z[block.body]])
    half = np.percentile(np.abs(inside), 97, axis=1)
    shape = _box_shape(half, rng)
    smooth = ndimage.gaussian_filter(hu, 1.0 / spacing)
    marrow = float(np.median(hu[block.body]))
    specs = draw_lesions(rng, draw_patient(rng), marrow, shape, phenotype, 0.9)
    changed = smooth.copy()
    lytic = np.zeros(hu.shape, np.float32)
    blastic = np.zeros(hu.shape, np.float32)
    for spec in specs:
        changed, own_lytic, own_blastic = spec.apply(changed, x, y, z)
        lytic = np.maximum(lytic * (1 - own_blastic), own_lytic)
        blastic = np.maximum(blastic * (1 - own_lytic), own_blastic)
    depth = ndimage.distance_transform_edt(block.body, sampling=spacing)
    share = np.clip(depth / _CORTEX_MM, 0, 1).astype(np.float32)
    change = ndimage.gaussian_filter((changed - smooth) * share, 0.5)
    truth = np.zeros(hu.shape, np.uint8)
    truth[(lytic > 0.5) & block.body] = 1
    truth[(blastic > 0.5) & block.body] = 2
    data = np.rint(hu + change).astype(np.int16)
    return replace(block, ct=block.ct.with_data(data)), truth


def real_sample(blocks: Sequence[VertebraBlock], seed: int, name: str) -> Sample:
    """Draw a vertebra, healthy or (half of the time) with inserted lesions, and its slices."""
    rng = np.random.default_rng([seed, 11])
    block = blocks[int(rng.integers(len(blocks)))]
    phenotype = "healthy"
    if rng.random() < 0.5:
        phenotype = str(rng.choice(["lytic", "blastic", "mixed"]))
        block, _ = insert_lesions(block, phenotype, rng)
    block = _noisier(block, rng)
    return Sample(sample_slices(block, rng), PHENOTYPE_LABELS[phenotype], f"{name}:{block.level}")


def _noisier(block: VertebraBlock, rng: np.random.Generator) -> VertebraBlock:
    """Add correlated noise of up to 30 HU, so that one real scan stands for several doses."""
    white = rng.standard_normal(block.ct.data.shape)
    noise = ndimage.gaussian_filter(white, rng.uniform(0.3, 0.8))
    noise *= rng.uniform(0, 30) / noise.std()
    return replace(block, ct=block.ct.with_data(np.rint(block.ct.data + noise).astype(np.int16)))


def _box_shape(half: NDArray[np.float64], rng: np.random.Generator) -> BodyShape:
    """A plain column of the body's size (right, anterior, superior), to place lesions in."""
    return BodyShape(
        half_width=float(half[0]),
        half_depth=float(half[1]),
        half_height=float(half[2]),
        exponent=3.0,
        waist=0.0,
        dent=0.0,
        cup_top=0.0,
        cup_bottom=0.0,
        cup_shift=0.0,
        wedge=0.0,
        rim=0.0,
        warp=Waves.draw(rng, 2, 20.0, 40.0),
        warp_mm=0.0,
    )
