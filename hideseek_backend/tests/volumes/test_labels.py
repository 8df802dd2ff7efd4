import json
from pathlib import Path

import numpy as np
import pytest

from hideseek_backend.errors import LabelError
from hideseek_backend.volumes.labels import SCHEMES, choose_labels
from hideseek_backend.volumes.names import SegmentName, level_of_tags
from hideseek_backend.volumes.volume import Volume
from hideseek_backend.wire.codes import lesion_entry
from hideseek_backend.wire.levels import LEVELS, VERSE_VALUES


def column(*values: int) -> Volume:
    """A mask with one small block for each value, listed from the top down."""
    data = np.zeros((6, 6, 4 * len(values)), dtype=np.int32)
    for n, value in enumerate(reversed(values)):
        data[2:4, 2:4, 4 * n + 1 : 4 * n + 3] = value
    return Volume(data, np.diag([1.0, 1.0, 5.0, 1.0]))


def test_levels_are_in_order() -> None:
    assert LEVELS[0] == "C1"
    assert LEVELS.index("T12") < LEVELS.index("T13") < LEVELS.index("L1") < LEVELS.index("L6")
    assert len(LEVELS) == len(set(LEVELS)) == 26


@pytest.mark.parametrize(
    ("scheme", "value", "level"),
    [
        ("verse", 1, "C1"), ("verse", 8, "T1"), ("verse", 19, "T12"), ("verse", 20, "L1"),
        ("verse", 25, "L6"), ("verse", 28, "T13"), ("totalsegmentator", 27, "L5"),
        ("totalsegmentator", 31, "L1"), ("totalsegmentator", 32, "T12"),
        ("totalsegmentator", 43, "T1"), ("totalsegmentator", 44, "C7"),
        ("totalsegmentator", 50, "C1"), ("totalsegmentator-v1", 18, "L5"),
        ("totalsegmentator-v1", 22, "L1"), ("totalsegmentator-v1", 23, "T12"),
        ("totalsegmentator-v1", 34, "T1"), ("totalsegmentator-v1", 41, "C1"),
    ],
)  # fmt: skip
def test_scheme_values(scheme: str, value: int, level: str) -> None:
    assert SCHEMES[scheme].levels[value] == level


def test_terminology_code_wins_over_id_and_name() -> None:
    tag = (
        "TerminologyEntry:Segmentation category and type~SCT^123037004^Anatomical Structure~"
        "SCT^23215003^T12 vertebra~^^~Anatomic codes~^^~^^|"
    )
    assert level_of_tags(tag) == "T12"
    assert SegmentName("L1", "vertebrae_L2", tag).level == "T12"
    assert SegmentName("L1", "vertebrae_L2", "").level == "L2"
    assert SegmentName("L1", "Segment_1", "").level == "L1"
    assert level_of_tags("SCT^51282000^Vertebra~^^") is None


def test_a_lesion_in_a_vertebra_is_not_the_vertebra() -> None:
    tags = f"Segmentation.Status:inprogress|TerminologyEntry:{lesion_entry('T12', 'lytic')}|"
    assert level_of_tags(tags) is None
    assert SegmentName("T12 lytic", "T12_lytic", tags).level is None


def test_only_fitting_scheme_is_used_with_a_warning() -> None:
    choice = choose_labels(column(19, 20, 21), {})
    assert choice.scheme == "verse"
    assert choice.values == {19: "T12", 20: "L1", 21: "L2"}
    assert "--labels verse" in choice.warnings[0]


def test_order_from_head_to_foot_tells_schemes_apart() -> None:
    assert choose_labels(column(22, 21, 20), {}).scheme == "totalsegmentator-v1"
    assert choose_labels(column(45, 44, 43), {}).scheme == "totalsegmentator"


def test_stray_voxels_do_not_make_a_wrong_order() -> None:
    """An analysis drops them, so they are dropped before the order is judged."""
    labels = np.zeros((60, 60, 260), np.uint16)
    for level, low in (("L3", 90), ("L4", 50)):
        labels[20:40, 20:40, low : low + 20] = VERSE_VALUES[level]
    # L5 is nothing but crumbs between foot and head, of which the most lie above L3.
    labels[25:30, 25:30, 10:13] = labels[5:8, 5:8, 200:250] = VERSE_VALUES["L5"]
    assert not choose_labels(Volume(labels, np.eye(4)), {}, "verse").warnings
    whole = labels.copy()
    whole[10:50, 10:50, 200:250] = VERSE_VALUES["L5"]
    (warning,) = choose_labels(Volume(whole, np.eye(4)), {}, "verse").warnings
    assert "L4 would lie below L5" in warning


