"""Runs one after the other, nodes deleted, malformed replies, speed. Replies are hand-made."""

from __future__ import annotations

import gc
import logging
import time
import weakref

import numpy as np
import pytest
import replies
from scene_helpers import (
    CASE_GRIDS as GRIDS,
)
from scene_helpers import (
    add_ct,
    expected_mask,
    make_case,
    mask_of,
    save_and_reopen,
)

from HideSeekLib.case import case as case_scene
from HideSeekLib.case.segments import segment_id
from HideSeekLib.errors import NodeGone, ReplyError, SceneError


def test_threshold_with_200_candidates_is_quick(scene):
    affine = replies.ct_affine((0.7, 0.7, 1.0))
    shape = (200, 200, 400)
    ct = add_ct(scene, np.zeros(shape, np.int16), affine)
    case = case_scene.begin_run(ct, model={"hash": "x"})
    rng = np.random.default_rng(4)
    levels = ["T8", "T9", "T10", "T11", "T12", "L1", "L2", "L3", "L4", "L5"]
    for n, level in enumerate(levels):
        deltas = {"lytic": rng.random(10).tolist(), "blastic": rng.random(10).tolist()}
        case.add_vertebra(replies.vertebra_reply(level, (10, 50, 30 * n), deltas, affine, size=8))
    assert len(case.rows()) == 200
    seconds, work = [], []
    for t in np.linspace(0, 1, 50):
        started, busy = time.perf_counter(), time.process_time()
        case.set_threshold(float(t), live=True)
        seconds.append(time.perf_counter() - started)
        work.append(time.process_time() - busy)
    print(
        f"threshold, 200 candidates: median {1e3 * np.median(seconds):.1f} ms, "
        f"worst {1e3 * max(seconds):.1f} ms"
    )
    # The worst case is judged by processor time: another process may own the core for a while.
    assert np.median(seconds) < 0.1 and max(work) < 0.1
    case.set_threshold(0.4)
    assert len(case.review.to_json()["undo"]) == 1, "a drag is one step"
    busy = time.process_time()
    case.decide([r.key for r in case.rows()], "accept")
    assert time.process_time() - busy < 0.1


def test_a_second_run_never_overwrites_a_review(scene):
    affine = GRIDS["axis-aligned"]
    ct, segmentation, case = make_case(scene, affine, ("T10", "T11"))
    first = replies.vertebra_reply("T10", (20, 30, 10), {"lytic": [0.9]}, affine)
    case.add_vertebra(first)
    again = case_scene.begin_run(
        ct, segmentation, model={"hash": "abc"}, options={"tau": 0.5}, levels=["T10"]
    )
    assert again is case, "nothing was decided yet: the same case is used"
    again.add_vertebra(replies.vertebra_reply("T10", (22, 30, 10), {"lytic": [0.8]}, affine))
    assert [r.delta for r in case.rows()] == [0.8]
    case.decide(["T10:1"], "accept")
    other = case_scene.begin_run(ct, segmentation, model={"hash": "abc"}, levels=["T11"])
    assert other is case, "T11 was not reviewed"
    newer = case_scene.begin_run(ct, segmentation, model={"hash": "abc"}, levels=["T10"])
    assert newer is not case and newer.name == "CT HideSeek (2)"
    newer.add_vertebra(first)
    assert [r.delta for r in case.rows()] == [0.8] and case.rows()[0].decision == "accept"
    assert newer.lesions is not case.lesions
    # Reviewed while a run was under way: the late result goes to a new version too.
    newer.decide(["T10:1"], "reject")
    third = newer.add_vertebra(first)
    assert third is not newer and third.name == "CT HideSeek (3)"
    assert newer.rows()[0].decision == "reject"
    assert [c.name for c in case_scene.cases_in_scene()] == [
        "CT HideSeek",
        "CT HideSeek (2)",
        "CT HideSeek (3)",
    ]


def test_a_run_that_was_cancelled_at_once_leaves_no_case_in_the_way(scene):
    affine = GRIDS["axis-aligned"]
    ct, segmentation, case = make_case(scene, affine, ("T10", "T11"))
    case.add_vertebra(replies.vertebra_reply("T10", (20, 30, 10), {"lytic": [0.9]}, affine))
    case.decide(["T10:1"], "accept")
    model = {"hash": "abc"}
    empty = case_scene.begin_run(ct, segmentation, model=model, levels=["T10"])
    assert empty is not case and not empty.record.levels()
    # A screening goes on in the reviewed case, and the next version is the one that was left.
    assert case_scene.begin_run(ct, segmentation, model=model) is case
    assert case_scene.begin_run(ct, segmentation, model=model, levels=["T11"]) is case
    assert case_scene.begin_run(ct, segmentation, model=model, levels=["T10"]) is empty
    assert len(case_scene.cases_in_scene()) == 2


def test_another_model_gets_its_own_case(scene):
    affine = GRIDS["axis-aligned"]
    ct, segmentation, case = make_case(scene, affine)
    assert case_scene.begin_run(ct, segmentation, model={"hash": "other"}) is not case


