"""A click without a segmentation: what the worker is asked, and its answer in the scene."""

from __future__ import annotations

import numpy as np
import pytest
import replies

pytest.importorskip("slicer_core", reason="needs the slicer-core package")

import slicer
from scene_helpers import add_ct

from HideSeekLib.anatomy import click as pick
from HideSeekLib.anatomy.blocks import block_from_body
from HideSeekLib.errors import InputError, ReplyError
from HideSeekLib.wire import arrays


def test_a_body_comes_back_to_where_it_was_asked_for(app):
    """The box about a click and a mask on that box, on an oblique grid near the CT's edge."""
    affine = replies.ct_affine((0.8, 0.8, 1.0), turn=0.1)
    hu = np.random.default_rng(0).integers(0, 300, (110, 110, 90)).astype(np.int16)
    ct = add_ct(app.scene, hu, affine)
    click = affine[:3, :3] @ [30, 50, 45] + affine[:3, 3]
    asked = pick.body_request(ct, click, "L1")
    sent = np.array(asked["affine"])
    low = np.rint(np.linalg.inv(affine) @ sent[:, 3])[:3].astype(int)
    assert low[0] == 0 and (asked["ct"].shape < np.array(hu.shape)).any()
    assert (
        asked["ct"]
        == hu[tuple(slice(a, a + n) for a, n in zip(low, asked["ct"].shape, strict=False))]
    ).all()
    np.testing.assert_allclose(asked["point"], click, atol=1e-6)
    mask = np.zeros(hu.shape, bool)
    mask[20:40, 40:60, 35:55] = True
    corner = np.array([20, 40, 35]) - low
    reply = {"low": corner.tolist(), "mask": arrays.encode(mask[20:40, 40:60, 35:55])}
    node = pick.body_from_reply(ct, "L1", asked["affine"], reply)
    segment_id = node.GetSegmentation().GetNthSegmentID(0)
    shown = slicer.util.arrayFromSegmentBinaryLabelmap(node, segment_id, ct).transpose(2, 1, 0)
    assert (shown.astype(bool) == mask).all()
    assert block_from_body(ct, node, segment_id, "L1").body.sum() == mask.sum()


def test_a_body_that_cannot_be_asked_for_or_was_not_found(app):
    ct = add_ct(app.scene, np.zeros((40, 40, 40), np.int16), np.eye(4))
    with pytest.raises(InputError, match="outside"):
        pick.body_request(ct, (5000, 0, 0), "L1")
    with pytest.raises(InputError, match="level"):
        pick.body_request(ct, (20, 20, 20), "")
    empty = {"low": [0, 0, 0], "mask": arrays.encode(np.zeros((0, 0, 0), np.uint8))}
    with pytest.raises(InputError, match="No vertebral body"):
        pick.body_from_reply(ct, "L1", np.eye(4), empty)
    with pytest.raises(ReplyError):
        pick.body_from_reply(ct, "L1", np.eye(4), {"low": [0], "mask": None})
