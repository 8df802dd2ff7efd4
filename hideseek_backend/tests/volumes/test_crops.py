import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from toy_spine import ToySpine, grid_affine, toy_spine

from hideseek_backend.errors import LabelError
from hideseek_backend.volumes.crops import (
    CROP_SIZE,
    CROP_SPACING_MM,
    CropFrame,
    VertebraBlock,
    crop_block,
    cut_block,
    labels_to_grid,
)
from hideseek_backend.volumes.vertebrae import Vertebrae
from hideseek_backend.volumes.volume import Volume


def vertebrae_of(spine: ToySpine) -> Vertebrae:
    levels = {"L1": 20, "L2": 21, "L3": 22}
    return Vertebrae(spine.labels.data, spine.bodies.data, levels)


@pytest.fixture(scope="module")
def spine() -> ToySpine:
    return toy_spine()


def smooth_volume(affine: np.ndarray, shape: tuple[int, int, int]) -> Volume:
    """HU that are linear in RAS, so that linear interpolation is exact."""
    index = np.stack(np.meshgrid(*(np.arange(n) for n in shape), indexing="ij"), axis=-1)
    r, a, s = np.moveaxis(index @ affine[:3, :3].T + affine[:3, 3], -1, 0)
    return Volume((2.0 * r - 3.0 * a + 5.0 * s).astype(np.float32), affine)


grids = st.builds(
    grid_affine,
    spacing=st.tuples(*[st.floats(0.6, 2.5)] * 3),
    degrees=st.tuples(*[st.floats(-35.0, 35.0)] * 3),
    flips=st.tuples(*[st.sampled_from([-1, 1])] * 3),
    order=st.permutations([0, 1, 2]).map(tuple),
)


def ball_block(affine: np.ndarray, radius: float = 12.0) -> tuple[VertebraBlock, np.ndarray]:
    """A block of linear HU whose body is a ball, and the ball's centroid in RAS."""
    linear = affine[:3, :3]
    shape = tuple(int(n) for n in np.ceil(np.abs(np.linalg.inv(linear)).sum(axis=1) * 40.0))
    affine = affine.copy()
    affine[:3, 3] = np.array([11.0, -7.0, 301.0]) - linear @ (np.array(shape) / 2)
    ct = smooth_volume(affine, shape)
    index = np.stack(np.meshgrid(*(np.arange(n) for n in shape), indexing="ij"), axis=-1)
    points = index @ linear.T + affine[:3, 3]
    ball = np.linalg.norm(points - [11.0, -7.0, 301.0], axis=-1) < radius
    return VertebraBlock("L1", ct, ball, ball), ct.ras(np.argwhere(ball)).mean(axis=0)


@settings(max_examples=12, deadline=None)
@given(grids)
def test_crop_reads_the_right_place_on_any_grid(affine: np.ndarray) -> None:
    block, centre = ball_block(affine)
    crop = crop_block(block, [16, 32, 45])
    for n, k in enumerate(crop.slices):
        for p, s in ((15, 18), (32, 32), (48, 40)):
            if not crop.valid[p, s, n]:
                continue
            expected = centre + CROP_SPACING_MM * np.array([k - 32, -(p - 32), s - 32])
            value = expected @ [2.0, -3.0, 5.0]
            index = block.ct.ijk(expected)
            if (index >= 2).all() and (index <= np.array(block.ct.shape) - 3).all():
                assert crop.hu[p, s, n] == pytest.approx(value, abs=0.05)


@settings(max_examples=12, deadline=None)
@given(grids)
def test_mask_to_crop_and_back_moves_less_than_half_a_voxel(affine: np.ndarray) -> None:
    block, _ = ball_block(affine)
    crop = crop_block(block)
    back = labels_to_grid(crop.body.astype(np.uint8), crop.frame, block.ct)
    before = np.argwhere(block.body).mean(axis=0)
    after = np.argwhere(back).mean(axis=0)
    assert np.abs(after - before).max() < 0.25  # voxels of the CT, half of one allowed
    sizes = np.count_nonzero(back), np.count_nonzero(block.body)
    assert sizes[0] == pytest.approx(sizes[1], rel=0.12)
    overlap = np.count_nonzero((back > 0) & block.body)
    assert 2 * overlap / sum(sizes) > 0.9


