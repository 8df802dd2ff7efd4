"""Anatomy as functions of space: grids, frames, shapes, findings."""

from __future__ import annotations

import numpy as np
import pytest

from hideseek_backend.phantom.benign import FREQUENCY, draw_benign
from hideseek_backend.phantom.body import draw_body
from hideseek_backend.phantom.canvas import Canvas
from hideseek_backend.phantom.grid import Grid, average_cells
from hideseek_backend.phantom.lesions import draw_lesions
from hideseek_backend.phantom.options import ScanOptions
from hideseek_backend.phantom.render import paint
from hideseek_backend.phantom.scanner import Scan, acquire, correlated_noise, draw_scan
from hideseek_backend.phantom.spine import LEVEL_NAMES, LEVEL_TABLE, build_spine, draw_patient
from hideseek_backend.phantom.texture import Noise, Waves
from hideseek_backend.phantom.truth import vertebra_truth
from hideseek_backend.phantom.vertebra import draw_anatomy
from hideseek_backend.wire.levels import LEVELS

LUMBAR = ("T12", "L1", "L2")


def _scene(seed: int, phenotype: str = "mixed"):  # type: ignore[no-untyped-def]
    rng = np.random.default_rng(seed)
    patient = draw_patient(rng)
    spine = build_spine(rng, patient, LUMBAR)
    anatomies = tuple(
        draw_anatomy(s, patient, v, phenotype, p_central=1.0, ribs=False)
        for v, s in zip(spine, np.random.SeedSequence(seed).spawn(3), strict=True)
    )
    return patient, spine, anatomies


def _tilted(shape: tuple[int, int, int], spacing: tuple[float, float, float]) -> Grid:
    c, s = np.cos(0.2), np.sin(0.2)
    affine = np.eye(4)
    affine[:3, :3] = np.array([[-1, 0, 0], [0, -c, -s], [0, -s, c]]) * spacing
    affine[:3, 3] = -affine[:3, :3] @ ((np.array(shape) - 1) / 2)
    return Grid(shape, affine)


def test_a_part_of_the_grid_shows_the_same_anatomy_as_the_whole() -> None:
    patient, spine, anatomies = _scene(3)
    whole = Canvas(_tilted((40, 70, 44), (1.0, 0.9, 1.9)))
    paint(whole, patient, spine, anatomies)
    corner = np.array([8, 20, 10])
    affine = whole.coarse.affine.copy()
    affine[:3, 3] += affine[:3, :3] @ corner
    part = Canvas(Grid((20, 36, 22), affine))
    paint(part, patient, spine, anatomies)
    inner = tuple(slice(c, c + n) for c, n in zip(corner, part.coarse.shape, strict=True))
    difference = np.abs(whole.attenuation()[inner] - part.attenuation())
    assert np.percentile(difference, 99.5) < 1.0  # rounding may move a look-up by one bank voxel
    assert (whole.body[inner] != part.body).mean() < 1e-3
    assert (whole.truth[inner] != part.truth).mean() < 1e-3


def test_volumes_do_not_depend_on_the_grid() -> None:
    patient, spine, anatomies = _scene(4)
    volumes = []
    for shape, spacing in (((60, 84, 58), (1.0, 0.8, 1.2)), ((80, 64, 32), (0.75, 1.05, 2.2))):
        canvas = Canvas(_tilted(shape, spacing))
        paint(canvas, patient, spine, anatomies)
        cell = float(np.prod(spacing))
        volumes.append([np.count_nonzero(m) * cell for m in (canvas.body == 20, canvas.truth)])
    assert volumes[0][0] == pytest.approx(volumes[1][0], rel=0.03)
    assert volumes[0][1] == pytest.approx(volumes[1][1], rel=0.08)


def test_levels_carry_the_labels_of_verse() -> None:
    assert all(name in LEVELS for name in LEVEL_NAMES)
    assert [LEVEL_TABLE[n][0] for n in ("T1", "T9", "T12", "L1", "L4")] == [8, 16, 19, 20, 23]


def test_spine_frames_are_rotations_and_do_not_collide() -> None:
    for seed in range(30):
        rng = np.random.default_rng(seed)
        spine = build_spine(rng, draw_patient(rng), LEVEL_NAMES[7:])
        for upper, lower in zip(spine, spine[1:], strict=False):
            rotation = upper.frame.rotation
            assert np.allclose(rotation.T @ rotation, np.eye(3), atol=1e-9)
            assert np.linalg.det(rotation) == pytest.approx(1.0)
            gap = np.linalg.norm(upper.frame.origin - lower.frame.origin)
            assert gap > (upper.height + lower.height) / 2 + 1.5


def test_findings_are_as_frequent_in_healthy_as_in_malignant_vertebrae() -> None:
    counts = {"healthy": dict.fromkeys(FREQUENCY, 0), "lytic": dict.fromkeys(FREQUENCY, 0)}
    rng = np.random.default_rng(0)
    patient = draw_patient(rng)
    (vertebra,) = build_spine(rng, patient, ("L1",))
    number = 200
    for seed in range(number):
        for phenotype, found in counts.items():
            sequence = np.random.SeedSequence([seed, len(phenotype)])
            anatomy = draw_anatomy(
                sequence, patient, vertebra, phenotype, p_central=1.0, ribs=False
            )
            for name in anatomy.benign.names:
                found[name] += 1
    for name, probability in FREQUENCY.items():
        spread = 4 * np.sqrt(probability * (1 - probability) / number)
        for found in counts.values():
            assert abs(found[name] / number - probability) < spread, name


