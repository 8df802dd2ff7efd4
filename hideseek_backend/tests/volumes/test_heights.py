"""Heights of vertebral bodies against the phantom's own surface, tilted, coarse and with crumbs."""

from __future__ import annotations

import nibabel as nib
import numpy as np
import pytest
from shared_data import shared_file
from toy_spine import HALF_HEIGHT_MM, grid_affine, toy_spine

from hideseek_backend.errors import LabelError
from hideseek_backend.phantom import PhantomOptions, ScanOptions, make_phantom
from hideseek_backend.volumes.heights import measure_heights, measure_spine
from hideseek_backend.wire.heights import collapses
from hideseek_backend.wire.levels import VERSE_VALUES

LEVELS = ("T11", "T12", "L1", "L2")


def phantom(seed: int, fractures=(), **scan):
    drawn = {"thickness_mm": (1.0, 1.0), "in_plane_mm": (0.8, 0.8), "p_sagittal": 0.0}
    options = PhantomOptions(
        levels=LEVELS,
        patient="healthy",
        fractures=fractures,
        scan=ScanOptions(p_coarse=0.0, **{**drawn, **scan}),
    )
    return make_phantom(seed, options)


def measured(made, **changed):
    levels = {level: VERSE_VALUES[level] for level in LEVELS}
    masks = {"bodies": made.bodies.data, "vertebrae": made.vertebrae.data, **changed}
    return measure_spine(masks["bodies"], made.ct.affine, levels, vertebrae=masks["vertebrae"])


def errors(made, heights):
    return np.array([np.subtract(heights[v.level].mm, v.heights_mm) for v in made.vertebra_truth])


@pytest.mark.parametrize(
    ("tilt", "thickness"), [(0.0, 1.0), (25.0, 1.0), (15.0, 2.5)], ids=["plain", "tilted", "thick"]
)
def test_heights_are_those_of_the_drawn_surface(tilt, thickness):
    fractures = (("T12", "wedge", 0.4), ("L2", "biconcave", 0.3))
    made = phantom(2_200_301, fractures, tilt_deg=tilt, thickness_mm=(thickness, thickness))
    off = np.abs(errors(made, measured(made)))
    # A mask of thick slices says no more than that an endplate lies between two of them.
    assert np.median(off) < 0.4 * thickness
    assert off.max() < (1.0 if thickness == 1 else 0.8 * thickness)


def test_a_fracture_takes_the_share_of_the_height_that_was_asked_for():
    whole = {v.level: v.heights_mm for v in phantom(2_200_302).vertebra_truth}
    kinds = (("T11", "wedge", 0.3), ("T12", "crush", 0.4), ("L1", "biconcave", 0.35))
    broken = {v.level: v.heights_mm for v in phantom(2_200_302, kinds).vertebra_truth}
    lost = {level: 1 - np.divide(broken[level], whole[level]) for level in LEVELS}
    assert lost["L2"] == pytest.approx([0, 0, 0], abs=1e-6)
    # Full loss is at the very rim in front; the patch lies a little behind it.
    assert 0.2 < lost["T11"][0] <= 0.31 and lost["T11"][2] < 0.1
    assert lost["T12"] == pytest.approx([0.4] * 3, abs=0.06)
    # The deepest point of the cups lies in the middle or a little behind it.
    assert lost["L1"][1] > 0.28 and lost["L1"][0] < 0.22


def test_crumbs_and_holes_of_the_mask_do_not_count():
    made = phantom(2_200_303)
    clean = measured(made)
    bodies = made.bodies.data.copy()
    value = VERSE_VALUES["L1"]
    inside = np.argwhere(bodies == value)
    middle = inside.mean(axis=0).astype(int)
    bodies[tuple(slice(m - 2, m + 2) for m in middle)] = 0
    # A crumb in the disc above, not connected.
    top = middle + [0, 0, int(np.ptp(inside[:, 2]) * 0.5) + 3]
    bodies[tuple(slice(m - 1, m + 1) for m in top)] = value
    assert np.array(measured(made, bodies=bodies)["L1"].mm) == pytest.approx(
        np.array(clean["L1"].mm), abs=0.3
    )


def test_a_cylinder_on_an_oblique_flipped_grid_has_its_height_everywhere():
    affine = grid_affine((1.0, 0.8, 1.5), (12.0, -8.0, 20.0), (-1, 1, -1), (2, 0, 1))
    spine = toy_spine(affine=affine)
    heights = measure_spine(
        spine.bodies.data,
        spine.bodies.affine,
        {level: VERSE_VALUES[level] for level in spine.centres},
        vertebrae=spine.labels.data,
    )
    for level in spine.centres:
        assert heights[level].mm == pytest.approx([2 * HALF_HEIGHT_MM] * 3, abs=0.8)


def test_the_axis_is_found_without_knowing_the_course_of_the_spine():
    made = phantom(2_200_304, tilt_deg=25.0)
    together = measured(made)
    for level in LEVELS:
        body = made.bodies.data == VERSE_VALUES[level]
        whole = made.vertebrae.data == VERSE_VALUES[level]
        alone = measure_heights(body, made.ct.affine, vertebra=whole)
        assert alone.mm == pytest.approx(together[level].mm, abs=0.4)


def test_an_empty_body_is_refused():
    with pytest.raises(LabelError, match="body to measure"):
        measure_heights(np.zeros((9, 9, 9), bool), np.eye(4))


@pytest.mark.parametrize("case", ["lidc0314", "ts_aorta", "taichi_sag"])
def test_real_bodies_keep_their_neighbours_height_but_for_the_broken_one(case):
    image = nib.load(shared_file("data", "spines", case, "bodies.nii.gz"))
    bodies = np.asarray(image.dataobj).astype(np.uint8)
    levels = {level: v for level, v in VERSE_VALUES.items() if (bodies == v).any()}
    found = collapses({k: h.mm for k, h in measure_spine(bodies, image.affine, levels).items()})
    low = {level for level, collapse in found.items() if collapse.loss > 0.25}
    # Its upper endplate has a deep Schmorl node or is an old fracture.
    assert low == ({"T11"} if case == "ts_aorta" else set())
