"""Registration and pairing against motions that are known exactly."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from hideseek_backend.followup.pairing import pair_levels
from hideseek_backend.followup.registration import TURNS_DEG, register, spine_motion
from hideseek_backend.volumes.volume import FloatArray, Volume, apply_affine

SIZES = {"T11": (37.0, 29.0, 22.0), "T12": (40.0, 31.0, 24.5), "L1": (43.0, 32.5, 26.0),
         "L2": (46.0, 34.0, 27.5)}  # fmt: skip
CENTRES = {"T11": (0, 0, 90.0), "T12": (2.0, -4.0, 58.0), "L1": (3.0, -5.0, 24.0),
           "L2": (1.0, -2.0, -12.0)}  # fmt: skip


def body(level: str, motion: FloatArray, spacing: tuple[float, float, float]) -> Volume:
    """A kidney-shaped column, moved, on an oblique grid."""
    width, depth, height = SIZES[level]
    turn = Rotation.from_euler("xyz", (3, -4, 5), degrees=True).as_matrix()
    affine = np.eye(4)
    affine[:3, :3] = turn * spacing
    centre = apply_affine(motion, CENTRES[level])
    shape = np.ceil(70.0 / np.array(spacing)).astype(int)
    affine[:3, 3] = centre - affine[:3, :3] @ ((shape - 1) / 2)
    index = np.stack(np.meshgrid(*map(np.arange, shape), indexing="ij"), axis=-1)
    x, y, z = np.moveaxis(
        apply_affine(np.linalg.inv(motion), apply_affine(affine, index)) - CENTRES[level], -1, 0
    )
    notch = 2.5 * np.exp(-((x / (0.4 * width / 2)) ** 2)) * (y < 0)
    inside = ((2 * x / width) ** 2 + (2 * (y - notch) / depth) ** 2 < 1) & (abs(z) < height / 2)
    return Volume(inside, affine)


def moved(degrees: tuple[float, float, float], shift: tuple[float, float, float]) -> FloatArray:
    motion = np.eye(4)
    motion[:3, :3] = Rotation.from_euler("xyz", degrees, degrees=True).as_matrix()
    motion[:3, 3] = shift
    return motion


MOTION = moved((9, -6, 8), (12, -9, 13))


@pytest.mark.parametrize("spacing", [(0.8, 0.8, 0.8), (0.7, 0.7, 2.5)])
def test_a_known_motion_is_found(spacing: tuple[float, float, float]) -> None:
    earlier, current = body("L1", np.eye(4), (0.8, 0.8, 1.0)), body("L1", MOTION, spacing)
    roughly = register(earlier, current, np.eye(3), 1.5, TURNS_DEG).matrix[:3, :3]
    pose = register(earlier, current, roughly)
    points = np.array(CENTRES["L1"]) + np.random.default_rng(0).normal(0, 12, (100, 3))
    off = apply_affine(pose.matrix, points) - apply_affine(MOTION, points)
    assert np.linalg.norm(off, axis=1).mean() < 0.6
    assert pose.gap_mm < 0.5
    assert pose.rotation_deg == pytest.approx(
        np.degrees(Rotation.from_matrix(MOTION[:3, :3]).magnitude()), abs=2.0
    )


def test_the_same_masks_give_the_same_pose() -> None:
    a, b = body("T12", np.eye(4), (0.8, 0.8, 1.0)), body("T12", MOTION, (0.9, 0.9, 2.0))
    first, second = (register(a, b, np.eye(3)).matrix for _ in range(2))
    np.testing.assert_array_equal(first, second)


def test_centroids_on_a_curve_give_the_turn_and_on_a_line_the_least_one() -> None:
    heights = np.linspace(0, 120, 6)
    curve = np.stack([0.1 * heights, 0.01 * (heights - 60) ** 2, heights], axis=1)
    np.testing.assert_allclose(
        spine_motion(curve, apply_affine(MOTION, curve)), MOTION[:3, :3], atol=1e-6
    )
    line = np.array([[0, 0, 0], [0, 0, 30.0]])
    found = spine_motion(line, line @ MOTION[:3, :3].T)
    np.testing.assert_allclose(found @ [0, 0, 1], MOTION[:3, :3] @ [0, 0, 1], atol=1e-9)
    assert np.allclose(spine_motion(line[:1], line[:1]), np.eye(3))


@pytest.mark.parametrize(
    "names",
    [
        {"T11": "T11", "T12": "T12", "L1": "L1", "L2": "L2"},
        {"T11": "T12", "T12": "L1", "L1": "L2", "L2": "L3"},  # counted from one level lower
        {"T11": "T11", "T12": "T12", "L1": "L2", "L2": "L3"},  # one name skipped
        {"T11": "T10", "T12": "T11", "L1": "T12"},  # another count, and a level less
        {"T11": "T11", "T12": "T12", "L1": "T13", "L2": "L1"},  # a transitional vertebra
    ],
)
def test_levels_are_paired_by_shape_whatever_they_are_called(names: dict[str, str]) -> None:
    earlier = {level: body(level, np.eye(4), (0.9, 0.9, 1.2)) for level in SIZES}
    current = {name: body(level, MOTION, (0.8, 0.8, 2.0)) for level, name in names.items()}
    assert {p.earlier: p.current for p in pair_levels(earlier, current)} == names


def test_spines_without_a_common_level_are_not_paired() -> None:
    earlier = {"T11": body("T11", np.eye(4), (1.0, 1.0, 1.0))}
    current = {"L2": body("L2", np.eye(4), (1.0, 1.0, 1.0))}
    assert pair_levels(earlier, current) == ()
