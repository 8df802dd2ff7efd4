"""Masks resampled as scipy's general interpolation would, cut at one half, voxel by voxel."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import ndimage
from scipy.spatial.transform import Rotation

from hideseek_backend.volumes.masks import sample_mask


def blob(rng: np.random.Generator) -> np.ndarray:
    return ndimage.gaussian_filter(rng.normal(size=rng.integers(8, 30, 3)), 1.5) > 0.02


def matrix(rng: np.random.Generator, kind: str) -> np.ndarray:
    """From grid to voxels: turned anyhow, or straight with points halfway between voxels (ties)."""
    to_index = np.eye(4)
    if kind == "turned":
        turned = Rotation.from_rotvec(rng.normal(size=3)).as_matrix()
        to_index[:3, :3] = turned * rng.uniform(0.4, 1.2)
        to_index[:3, 3] = rng.uniform(-9, 9, 3)
    else:
        to_index[:3, :3] *= rng.choice([0.5, 0.75, 1.0])
        to_index[:3, 3] = rng.integers(-4, 4, 3) + 0.5
    return to_index


@pytest.mark.parametrize("kind", ["turned", "ties"])
@pytest.mark.parametrize(("beyond", "mode"), [("edge", "nearest"), ("empty", "grid-constant")])
def test_equals_a_general_resampling(kind: str, beyond, mode: str) -> None:
    rng = np.random.default_rng(3)
    for _ in range(20):
        mask, to_index = blob(rng), matrix(rng, kind)
        shape = tuple(rng.integers(5, 40, 3).tolist())
        values = ndimage.affine_transform(
            mask.astype(np.float32), to_index[:3, :3], to_index[:3, 3], output_shape=shape,
            order=1, mode=mode, prefilter=False,
        )  # fmt: skip
        sampled = sample_mask(mask, to_index, tuple(np.arange(n) for n in shape), beyond)
        np.testing.assert_array_equal(sampled, values >= 0.5)


def test_points_may_be_any_and_none() -> None:
    mask = np.zeros((4, 4, 4), dtype=bool)
    mask[1:3, 1:3, 1:3] = True
    some = sample_mask(mask, np.eye(4), ([2, 9], [1], [0.5, 0.4, 2]), "empty")
    assert some.tolist() == [[[True, False, True]], [[False, False, False]]]
    assert sample_mask(mask, np.eye(4), ([], [1], [1]), "edge").shape == (0, 1, 1)
