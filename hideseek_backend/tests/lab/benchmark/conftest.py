"""Tiny vertebrae without a phantom: a bright square body on soft tissue, with drawn lesions."""

from __future__ import annotations

import numpy as np
import pytest

from hideseek_lab.benchmark.dataset import CENTRAL_SLICES, SliceSet

PHENOTYPES = ("healthy", "lytic", "blastic", "mixed")


def drawn_set(count: int, seed: int = 0) -> SliceSet:
    """Make `count` vertebrae, the phenotypes taking turns."""
    rng = np.random.default_rng(seed)
    shape = (count, CENTRAL_SLICES, 64, 64)
    hu = rng.normal(40, 12, shape)
    body = np.zeros(shape, dtype=bool)
    body[:, :, 16:48, 20:44] = True
    hu[body] += 160
    truth = np.zeros(shape, dtype=np.uint8)
    names = [PHENOTYPES[index % len(PHENOTYPES)] for index in range(count)]
    for index, name in enumerate(names):
        row, column = rng.integers(21, 26, 2)
        if name in ("lytic", "mixed"):
            truth[index, :, row : row + 7, column : column + 7] = 1
        if name in ("blastic", "mixed"):
            truth[index, :, row + 11 : row + 18, column + 6 : column + 13] = 2
    hu[truth == 1] -= 170
    hu[truth == 2] += 450
    return SliceSet(
        hu=hu.astype(np.int16),
        valid=np.ones(shape, dtype=bool),
        body=body,
        truth=truth,
        phenotype=np.array(names),
        level=np.array(["L1"] * count),
        source=np.array([f"drawn:{index}" for index in range(count)]),
    )


@pytest.fixture
def vertebrae() -> SliceSet:
    return drawn_set(12)