def test_spineps_discs_are_dropped_and_sacrum_is_no_level() -> None:
    choice = choose_labels(column(23, 123, 24, 124, 26), {})
    assert choice.values == {23: "L4", 24: "L5"}


def test_whole_totalsegmentator_map_has_other_organs() -> None:
    choice = choose_labels(column(91, 40, 39, 52), {}, "totalsegmentator")
    assert choice.values == {40: "T4", 39: "T5"}


@pytest.mark.parametrize("values", [(33, 32, 31, 30, 29), (22,), (34, 33)])
def test_two_fitting_schemes_are_never_guessed(values: tuple[int, ...]) -> None:
    with pytest.raises(LabelError, match=r"fit 2: .* --labels .* or --labels "):
        choose_labels(column(*values), {})


def test_ambiguous_values_are_resolved_by_names_or_option() -> None:
    mask = column(32, 31)
    names = {32: SegmentName("vertebrae_T12"), 31: SegmentName("vertebrae_L1")}
    assert choose_labels(mask, names).values == {32: "T12", 31: "L1"}
    assert choose_labels(mask, names).scheme == "names"
    assert choose_labels(mask, {}, "totalsegmentator").values == {32: "T12", 31: "L1"}
    assert choose_labels(mask, {}, "totalsegmentator-v1").values == {32: "T3", 31: "T4"}


def test_json_and_mapping(tmp_path: Path) -> None:
    path = tmp_path / "mine.json"
    path.write_text(json.dumps({"T12": 3, "vertebrae_L1": 7, "L2": 9}))
    expected = {3: "T12", 7: "L1"}
    assert choose_labels(column(3, 7), {}, path).values == expected
    assert choose_labels(column(3, 7), {}, str(path)).scheme == "custom"
    assert choose_labels(column(3, 7), {}, {"T12": 3, "L1": 7}).values == expected


def test_json_overrides_names() -> None:
    names = {5: SegmentName("vertebrae_T12")}
    assert choose_labels(column(5), names, {"T11": 5}).values == {5: "T11"}


def test_wrong_order_is_a_warning_when_the_scheme_was_given() -> None:
    choice = choose_labels(column(21, 20), {}, "verse")
    assert "below" in choice.warnings[0]


@pytest.mark.parametrize(
    ("values", "names", "labels", "message"),
    [
        ((), {}, None, "without labels"),
        ((60, 70), {}, None, "known scheme"),
        ((199,), {}, None, "known scheme"),
        ((34, 35, 36), {}, None, "known scheme"),
        ((5,), {}, "totalsegmentator", "got 5"),
        ((60,), {}, "verse", "got 60"),
        ((31,), {31: SegmentName("vertebrae_L1")}, "totalsegmentator-v1", "names value 31 L1"),
        ((1, 2), {1: SegmentName("body"), 2: SegmentName("disc")}, None, "named after vertebrae"),
        ((1, 2), {1: SegmentName("T12"), 2: SegmentName("T12")}, None, "several for T12"),
        ((1,), {}, "spine", "neither a scheme nor a file"),
        ((1,), {}, {"Q1": 1}, "'Q1'"),
        ((1,), {}, {"T1": "1"}, "whole number"),
        ((1,), {}, {"T1": 0}, "whole number"),
        ((1,), {}, {"T1": True}, "whole number"),
        ((1,), {}, {"T1": 1, "T2": 1}, "once"),
        ((1,), {}, {"T1": 1, "vertebrae_T1": 2}, "once"),
        ((1,), {}, {"T1": 9}, "mapping's values"),
    ],
)
def test_bad_labels_say_what_to_do(values, names, labels, message) -> None:
    mask = column(*values) if values else Volume(np.zeros((4, 4, 4), np.uint8), np.eye(4))
    with pytest.raises(LabelError, match=message) as caught:
        choose_labels(mask, names, labels)
    assert caught.value.remedy


@pytest.mark.parametrize("text", ["{", "[1, 2]", "{}", '"T12"'])
def test_bad_json_is_refused(tmp_path: Path, text: str) -> None:
    path = tmp_path / "bad.json"
    path.write_text(text)
    with pytest.raises(LabelError, match="JSON"):
        choose_labels(column(1), {}, path)


def test_verse_values_are_a_bijection() -> None:
    assert sorted(VERSE_VALUES) == sorted(LEVELS)
    assert len(set(VERSE_VALUES.values())) == len(LEVELS)
