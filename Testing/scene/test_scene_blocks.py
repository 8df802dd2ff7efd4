"""Blocks for the backend: right voxels, right place, whole crop cube, and clear refusals."""

from __future__ import annotations

import json

import numpy as np
import pytest
import replies
import slicer
from scene_helpers import add_ct, add_segmentation

from HideSeekLib.anatomy.blocks import block_from_body, check_inputs, cut_block, iter_blocks
from HideSeekLib.anatomy.geometry import to_vtk
from HideSeekLib.errors import InputError, NodeGone
from HideSeekLib.wire import arrays

SHAPE = (150, 140, 90)


def spine(scene, affine, shape=SHAPE, place=(75, 60, 45)):
    """A vertebra of two boxes (body, process behind it) on a CT whose voxels name their index."""
    i, j, k = np.indices(shape)
    ct = add_ct(scene, (7 * i + 3 * j - 5 * k).astype(np.int16), affine)
    spacing = np.linalg.norm(affine[:3, :3], axis=0)
    half = np.rint(np.array([20, 14, 12]) / spacing).astype(int)
    body = np.zeros(shape, bool)
    low, high = np.maximum(np.array(place) - half, 0), np.array(place) + half
    body[low[0] : high[0], low[1] : high[1], low[2] : high[2]] = True
    whole = body.copy()
    back = int(30 / spacing[1])
    whole[place[0] - 4 : place[0] + 4, high[1] : high[1] + back, place[2] - 4 : place[2] + 4] = True
    return ct, whole, body


@pytest.mark.parametrize(
    "affine",
    [
        replies.ct_affine((0.8, 0.8, 1.2), turn=0.15),
        replies.ct_affine((1, 1, 1), turn=0, flip=False),
    ],
    ids=["oblique", "axis-aligned"],
)
def test_a_block_holds_vertebra_and_crop_cube(scene, affine):
    ct, whole, body = spine(scene, affine)
    node = add_segmentation(scene, ct, {"vertebrae_L1": ("L1", whole)})
    (block,) = iter_blocks(ct, node)
    i, j, k = block.origin_ijk
    a, b, c = block.ct.shape
    where = (slice(i, i + a), slice(j, j + b), slice(k, k + c))
    assert block.ct.dtype == np.int16
    assert np.array_equal(
        block.ct, np.fromfunction(lambda x, y, z: 7 * x + 3 * y - 5 * z, SHAPE)[where]
    )
    assert np.array_equal(block.vertebra.astype(bool), whole[where])
    assert block.vertebra.sum() == whole.sum()
    assert block.affine[:3, 3] == pytest.approx((affine @ [i, j, k, 1])[:3])
    assert block.body is None
    # The cube of 51.2 mm about the body's true centre lies within the box, where the CT has it.
    centre = np.argwhere(body).mean(0)
    corners = np.array([[x, y, z] for x in (-1, 1) for y in (-1, 1) for z in (-1, 1)]) * 25.6
    ras = (affine[:3, :3] @ centre + affine[:3, 3]) + corners
    index = (np.linalg.inv(affine) @ np.c_[ras, np.ones(8)].T).T[:, :3]
    index = np.clip(index, 0, np.array(SHAPE) - 1)
    assert np.all(index >= np.array(block.origin_ijk) - 0.5)
    assert np.all(index <= np.array(block.origin_ijk) + block.ct.shape - 0.5)


def test_segmentation_on_another_grid_and_under_a_transform(scene):
    affine = replies.ct_affine((0.8, 0.8, 1.2), turn=0.15)
    ct, whole, _body = spine(scene, affine)
    coarse = replies.ct_affine((1.6, 1.5, 2.0), turn=0.0, flip=False, origin=(-130, -130, 0))
    other = add_ct(scene, np.zeros((100, 100, 90), np.int16), coarse, "other")
    index = np.indices((100, 100, 90)).reshape(3, -1).T
    to_ct = np.linalg.inv(affine) @ coarse
    at = np.rint(index @ to_ct[:3, :3].T + to_ct[:3, 3]).astype(int)
    inside = np.all((at >= 0) & (at < SHAPE), axis=1)
    mask = np.zeros(len(index), bool)
    mask[inside] = whole[tuple(at[inside].T)]
    node = add_segmentation(scene, other, {"L1": ("L1", mask.reshape(100, 100, 90))})
    block = cut_block(ct, node, "L1", "L1")
    where = tuple(slice(o, o + n) for o, n in zip(block.origin_ijk, block.ct.shape, strict=True))
    overlap = (
        2
        * (block.vertebra.astype(bool) & whole[where]).sum()
        / (block.vertebra.sum() + whole.sum())
    )
    assert overlap > 0.9
    # The CT and the segmentation moved together by different nodes: still the same voxels.
    for target in (ct, node):
        transform = scene.AddNewNodeByClass("vtkMRMLLinearTransformNode", "t")
        transform.SetMatrixTransformToParent(to_vtk(replies.ct_affine((1, 1, 1), turn=0.7)))
        target.SetAndObserveTransformNodeID(transform.GetID())
    again = cut_block(ct, node, "L1", "L1")
    assert np.array_equal(again.vertebra, block.vertebra)
    assert again.affine == pytest.approx(block.affine), "the block stays in the CT's own frame"