def test_screening_fills_the_vertebra_table(scene):
    affine = GRIDS["axis-aligned"]
    _ct, _segmentation, case = make_case(scene, affine, ("T10", "T11"))
    case.set_screen(
        [
            {"vertebra": "T11", "p_malignant": 0.2, "reason": "below p = 0.5"},
            {"vertebra": "T10", "p_malignant": 0.9, "reason": ""},
            {"vertebra": "T12", "p_malignant": None, "reason": "cut by the field of view"},
        ]
    )
    assert [r.level for r in case.vertebra_rows()] == ["T10", "T11", "T12"]
    assert case.vertebra_rows()[1].p_malignant == 0.2
    case.add_vertebra(replies.vertebra_reply("T10", (20, 30, 10), {"lytic": [0.9]}, affine))
    assert case.vertebra_rows()[0].p_malignant == 0.93
    assert case.nodes.vertebra_table.GetTable().GetNumberOfRows() == 3


def test_deleted_nodes_are_made_again(scene):
    affine = GRIDS["axis-aligned"]
    ct, segmentation, case = make_case(scene, affine, ("T10", "T11"))
    message = replies.vertebra_reply(
        "T10", (20, 30, 10), {"lytic": [0.9, 0.3]}, affine, evidence=True
    )
    case.add_vertebra(message)
    case.decide(["T10:2"], "accept")
    for node in (
        case.lesions,
        case.nodes.candidates_table,
        case.nodes.vertebra_table,
        case.nodes.healthy("T10"),
        segmentation,
    ):
        scene.RemoveNode(node)
    assert case.lesions is None and case.nodes.healthy("T10") is None
    case.add_vertebra(replies.vertebra_reply("T11", (20, 30, 25), {"lytic": [0.7]}, affine))
    assert np.array_equal(
        mask_of(case.lesions, segment_id("T10", "lytic"), ct), expected_mask(message, [1, 2])
    )
    assert case.nodes.candidates_table.GetTable().GetNumberOfRows() == 3
    scene.RemoveNode(ct)
    case.add_vertebra(
        replies.vertebra_reply("L1", (20, 30, 40), {"blastic": [0.7]}, affine, evidence=True)
    )
    assert case.undo().changed == {"T10:2"}
    assert [r.key for r in case.rows()] == ["T10:1", "T10:2", "T11:1", "L1:1"]


def test_closed_scene_and_deleted_case_say_so(scene):
    affine = GRIDS["axis-aligned"]
    ct, segmentation, case = make_case(scene, affine)
    message = replies.vertebra_reply("T10", (20, 30, 10), {"lytic": [0.9]}, affine)
    case.add_vertebra(message)
    scene.Clear(False)
    assert not case.alive and case.lesions is None and case.ct is None
    for action in (
        lambda: case.add_vertebra(message),
        lambda: case.set_threshold(0.7),
        lambda: case.decide(["T10:1"], "accept"),
        lambda: case.set_screen([]),
        lambda: case.finish({}),
        lambda: case_scene.begin_run(ct, segmentation),
    ):
        with pytest.raises(NodeGone):
            action()
    assert case.rows()[0].key == "T10:1", "what is known in memory can still be read"
    assert case_scene.cases_in_scene() == []


@pytest.mark.parametrize(
    "spoil",
    [
        lambda m: m.pop("p_malignant"),
        lambda m: m.update(vertebra="T99"),
        lambda m: m["candidates"][0].update(polarity="sclerotic"),
        lambda m: m["candidates"].pop(),
        lambda m: m["block_labels"].update(data="AAAA"),
        lambda m: m["block_labels"].update(shape=[10**6, 10**6, 10**6]),
        lambda m: m["evidence"].update(affine=[[0] * 4] * 4),
        lambda m: m.update(candidates=None),
    ],
)
def test_a_malformed_reply_changes_nothing(scene, spoil):
    affine = GRIDS["axis-aligned"]
    _ct, _segmentation, case = make_case(scene, affine)
    good = replies.vertebra_reply("T10", (20, 30, 10), {"lytic": [0.9]}, affine)
    case.add_vertebra(good)
    bad = replies.vertebra_reply("T10", (20, 30, 10), {"lytic": [0.8, 0.7]}, affine, evidence=True)
    spoil(bad)
    with pytest.raises(ReplyError):
        case.add_vertebra(bad)
    assert [r.delta for r in case.rows()] == [0.9]


def test_voxels_outside_the_ct_are_refused(scene):
    affine = GRIDS["axis-aligned"]
    _ct, _segmentation, case = make_case(scene, affine)
    with pytest.raises(SceneError, match="outside"):
        case.add_vertebra(replies.vertebra_reply("T10", (88, 30, 10), {"lytic": [0.9]}, affine))