@settings(max_examples=12, deadline=None)
@given(grids, st.tuples(*[st.integers(8, 55)] * 3))
def test_single_crop_voxels_land_within_half_a_voxel(
    affine: np.ndarray, voxel: tuple[int, int, int]
) -> None:
    """Every CT voxel that takes a label has its centre inside the labelled crop voxel."""
    frame = CropFrame.centred((3.0, -4.0, 5.0))
    labels = np.zeros(frame.shape, dtype=np.uint16)
    labels[voxel] = 700
    place = affine.copy()
    place[:3, 3] = np.array([3.0, -4.0, 5.0]) - affine[:3, :3] @ np.full(3, 30.0)
    grid = Volume(np.zeros((61, 61, 61), dtype=np.uint8), place)
    back = labels_to_grid(labels, frame, grid)
    assert back.dtype == np.uint16
    index = np.linalg.inv(frame.affine)
    for ijk in np.argwhere(back == 700):
        crop_index = index[:3, :3] @ grid.ras(ijk) + index[:3, 3]
        assert np.abs(crop_index - voxel).max() <= 0.5 + 1e-6


def test_axes_are_posterior_superior_right() -> None:
    frame = CropFrame.centred((0.0, 0.0, 0.0))
    directions = frame.affine[:3, :3] / CROP_SPACING_MM
    np.testing.assert_allclose(directions[:, 0], [0, -1, 0])
    np.testing.assert_allclose(directions[:, 1], [0, 0, 1])
    np.testing.assert_allclose(directions[:, 2], [1, 0, 0])
    np.testing.assert_allclose(frame.affine @ [32, 32, 32, 1], [0, 0, 0, 1], atol=1e-12)


def test_block_holds_the_whole_cube(spine: ToySpine) -> None:
    block = cut_block(spine.ct, vertebrae_of(spine), "L2")
    crop = crop_block(block)
    assert crop.hu.shape == (CROP_SIZE,) * 3
    assert crop.hu.dtype == np.float32
    assert crop.valid.all()
    assert not block.cut
    whole = VertebraBlock("L2", spine.ct, spine.labels.data == 21, spine.bodies.data == 21)
    np.testing.assert_allclose(crop.hu, crop_block(whole).hu, atol=0.05)


def test_block_keeps_its_place_in_the_ct(spine: ToySpine) -> None:
    block = cut_block(spine.ct, vertebrae_of(spine), "L2")
    low = np.array(block.origin_ijk)
    np.testing.assert_allclose(block.ct.ras((0, 0, 0)), spine.ct.ras(low))
    high = low + block.ct.shape
    part = spine.ct.data[low[0] : high[0], low[1] : high[1], low[2] : high[2]]
    np.testing.assert_array_equal(block.ct.data, part)
    np.testing.assert_allclose(block.centre_ras, spine.centres["L2"] + [0, 1, 0], atol=1.5)


def test_slab_equals_the_slices_of_the_whole(spine: ToySpine) -> None:
    block = cut_block(spine.ct, vertebrae_of(spine), "L2")
    whole = crop_block(block)
    for slices in ([32], [30, 31, 32], [5, 40, 20], [63, 0]):
        slab = crop_block(block, slices)
        np.testing.assert_allclose(slab.hu, whole.hu[:, :, slices], atol=0.01)
        np.testing.assert_array_equal(slab.body, whole.body[:, :, slices])
        np.testing.assert_array_equal(slab.valid, whole.valid[:, :, slices])
        assert slab.slices == tuple(slices)