def test_body_segmentations_of_both_kinds(scene):
    affine = replies.ct_affine((1, 1, 1), turn=0)
    ct, whole, body = spine(scene, affine)
    node = add_segmentation(scene, ct, {"L1": ("L1", whole)})
    by_level = add_segmentation(scene, ct, {"b": ("L1 body", body)}, "by level")
    everything = body.copy()
    everything[:, :, :10] = True  # bodies of other vertebrae are in the same segment
    in_one = add_segmentation(
        scene, ct, {"vertebrae_body": ("vertebrae_body", everything)}, "in one"
    )
    for bodies in (by_level, in_one):
        (block,) = iter_blocks(ct, node, body_node=bodies)
        where = tuple(
            slice(o, o + n) for o, n in zip(block.origin_ijk, block.ct.shape, strict=True)
        )
        assert np.array_equal(block.body.astype(bool), body[where])
    strange = add_segmentation(scene, ct, {"x": ("aorta", body)}, "strange")
    with pytest.raises(InputError, match="no body for L1"):
        next(iter_blocks(ct, node, body_node=strange))


def test_the_faces_of_the_ct_are_told(scene):
    affine = replies.ct_affine((1, 1, 1), turn=0)
    ct, whole, _body = spine(scene, affine, place=(75, 60, 6))
    node = add_segmentation(scene, ct, {"L1": ("L1", whole)})
    assert cut_block(ct, node, "L1", "L1").edges[2] == (True, False)
    ct2, whole2, _body2 = spine(scene, affine, shape=(150, 100, 90), place=(75, 60, 45))
    assert whole2[:, -1].any()
    node2 = add_segmentation(scene, ct2, {"L1": ("L1", whole2)})
    assert cut_block(ct2, node2, "L1", "L1").edges[1][1]


def test_strays_do_not_make_the_block_the_whole_ct(scene):
    affine = replies.ct_affine((1, 1, 1), turn=0)
    ct, whole, _body = spine(scene, affine, shape=(150, 140, 400), place=(75, 60, 60))
    scattered = whole.copy()
    scattered[5, 5, 395] = scattered[140, 130, 5] = True
    node = add_segmentation(scene, ct, {"L1": ("L1", scattered)})
    block = cut_block(ct, node, "L1", "L1")
    assert block.ct.shape[2] < 220 and block.vertebra.sum() >= whole.sum()


def test_voxels_are_sent_as_they_are(scene):
    affine = replies.ct_affine((2, 2, 2), turn=0)
    voxels = np.full((60, 60, 60), 100.0, np.float32)
    mask = np.zeros((60, 60, 60), bool)
    mask[15:40, 15:40, 20:35] = True
    for value, dtype in ((-7.0, np.int16), (100.4, np.float32), (np.nan, np.float32)):
        voxels[20, 20, 20] = value
        ct = add_ct(scene, voxels, affine)
        node = add_segmentation(scene, ct, {"L1": ("L1", mask)})
        block = cut_block(ct, node, "L1", "L1")
        assert block.ct.dtype == dtype
        i, j, k = (20 - np.array(block.origin_ijk)).tolist()
        assert np.array_equal(block.ct[i, j, k], np.float32(value), equal_nan=True)


def test_refusals_say_what_to_do(scene):
    affine = replies.ct_affine((1, 1, 1), turn=0)
    ct, whole, _body = spine(scene, affine)
    node = add_segmentation(scene, ct, {"L1": ("L1", whole), "L2": ("L2", whole & False)})
    with pytest.raises(InputError, match="T4"):
        next(iter_blocks(ct, node, ["T4"]))
    with pytest.raises(InputError, match="empty"):
        list(iter_blocks(ct, node, ["L2"]))
    far = scene.AddNewNodeByClass("vtkMRMLLinearTransformNode", "far")
    far.SetMatrixTransformToParent(
        to_vtk(np.array([[1, 0, 0, 5000.0], [0, 1, 0, 0], [0, 0, 1, 0], [0, 0, 0, 1]]))
    )
    node.SetAndObserveTransformNodeID(far.GetID())
    with pytest.raises(InputError, match="another scan"):
        next(iter_blocks(ct, node, ["L1"]))
    node.SetAndObserveTransformNodeID(None)
    blocks = iter_blocks(ct, node, ["L1"])
    scene.RemoveNode(ct)
    with pytest.raises(NodeGone, match="CT"):
        next(blocks)