def test_results_follow_the_cts_transform(scene):
    affine = GRIDS["oblique anisotropic"]
    ct, segmentation, _case = make_case(scene, affine)
    transform = scene.AddNewNodeByClass("vtkMRMLLinearTransformNode", "moved")
    ct.SetAndObserveTransformNodeID(transform.GetID())
    case = case_scene.begin_run(ct, segmentation, model={"hash": "moved"})
    case.add_vertebra(
        replies.vertebra_reply("T10", (20, 30, 22), {"lytic": [0.9]}, affine, evidence=True)
    )
    for node in (case.lesions, case.nodes.healthy("T10"), case.nodes.difference("T10")):
        assert node.GetParentTransformNode() is transform


def test_a_damaged_record_is_reported_not_raised_elsewhere(scene):
    affine = GRIDS["axis-aligned"]
    _ct, _segmentation, case = make_case(scene, affine)
    hub = case.node
    case_scene._open_cases.clear()
    hub.GetNodeReference("record").SetText("{not json")
    with pytest.raises(SceneError, match="cannot be read"):
        case_scene.case_from_node(hub)
    assert case_scene.cases_in_scene() == []


def test_empty_and_healthy_replies(scene):
    affine = GRIDS["axis-aligned"]
    _ct, _segmentation, case = make_case(scene, affine)
    message = replies.vertebra_reply("T10", (20, 30, 10), {}, affine)
    message.update(analysed=False, reason="below p = 0.5", block_labels=None, p_malignant=0.1)
    case.add_vertebra(message)
    assert case.rows() == []
    assert case.vertebra_rows()[0].reason == "below p = 0.5"
    assert case.lesions.GetSegmentation().GetNumberOfSegments() == 0


@pytest.mark.parametrize("told_by", ["reply", "provenance"])
def test_the_review_begins_with_the_backends_own_threshold(scene, told_by):
    affine = GRIDS["axis-aligned"]
    ct, segmentation, _case = make_case(scene, affine)
    case = case_scene.begin_run(ct, segmentation, model={"hash": "own"}, options={}, levels=["T10"])
    deltas = {"lytic": [0.9, 0.4, 0.2]}
    message = replies.vertebra_reply("T10", (20, 30, 10), deltas, affine, tau=0.3)
    if told_by == "reply":
        message["tau"] = 0.3
    case.add_vertebra(message)
    case.finish({"options": {"tau": 0.3}})
    assert case.review.threshold == 0.3 and not case.review.can_undo
    assert [r.kept for r in case.rows()] == [True, True, False]
    assert np.array_equal(
        mask_of(case.lesions, segment_id("T10", "lytic"), ct), expected_mask(message, [1, 2])
    )
    assert case.vertebra_rows()[0].lytic_volume_mm3 == message["lytic_volume_mm3"]
    # The reader's own threshold is never moved by a later run.
    case.set_threshold(0.8)
    case.finish({"options": {"tau": 0.3}})
    assert case.review.threshold == 0.8


def test_a_polarity_that_was_not_asked_for_is_held_back(scene):
    affine = GRIDS["axis-aligned"]
    _ct, _segmentation, case = make_case(scene, affine)
    message = replies.vertebra_reply(
        "T10", (20, 30, 10), {"lytic": [0.9], "blastic": [0.8]}, affine
    )
    message["candidates"][1]["kept"] = False
    message["blastic_volume_mm3"] = 0.0
    case.add_vertebra(message)
    assert [r.kept for r in case.rows()] == [True, False]
    case.set_threshold(0.1)
    assert [r.kept for r in case.rows()] == [True, False]
    case.decide(["T10:2"], "accept")
    assert [r.kept for r in case.rows()] == [True, True]


def test_results_are_kept_in_the_scene_file_itself(app, tmp_path):
    """Not as files of their own, which the save dialog lets one leave out."""
    affine = GRIDS["axis-aligned"]
    _ct, _segmentation, case = make_case(app.scene, affine)
    case.add_vertebra(replies.vertebra_reply("T10", (20, 30, 10), {"lytic": [0.9] * 5}, affine))
    case.decide([row.key for row in case.rows()], "accept", "a reason of some length " * 20)
    fresh = save_and_reopen(app, tmp_path)
    try:
        (again,) = case_scene.cases_in_scene()
        for node in (again.node, again.node.GetNodeReference("record")):
            node.AddDefaultStorageNode()
            assert node.GetStorageNode() is None and len(node.GetText()) > 250
        assert len(again.rows()) == 5 and again.rows()[4].reason.startswith("a reason")
    finally:
        fresh.close()


def test_cases_of_closed_scenes_are_let_go(scene):
    _ct, _segmentation, case = make_case(scene, GRIDS["axis-aligned"])
    seen = weakref.ref(case)
    scene.Clear(0)
    del case
    gc.collect()
    assert seen() is None


def test_a_damaged_case_is_left_out_with_a_word_in_the_log(scene, caplog):
    _ct, _segmentation, case = make_case(scene, GRIDS["axis-aligned"])
    hub = case.node
    hub.GetNodeReference("record").SetText("{")
    del case
    gc.collect()
    with caplog.at_level(logging.WARNING):
        assert case_scene.cases_in_scene() == []
    assert "cannot be used" in caplog.text