def test_findings_do_not_depend_on_the_class() -> None:
    rng = np.random.default_rng(1)
    patient = draw_patient(rng)
    (vertebra,) = build_spine(rng, patient, ("T11",))
    drawn = [
        draw_anatomy(
            np.random.SeedSequence(9), patient, vertebra, phenotype, p_central=1.0, ribs=False
        ).benign.names
        for phenotype in ("healthy", "blastic", "mixed")
    ]
    assert drawn[0] == drawn[1] == drawn[2]


def test_bone_islands_stay_small_and_dense() -> None:
    for seed in range(300):
        benign = draw_benign(np.random.default_rng(seed), (21.0, 16.0, 13.0))
        for island, hu in benign.islands:
            assert 2 * island.radii.max() < 11
            assert hu > 900


def test_body_surface_is_where_the_sizes_say() -> None:
    rng = np.random.default_rng(2)
    patient = draw_patient(rng)
    (vertebra,) = build_spine(rng, patient, ("L3",))
    shape = draw_body(rng, patient, vertebra)
    y = np.linspace(-30, 30, 601, dtype=np.float32)
    inside = shape.distances(np.zeros_like(y), y, np.zeros_like(y))[0] < 0
    depth = np.ptp(y[inside])
    assert 0.75 * vertebra.depth < depth < 1.05 * vertebra.depth
    height = np.ptp(y[shape.distances(np.zeros_like(y), np.zeros_like(y), y)[0] < 0])
    assert 0.6 * vertebra.height < height < 1.05 * vertebra.height


def test_the_truth_names_a_biconcave_body_that_is_lower_in_the_middle() -> None:
    loss: dict[bool, list[float]] = {True: [], False: []}
    for seed in range(40):
        for anatomy in _scene(seed)[2]:
            truth = vertebra_truth(anatomy, heights=True)
            assert truth.heights_mm is not None
            anterior, middle, posterior = truth.heights_mm
            loss["biconcave" in truth.benign].append((anterior + posterior) / 2 - middle)
    named, others = loss[True], loss[False]
    assert 1 <= len(named) < len(others) / 4  # 6 % of bodies are drawn so, whatever their class
    assert min(named) > np.median(others)
    assert np.mean(named) > 2 * np.mean(others)


@pytest.mark.parametrize("phenotype", ["lytic", "blastic", "mixed"])
def test_lesion_fractions_stay_within_bounds(phenotype: str) -> None:
    rng = np.random.default_rng(5)
    patient = draw_patient(rng)
    (vertebra,) = build_spine(rng, patient, ("L2",))
    shape = draw_body(rng, patient, vertebra)
    foci = draw_lesions(rng, patient, 150.0, shape, phenotype, 1.0)
    axis = np.arange(-15, 15, 1.5, dtype=np.float32)
    x, y, z = np.meshgrid(axis, axis, axis, indexing="ij")
    for focus in foci:
        hu, lytic, blastic = focus.apply(np.full(x.shape, 150, np.float32), x, y, z)
        assert np.all((lytic >= 0) & (blastic >= 0) & (lytic + blastic <= 1 + 1e-5))
        untouched = (lytic == 0) & (blastic == 0)
        assert np.allclose(hu[untouched], 150)
        assert np.all(hu[lytic > 0.95] < 100)
        assert np.all(hu[blastic > 0.95] > 150)


def test_noise_has_the_asked_level_and_is_correlated() -> None:
    scan = Scan("axial", np.array([0.8, 0.8, 1.0]), np.eye(3), 0.6, 0.3, 0.0, 30.0, 0.6, 0.0)
    noise = correlated_noise((60, 60, 20), scan, np.random.default_rng(0))
    assert noise.std() == pytest.approx(30, rel=1e-3)
    neighbours = np.corrcoef(noise[1:].ravel(), noise[:-1].ravel())[0, 1]
    assert neighbours > 0.3


def test_air_stays_air_after_the_scan() -> None:
    scan = draw_scan(np.random.default_rng(0), ScanOptions())
    image = acquire(np.full((12, 12, 6), -1000, np.float32), scan, np.random.default_rng(1))
    assert image.min() >= -1024
    assert abs(float(np.median(image)) + 1000) < 25


def test_fields_are_functions_of_space_alone() -> None:
    rng = np.random.default_rng(3)
    points = rng.uniform(-60, 60, (3, 500)).astype(np.float32)
    for field in (Noise.draw(rng), Noise.draw(rng, rotate=False)):
        values = field.fast(*points, 3.0)
        assert np.array_equal(values[100:200], field.fast(*points[:, 100:200], 3.0))
    waves = Waves.draw(rng, 4, 5.0, 20.0)
    assert np.allclose(waves(*points)[100:200], waves(*points[:, 100:200]))


def test_noise_fields_have_unit_variance() -> None:
    rng = np.random.default_rng(4)
    points = rng.uniform(-100, 100, (3, 40_000)).astype(np.float32)
    values = Noise.draw(rng).fast(*points, 2.0)
    assert abs(values.mean()) < 0.1
    assert values.std() == pytest.approx(1.0, abs=0.1)


def test_sub_voxels_share_the_field_of_view() -> None:
    grid = _tilted((4, 5, 6), (1.0, 1.0, 3.0))
    fine = grid.finer((1, 1, 3))
    assert fine.shape == (4, 5, 18)
    middle = np.array([0, 0, 1, 1.0])  # the middle one of the first three
    assert np.allclose(fine.affine @ middle, grid.affine @ [0, 0, 0, 1])
    values = np.arange(4 * 5 * 18, dtype=np.float32).reshape(4, 5, 18)
    assert np.allclose(average_cells(values, (1, 1, 3)), values[:, :, 1::3])