def test_fine_ct_is_blurred_before_resampling() -> None:
    rng = np.random.default_rng(1)
    affine = np.diag([0.3, 0.3, 0.3, 1.0])
    noise = Volume(rng.normal(0, 100, (190, 190, 60)).astype(np.float32), affine)
    body = np.zeros(noise.shape, dtype=bool)
    body[70:120, 70:120, 20:40] = True
    crop = crop_block(VertebraBlock("L1", noise, body, body), [32])
    inner = crop.hu[20:44, 20:44, 0]
    # Trilinear interpolation alone would keep about 50 to 60 of the 100 HU.
    assert inner.std() < 25.0


def test_body_slices_and_central_slice(spine: ToySpine) -> None:
    crop = crop_block(cut_block(spine.ct, vertebrae_of(spine), "L2"))
    assert crop.central_slice == 32
    assert crop.body_slices == tuple(range(min(crop.body_slices), max(crop.body_slices) + 1))
    assert 50 <= len(crop.body_slices) <= 54  # 42 mm at 0.8 mm


def test_outside_the_ct_is_not_valid_and_holds_soft_tissue() -> None:
    spine = toy_spine(field_mm=(90.0, 110.0, 88.0))
    block = cut_block(spine.ct, vertebrae_of(spine), "L1")
    crop = crop_block(block)
    assert block.cut  # the upper endplate lies on the edge
    assert not crop.valid.all()
    outside = crop.hu[~crop.valid]
    np.testing.assert_array_equal(outside, 40.0)
    assert not crop.body[~crop.valid].any()


def test_vertebra_reaching_the_edge_with_its_spine_only_is_not_cut() -> None:
    spine = toy_spine(field_mm=(90.0, 84.0, 110.0))
    assert (spine.labels.data[:, :2] == 21).any()  # the spinous process leaves the field of view
    assert not cut_block(spine.ct, vertebrae_of(spine), "L2").cut


@pytest.mark.parametrize("value", [0, -1024, -2000, -3024])
def test_padding_is_not_valid_and_not_air(value: int) -> None:
    spine = toy_spine()
    hu = spine.ct.data.copy()
    top = int(round(float(spine.ct.ijk((0, 0, 10))[2])))  # through the body of L2
    hu[:, :, top:] = value
    block = cut_block(Volume(hu, spine.ct.affine), vertebrae_of(spine), "L2")
    crop = crop_block(block)
    assert block.cut
    assert not crop.valid[:, 50:].any()
    assert crop.valid[:, :40].all()
    assert crop.hu.min() > -250.0
    np.testing.assert_array_equal(crop.hu[~crop.valid], 40.0)


def test_labels_to_grid_refuses_another_shape(spine: ToySpine) -> None:
    with pytest.raises(ValueError, match="shape"):
        labels_to_grid(np.zeros((3, 3, 3), np.uint8), CropFrame.centred((0, 0, 0)), spine.ct)


def test_labels_far_from_the_grid_give_an_empty_grid(spine: ToySpine) -> None:
    frame = CropFrame.centred((900.0, 0.0, 0.0))
    assert not labels_to_grid(np.ones(frame.shape, np.uint8), frame, spine.ct).any()


def test_absent_level_and_empty_body_are_said(spine: ToySpine) -> None:
    with pytest.raises(LabelError, match=r"L1, L2, L3, got T4"):
        cut_block(spine.ct, vertebrae_of(spine), "T4")
    empty = np.zeros(spine.ct.shape, dtype=bool)
    with pytest.raises(LabelError, match="empty"):
        crop_block(VertebraBlock("L1", spine.ct, empty, empty))


def test_slices_outside_the_crop_are_refused(spine: ToySpine) -> None:
    block = cut_block(spine.ct, vertebrae_of(spine), "L2")
    with pytest.raises(ValueError, match=r"0\.\.63"):
        crop_block(block, [64])
