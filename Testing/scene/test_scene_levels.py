"""Segments to levels, from every naming scheme; clicks to vertebrae; terminology."""

from __future__ import annotations

import json

import numpy as np
import pytest
import replies
import slicer
import vtk
from scene_helpers import add_ct, add_segmentation

from HideSeekLib.anatomy import terminology
from HideSeekLib.anatomy.geometry import to_vtk
from HideSeekLib.anatomy.vertebrae import (
    level_at,
    match_label_values,
    match_levels,
    segments_by_level,
)
from HideSeekLib.errors import InputError
from HideSeekLib.wire import codes


def segmentation_with(scene, segments):
    node = scene.AddNewNodeByClass("vtkMRMLSegmentationNode", "Vertebrae")
    for segment_id, name, entry in segments:
        node.GetSegmentation().AddEmptySegment(segment_id, name)
        if entry:
            node.GetSegmentation().GetSegment(segment_id).SetTag("TerminologyEntry", entry)
    return node


TOTAL = (
    "Segmentation category and type - Total Segmentator~SCT^123037004^Anatomical Structure~"
    "SCT^{code}^{name}~^^~Anatomic codes - DICOM master list~^^~^^|"
)


def test_code_comes_before_id_and_id_before_name(scene):
    node = segmentation_with(
        scene,
        [
            ("vertebrae_T11", "T10", TOTAL.format(code="23215003", name="T12 vertebra")),
            ("vertebrae_T9", "L1 vertebra", ""),
            ("Segment_1", "L2 vertebra", ""),
            ("Segment_2", "something", ""),
            ("sacrum", "sacrum", ""),
        ],
    )
    matches = match_levels(node)
    assert [(m.level, m.source) for m in matches] == [
        ("T12", "terminology"),
        ("T9", "segment id"),
        ("L2", "name"),
        (None, ""),
        (None, ""),
    ]
    assert "sacrum" in matches[4].note.lower()
    assert list(segments_by_level(matches)) == ["T9", "T12", "L2"]


def test_every_sct_code_gives_its_level(scene):
    node = segmentation_with(
        scene,
        [
            (f"s{n}", "x", TOTAL.format(code=code, name=f"{level} vertebra"))
            for n, (level, code) in enumerate(codes.LEVEL_CODES.items())
        ],
    )
    assert [m.level for m in match_levels(node)] == list(codes.LEVEL_CODES)
    assert len(set(codes.LEVEL_CODES.values())) == 24


def test_region_of_a_bone_counts_and_that_of_a_tumour_does_not():
    bone = "ctx~SCT^123037004^Anatomical Structure~SCT^51282000^Vertebra~^^~reg~SCT^7610001^T10~^^"
    mass = "ctx~SCT^49755003^Altered~SCT^4147007^Mass~^^~reg~SCT^7610001^T10~^^"
    assert codes.level_of_entry(bone) == "T10"
    assert codes.level_of_entry(mass) is None
    assert codes.level_of_entry(codes.lesion_entry("T10", "lytic")) is None
    assert codes.level_of_entry(codes.vertebra_entry("T10")) == "T10"
    for nothing in ("", "x", "a~b~c", "~~~~~~"):
        assert codes.level_of_entry(nothing) is None


def test_duplicates_bodies_and_the_users_word(scene):
    node = segmentation_with(
        scene,
        [
            ("a", "T10 vertebra", ""),
            ("b", "T10", ""),
            ("c", "T11 vertebra", ""),
            ("d", "T11 body", ""),
        ],
    )
    matches = match_levels(node)
    assert segments_by_level(matches) == {"T11": "c"}
    assert "T10" in matches[0].note and "whole vertebra" in matches[3].note
    corrected = match_levels(node, {"b": "T9", "d": ""})
    assert segments_by_level(corrected) == {"T9": "b", "T10": "a", "T11": "c"}
    assert corrected[1].source == "user"
    with pytest.raises(InputError, match="T99"):
        match_levels(node, {"b": "T99"})


def test_bare_values_only_when_the_user_names_the_scheme(scene):
    node = segmentation_with(
        scene, [("Segment_20", "Segment_20", ""), ("Segment_28", "label 28", "")]
    )
    assert segments_by_level(match_levels(node)) == {}
    assert match_label_values(node, "verse") == {"Segment_20": "L1", "Segment_28": "T13"}
    assert match_label_values(node, "totalsegmentator") == {"Segment_28": "L4"}
    overrides = match_label_values(node, "verse")
    assert list(segments_by_level(match_levels(node, overrides))) == ["T13", "L1"]