def test_inputs_are_checked_before_a_run(scene):
    affine = replies.ct_affine((1, 1, 1), turn=0)
    ct, whole, _body = spine(scene, affine)
    node = add_segmentation(scene, ct, {"L1": ("L1", whole)})
    assert check_inputs(ct, node) == (True, "")
    assert check_inputs(ct) == (True, "")
    nothing = scene.AddNewNodeByClass("vtkMRMLScalarVolumeNode", "nothing")
    flat = add_ct(scene, np.zeros((20, 20, 1), np.int16), affine, "flat")
    normalised = add_ct(
        scene, np.random.default_rng(0).random((20, 20, 20)).astype(np.float32), affine, "norm"
    )
    labels = add_ct(
        scene, np.ones((20, 20, 20), np.int16), affine, "labels", "vtkMRMLLabelMapVolumeNode"
    )
    unnamed = add_segmentation(scene, ct, {"s": ("aorta", whole)}, "Organe (groß)")
    for arguments, part in (
        ((None,), "Choose a CT"),
        ((nothing,), "no voxels"),
        ((flat,), "single image"),
        ((normalised,), "Hounsfield"),
        ((labels,), "label map"),
        ((ct, unnamed), "Organe (groß)"),
    ):
        ok, reason = check_inputs(*arguments)
        assert not ok and part in reason
    assert check_inputs(ct, unnamed, {"s": "L1"}) == (True, "")


def test_message_is_what_the_protocol_says(scene):
    affine = replies.ct_affine((1, 1, 1), turn=0)
    ct, whole, body = spine(scene, affine)
    node = add_segmentation(scene, ct, {"L1": ("L1", whole)})
    bodies = add_segmentation(scene, ct, {"L1": ("L1", body)}, "bodies")
    (block,) = iter_blocks(ct, node, body_node=bodies)
    message = json.loads(json.dumps(block.to_json()))
    fields = {"level", "ct", "affine", "vertebra", "body", "origin_ijk", "edges", "neighbours"}
    assert set(message) == fields and message["neighbours"] is None, "alone, it has none"
    assert np.array_equal(arrays.decode(message["ct"]), block.ct)
    assert np.array_equal(arrays.decode(message["body"]), block.body)
    assert "CT" not in json.dumps(
        {k: v for k, v in message.items() if k not in ("ct", "vertebra", "body")}
    )


def test_a_block_tells_of_the_vertebrae_next_to_it(scene):
    affine = replies.ct_affine((1, 1, 1), turn=0)
    ct, whole, _body = spine(scene, affine)
    above, below = np.zeros_like(whole), np.zeros_like(whole)
    above[..., -12:], below[..., :3] = whole[..., -12:], whole[..., :3]
    above[20:30, 20:30, -12:] = below[20:30, 20:30, :3] = True
    whole &= ~(above | below)
    segments = {"T12": ("T12", above), "L1": ("L1", whole), "L2": ("L2", below)}
    node = add_segmentation(scene, ct, segments)
    for block in iter_blocks(ct, node):
        where = tuple(
            slice(low, low + n) for low, n in zip(block.origin_ijk, block.ct.shape, strict=True)
        )
        beside = {"T12": whole, "L1": above | below, "L2": whole}[block.level]
        assert np.array_equal(block.neighbours > 0, beside[where]), block.level
    assert beside[where].any()


def test_a_body_alone_makes_a_block(scene):
    affine = replies.ct_affine((1, 1, 1), turn=0)
    ct, _whole, body = spine(scene, affine)
    node = add_segmentation(scene, ct, {"body_L1": ("L1 body (approximate)", body)})
    block = block_from_body(ct, node, "body_L1", "L1")
    assert np.array_equal(block.body, block.vertebra) and block.body.sum() == body.sum()


def test_slicer_agrees_about_the_voxels(scene):
    """Our read-only look-up of a segment gives what Slicer's own export gives."""
    from HideSeekLib.anatomy.geometry import SegmentVoxels, grid_of

    affine = replies.ct_affine((0.8, 0.8, 1.2), turn=0.15)
    ct, whole, _body = spine(scene, affine)
    node = add_segmentation(scene, ct, {"L1": ("L1", whole)})
    ours = SegmentVoxels(node, "L1").on_grid(grid_of(ct).affine, SHAPE)
    slicers = slicer.util.arrayFromSegmentBinaryLabelmap(node, "L1", ct).transpose(2, 1, 0)
    assert np.array_equal(ours, slicers.astype(bool))
