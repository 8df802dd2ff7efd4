"""The paper's lesion rule, neighbours, diffuse or focal, bones and tasks, counted by hand."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from hideseek_backend.errors import LabelError
from hideseek_lab.supervised.clinical.bones import Bone, read_scheme
from hideseek_lab.supervised.clinical.lesions import (
    anchor,
    bone_specificity,
    clinical_tasks,
    count_lesions_3d,
    describe,
    slice_axis,
    task,
)


def test_diagonals_join_within_a_slice_and_not_across() -> None:
    mask = np.zeros((6, 6, 3), dtype=bool)
    mask[1, 1, 0] = mask[2, 2, 0] = True  # diagonal in one slice: one lesion
    mask[3, 3, 1] = True  # diagonal to the next slice: another
    mask[3, 3, 2] = True  # overlaps: the same as that
    labels, count = count_lesions_3d(mask)
    assert count == 2
    assert labels[1, 1, 0] == labels[2, 2, 0] != labels[3, 3, 1] == labels[3, 3, 2]


@pytest.mark.parametrize("axis", [0, 1, 2])
def test_the_rule_follows_the_slice_axis(axis: int) -> None:
    mask = np.zeros((4, 4, 4), dtype=bool)
    mask[1, 1, 1] = mask[1, 2, 2] = True  # within one slice across axis 0 only
    assert count_lesions_3d(mask, axis)[1] == (1 if axis == 0 else 2)


def test_slices_are_axial_whatever_the_storage() -> None:
    assert slice_axis(np.diag([-1.0, -1.0, 2.5, 1.0])) == 2
    sagittal = np.array([[0, 0, 3.0, 0], [1.0, 0, 0, 0], [0, -1.0, 0, 0], [0, 0, 0, 1]])
    assert slice_axis(sagittal) == 1


def test_neighbours_are_within_ten_slices() -> None:
    mask = np.zeros((5, 5, 60), dtype=bool)
    mask[1, 1, 0:3] = True  # ends at 2
    mask[1, 1, 12] = True  # 10 slices on: a neighbour
    mask[1, 1, 23] = True  # 11 from 12: not
    mask[4, 4, 50:52] = True
    labels, count = count_lesions_3d(mask)
    lesions = describe(labels, 2.0)
    assert count == 4 and [le.neighbours for le in lesions] == [1, 1, 0, 0]
    assert [le.volume_mm3 for le in lesions] == [6.0, 2.0, 2.0, 4.0]
    assert (lesions[0].first, lesions[0].last) == (0, 2)


def _bones() -> tuple[np.ndarray, dict[int, Bone]]:
    """A vertebra (10 × 10 px) and a rib (5 × 6 px) through ten slices."""
    bones = np.zeros((30, 30, 10), dtype=np.int32)
    bones[2:12, 2:12] = 31
    bones[20:25, 20:26] = 95
    names = read_scheme("totalsegmentator")
    return bones, dict(names)


def test_diffuse_is_a_share_of_the_bone_in_one_slice() -> None:
    bones, names = _bones()
    mask = np.zeros(bones.shape, dtype=bool)
    mask[2:12, 2:10, 4] = True  # 80 of 100 px
    mask[20:25, 20:23, 7:9] = True  # 15 of 30 px
    labels, _ = count_lesions_3d(mask)
    whole, half = describe(labels, 1.0, bones, names)
    assert whole.share == pytest.approx(0.8) and whole.diffuse and whole.bone is not None
    assert half.share == pytest.approx(0.5) and half.diffuse is False
    assert whole.bone.group == "spine" and whole.bone.weight_bearing
    assert half.bone == Bone("rib_left_4", "rib") and not half.bone.weight_bearing
    assert describe(labels, 1.0, bones, names, diffuse_share=0.5)[1].diffuse


def test_the_tip_of_a_bone_makes_nothing_diffuse() -> None:
    bones, names = _bones()
    bones[2:12, 2:12, 9] = 0
    bones[5:8, 5:8, 9] = 31  # 9 px of bone, all of them in the lesion
    mask = bones == 31
    mask[:, :, :9] = False
    lesion = describe(count_lesions_3d(mask)[0], 1.0, bones, names)[0]
    assert lesion.diffuse is False and lesion.share == 0.0


def test_a_lesion_outside_every_bone_has_none() -> None:
    bones, names = _bones()
    mask = np.zeros(bones.shape, dtype=bool)
    mask[28, 28, 3] = True
    lesion = describe(count_lesions_3d(mask)[0], 1.0, bones, names)[0]
    assert lesion.bone is None and lesion.diffuse is None


def test_tasks_are_anchored_on_true_lesions() -> None:
    bones, names = _bones()
    truth = np.zeros(bones.shape, dtype=bool)
    truth[3:6, 3:6, 1:3] = True  # spine, found and called diffuse
    truth[8:10, 8:10, 8] = True  # spine, missed
    truth[21:23, 21:23, 5] = True  # rib, found
    predicted = np.zeros(bones.shape, dtype=bool)
    predicted[2:12, 2:12, 1:3] = True
    predicted[22:24, 21:23, 5] = True
    predicted[24, 25, 0] = True  # false, in the rib
    (a, _), (b, count) = count_lesions_3d(truth), count_lesions_3d(predicted)
    pairs = anchor(a, describe(a, 1.0, bones, names), b, describe(b, 1.0, bones, names))
    assert (
        count == 3
        and [p.predicted is not None for p in pairs] == [True, False, True]
        or [p.predicted is not None for p in pairs] == [True, True, False]
    )
    figures = {t.task: t for t in clinical_tasks(pairs)}
    bearing = figures["weight bearing"]
    assert (bearing.tp, bearing.fn, bearing.fp, bearing.tn) == (1, 1, 0, 1)
    assert bearing.sensitivity == 0.5 and bearing.specificity == 1.0
    assert bearing.sensitivity_found == 1.0
    diffuse = figures["diffuse"]  # no true one is; one is called so
    assert (diffuse.tp, diffuse.fn, diffuse.fp, diffuse.tn) == (0, 0, 1, 2)
    assert diffuse.specificity_found == 0.5
    assert figures["in rib"].sensitivity == 1.0 and figures["in spine"].sensitivity == 0.5
    assert "in skull" not in figures


def test_the_prediction_with_the_larger_overlap_speaks_for_a_lesion() -> None:
    truth = np.zeros((10, 10, 2), dtype=np.int32)
    truth[1:8, 1, 0] = 1
    predicted = np.zeros_like(truth)
    predicted[1:3, 1, 0], predicted[4:8, 1, 0] = 1, 2
    own = describe(predicted, 1.0)
    (pair,) = anchor(truth, describe(truth, 1.0), predicted, own)
    assert pair.predicted is not None and pair.predicted.number == 2
    assert task("any", [pair], lambda lesion: None).tp == 0


def test_bones_are_the_negatives_of_detection() -> None:
    bones, names = _bones()
    bones[15, 15, 0] = 200  # no bone of the scheme
    truth, predicted = np.zeros(bones.shape, bool), np.zeros(bones.shape, bool)
    truth[3, 3, 3] = predicted[3, 3, 3] = True
    assert bone_specificity(truth, predicted, bones, names) == (1, 1)
    predicted[21, 21, 3] = True
    assert bone_specificity(truth, predicted, bones, names) == (1, 0)


def test_schemes(tmp_path: Path) -> None:
    names = read_scheme("totalsegmentator")
    assert names[92].name == "rib_left_1" and names[115].name == "rib_right_12"
    assert names[75].weight_bearing and names[77].weight_bearing and not names[69].weight_bearing
    assert names[27].name == "L5" and names[91].group == "skull"
    assert read_scheme("verse")[20].name == "L1"
    table = tmp_path / "bones.json"
    table.write_text(json.dumps({"3": ["tibia_left", "extremity"]}), encoding="utf-8")
    assert read_scheme(str(table))[3].weight_bearing
    table.write_text(json.dumps({"3": ["tail", "tail"]}), encoding="utf-8")
    with pytest.raises(LabelError, match="unknown groups: tail"):
        read_scheme(str(table))
    table.write_text("[1]", encoding="utf-8")
    with pytest.raises(LabelError, match="no table of bones"):
        read_scheme(str(table))
    with pytest.raises(LabelError, match="expected totalsegmentator, verse"):
        read_scheme("nothing")
