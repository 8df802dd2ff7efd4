"""Balls drawn into a segment: the oracle is every voxel centre of the grid, measured in mm."""

from __future__ import annotations

import numpy as np
import pytest
import slicer
from scene_helpers import CASE_GRIDS, CASE_SHAPE, make_case, mask_of

from HideSeekLib.anatomy.geometry import to_vtk
from HideSeekLib.case.drawing import draw_ball, new_region
from HideSeekLib.case.region import region_of

CENTER = (30.0, 35.0, 9.5)  # ijk, within the first vertebra


def centres(affine):
    index = np.stack(np.indices(CASE_SHAPE), axis=-1)
    return index @ affine[:3, :3].T + affine[:3, 3]


def ball(affine, ijk, radius):
    middle = affine[:3, :3] @ np.array(ijk) + affine[:3, 3]
    return np.linalg.norm(centres(affine) - middle, axis=-1) <= radius


def ras(affine, ijk):
    return tuple(float(v) for v in affine[:3, :3] @ np.array(ijk) + affine[:3, 3])


@pytest.mark.parametrize("name", CASE_GRIDS)
def test_balls_add_up_and_are_taken_away(scene, name):
    affine = CASE_GRIDS[name]
    ct, _vertebrae, case = make_case(scene, affine)
    node, segment = new_region(case)
    other = (CENTER[0] + 3, CENTER[1], CENTER[2])
    count = draw_ball(case, node, segment, ras(affine, CENTER), 4.0)
    expected = ball(affine, CENTER, 4.0)
    assert count == expected.sum() > 50
    count = draw_ball(case, node, segment, ras(affine, other), 4.0)
    expected |= ball(affine, other, 4.0)
    assert np.array_equal(mask_of(node, segment, ct), expected) and count == expected.sum()
    count = draw_ball(case, node, segment, ras(affine, CENTER), 2.5, erase=True)
    expected &= ~ball(affine, CENTER, 2.5)
    assert np.array_equal(mask_of(node, segment, ct), expected) and count == expected.sum()
    assert draw_ball(case, node, segment, ras(affine, CENTER), 30.0, erase=True) == 0


def test_a_ball_at_the_edge_keeps_what_is_in_the_ct(scene):
    affine = CASE_GRIDS["oblique anisotropic"]
    ct, _vertebrae, case = make_case(scene, affine)
    node, segment = new_region(case)
    corner = (0.0, 0.0, 0.0)
    count = draw_ball(case, node, segment, ras(affine, corner), 6.0)
    assert count == ball(affine, corner, 6.0).sum() > 0
    assert draw_ball(case, node, segment, ras(affine, (-90, -90, -90)), 2.0) == count


def test_a_ball_smaller_than_a_voxel_is_one_voxel(scene):
    affine = CASE_GRIDS["axis-aligned"]
    _ct, _vertebrae, case = make_case(scene, affine)
    node, segment = new_region(case)
    assert draw_ball(case, node, segment, ras(affine, (20.4, 20.4, 9.4)), 0.1) == 1


def test_a_ct_under_a_transform_is_drawn_where_the_click_was(scene):
    affine = CASE_GRIDS["oblique anisotropic"]
    ct, vertebrae, case = make_case(scene, affine)
    move = np.eye(4)
    move[:3, 3] = (11.0, -7.0, 5.0)
    transform = scene.AddNewNodeByClass("vtkMRMLLinearTransformNode")
    transform.SetMatrixTransformToParent(to_vtk(move))
    for moved in (ct, vertebrae):
        moved.SetAndObserveTransformNodeID(transform.GetID())
    node, segment = new_region(case)
    world = tuple(np.array(ras(affine, CENTER)) + move[:3, 3])
    draw_ball(case, node, segment, world, 4.0)
    assert np.array_equal(mask_of(node, segment, ct), ball(affine, CENTER, 4.0))


def test_what_is_drawn_is_a_region_of_its_vertebra(scene):
    affine = CASE_GRIDS["oblique anisotropic"]
    _ct, _vertebrae, case = make_case(scene, affine, ("T10", "T11"))
    node, first = new_region(case)
    again, second = new_region(case)
    assert again is node and first != second
    draw_ball(case, node, second, ras(affine, CENTER), 4.0)
    region = region_of(case, node, second)
    assert region.level == "T10"
    assert len(region.voxels) == ball(affine, CENTER, 4.0).sum()
    assert slicer.mrmlScene.GetFirstNodeByName(f"{case.name} regions") is node