def two_vertebrae(scene, affine, shape=(60, 50, 60)):
    ct = add_ct(scene, np.zeros(shape, np.int16), affine)
    upper, lower = np.zeros(shape, bool), np.zeros(shape, bool)
    upper[20:40, 15:35, 34:46] = True
    lower[20:40, 15:35, 10:22] = True
    node = add_segmentation(
        scene, ct, {"vertebrae_T12": ("T12", upper), "vertebrae_L1": ("L1", lower)}
    )
    return ct, node


@pytest.mark.parametrize("moved", [False, True])
def test_a_point_finds_its_vertebra(scene, moved):
    affine = replies.ct_affine((0.8, 0.9, 2.0))
    _ct, node = two_vertebrae(scene, affine)
    to_world = np.eye(4)
    if moved:
        to_world = replies.ct_affine((1, 1, 1), turn=0.5, flip=False, origin=(50, 10, -20))
        transform = scene.AddNewNodeByClass("vtkMRMLLinearTransformNode", "t")
        transform.SetMatrixTransformToParent(to_vtk(to_world))
        node.SetAndObserveTransformNodeID(transform.GetID())

    def world(ijk):
        return (to_world @ affine @ [*ijk, 1])[:3]

    assert level_at(node, world((30, 25, 40))).level == "T12"
    assert level_at(node, world((30, 25, 15))).level == "L1"
    near = level_at(node, world((30, 25, 46.4)))
    assert near.level == "T12" and 0 < near.distance_mm <= 3
    assert level_at(node, world((30, 25, 28))) is None
    assert level_at(node, world((30, 25, 46.4)), tolerance_mm=0) is None
    assert level_at(node, world((30, 25, 40)), {"vertebrae_T12": "T11"}).level == "T11"
    assert level_at(node, world((30, 25, 40)), {"vertebrae_T12": ""}) is None


def test_a_surface_segmentation_works_and_stays_a_surface(scene):
    node = scene.AddNewNodeByClass("vtkMRMLSegmentationNode", "Model")
    ball = vtk.vtkSphereSource()
    ball.SetCenter(10, 20, 30)
    ball.SetRadius(12)
    ball.Update()
    node.AddSegmentFromClosedSurfaceRepresentation(
        ball.GetOutput(), "T10 vertebra", [1, 0, 0], "T10"
    )
    before = node.GetSegmentation().GetContainedRepresentationNames
    names = list(_strings(before))
    assert level_at(node, (12, 22, 28)).level == "T10"
    assert level_at(node, (40, 22, 28)) is None
    assert list(_strings(before)) == names


def _strings(get):
    values = vtk.vtkStringArray()
    try:
        get(values)
    except TypeError:
        out = []
        get(out)
        return out
    return [values.GetValue(n) for n in range(values.GetNumberOfValues())]


def test_slicers_terminologies_load_ours(app):
    logic = app.logics["terminologies"]
    assert terminology.register(logic)
    assert logic.IsTerminologyContextLoaded(codes.LESION_CONTEXT)
    entry = slicer.vtkSlicerTerminologyEntry()
    text = codes.lesion_entry("T10", "blastic")
    assert logic.DeserializeTerminologyEntry(text, entry)
    assert entry.GetTypeObject().GetCodeValue() == "14799000"
    assert entry.GetTypeModifierObject().GetCodeValue() == "BLASTIC"
    region = getattr(entry, "GetRegionObject", None) or entry.GetAnatomicRegionObject
    assert region().GetCodeValue() == "7610001"


def test_colours_of_the_terminology_file_are_ours():
    path = terminology.RESOURCES / "HideSeekLesions.term.json"
    content = json.loads(path.read_text(encoding="utf-8"))
    modifiers = content["SegmentationCodes"]["Category"][0]["Type"][0]["Modifier"]
    colours = {m["CodeValue"].lower(): m["recommendedDisplayRGBValue"] for m in modifiers}
    for polarity, rgb in codes.COLORS.items():
        assert [round(255 * c) for c in rgb] == colours[polarity]


@pytest.mark.parametrize("level", ["T13", "L6"])
def test_levels_without_a_code_fall_back_to_vertebra(level):
    assert codes.region_code(level) == ("SCT", "51282000", "Vertebra")
