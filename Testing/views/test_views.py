"""What is on screen: Slicer's own displayable managers draw, and the pictures are measured."""

from __future__ import annotations

import time

import numpy as np
import pytest
import replies

pytest.importorskip("slicer_core", reason="needs the slicer-core package")

from scene_helpers import add_ct, add_segmentation
from slicer_views import SliceView, ThreeDView, can_render

from HideSeekLib.anatomy import click as pick
from HideSeekLib.case import case as case_scene
from HideSeekLib.case import lesions_view, views
from HideSeekLib.errors import NodeGone, SceneError
from HideSeekLib.wire import arrays

pytestmark = pytest.mark.skipif(
    not can_render(), reason="no off-screen OpenGL: apt-get install libegl1 libgl1-mesa-dri"
)

SHAPE = (100, 90, 60)
AFFINE = replies.ct_affine((0.9, 0.9, 1.5), turn=0.12)


def is_red(rgb):
    return rgb[0] > rgb[1] + 40 and rgb[0] > rgb[2] + 40


def is_blue(rgb):
    return rgb[2] > rgb[0] + 40 and rgb[2] > rgb[1] + 20


def is_yellow(pixels):
    return (pixels[..., 0] > 200) & (pixels[..., 1] > 160) & (pixels[..., 2] < 100)


def is_grey(rgb):
    return int(rgb.max()) - int(rgb.min()) < 12


class Room:
    """A case with two lesions in T12, and three slice views of it."""

    def __init__(self, app):
        scene = app.scene
        hu = np.full(SHAPE, 40, np.int16)
        upper, lower = np.zeros(SHAPE, bool), np.zeros(SHAPE, bool)
        upper[25:75, 20:60, 32:50] = True
        lower[25:75, 20:60, 8:26] = True
        hu[upper | lower] = 300
        self.ct = add_ct(scene, hu, AFFINE)
        self.ct.GetDisplayNode().AutoWindowLevelOff()
        self.ct.GetDisplayNode().SetWindowLevel(1000, 200)
        self.segmentation = add_segmentation(
            scene, self.ct, {"vertebrae_T12": ("T12", upper), "vertebrae_L1": ("L1", lower)}
        )
        self.segmentation.GetDisplayNode().SetVisibility(False)
        self.case = case_scene.begin_run(self.ct, self.segmentation, model={"hash": "m"})
        self.case.add_vertebra(
            replies.vertebra_reply(
                "T12",
                (30, 30, 34),
                {"lytic": [0.9], "blastic": [0.7]},
                AFFINE,
                size=10,
                evidence=True,
            )
        )
        self.views = {
            "Red": SliceView(app, "Red", "Axial"),
            "Yellow": SliceView(app, "Yellow", "Sagittal"),
            "Green": SliceView(app, "Green", "Coronal"),
        }
        views.set_background(self.case)
        for view in self.views.values():
            view.fit()

    def colour_at(self, view, ras):
        """Colour where a world point is drawn; the point must be on the view's slice."""
        pixels = view.render()
        x, y = view.xy_of(ras)
        return pixels[pixels.shape[0] - 1 - round(y), round(x)]


@pytest.fixture
def room(app):
    return Room(app)


def test_lesions_are_red_and_blue_where_they_are(room):
    for key, right_colour in (("T12:1", is_red), ("T12:2", is_blue)):
        point = views.candidate_point(room.case, key)
        views.jump_to(point)
        for view in room.views.values():
            assert right_colour(room.colour_at(view, point)), (key, view.node.GetName())


def test_a_rejected_lesion_is_gone_and_an_undo_brings_it_back(room):
    point = views.candidate_point(room.case, "T12:1")
    views.jump_to(point)
    view = room.views["Red"]
    room.case.decide(["T12:1"], "reject")
    assert is_grey(room.colour_at(view, point))
    room.case.undo()
    assert is_red(room.colour_at(view, point))
    room.case.set_threshold(0.95)
    assert is_grey(room.colour_at(view, point))


@pytest.mark.parametrize("into_one", [True, False])
def test_what_was_merged_by_a_save_is_drawn_as_decided(room, into_one):
    segmentation = room.case.lesions.GetSegmentation()
    points = {key: views.candidate_point(room.case, key) for key in ("T12:1", "T12:2")}
    view = room.views["Red"]

    def colour(key):
        views.jump_to(points[key])
        return room.colour_at(view, points[key])

    segmentation.CollapseBinaryLabelmaps(into_one)
    room.case.decide(["T12:1"], "reject")
    assert is_grey(colour("T12:1")) and is_blue(colour("T12:2"))
    segmentation.CollapseBinaryLabelmaps(into_one)
    room.case.undo()
    room.case.decide(["T12:2"], "reject")
    assert is_red(colour("T12:1")) and is_grey(colour("T12:2"))


def test_a_row_jumps_and_is_outlined(room):
    for key in ("T12:2", "T12:1"):
        views.show_candidate(room.case, key)
        point = np.array(views.candidate_point(room.case, key))
        for view in room.views.values():
            pixels = view.render()
            assert view.xy_of(point) == pytest.approx((200, 200), abs=1)
            rows, columns = np.nonzero(is_yellow(pixels))
            assert len(rows) > 20
            # The line runs around the point, not beside it.
            assert rows.min() < 200 < rows.max() and columns.min() < 200 < columns.max()
    views.clear_highlight(room.case)
    assert not is_yellow(room.views["Red"].render()).any()


def test_fade_flicker_and_difference(room):
    view = room.views["Yellow"]
    evidence_point = evidence_centre(room.case)
    views.jump_to(evidence_point)
    ct_only = room.colour_at(view, evidence_point)
    before = view.composite.GetForegroundVolumeID()
    views.fade(room.case, "T12", 1.0)
    # The hand-made edit is far brighter than the window's end: white.
    assert room.colour_at(view, evidence_point).min() > 250
    views.fade(room.case, "T12", 0.5)
    half = room.colour_at(view, evidence_point)
    assert int(ct_only.min()) + 20 < half.min() < 250
    assert views.flicker(room.case, "T12") is True
    assert views.flicker(room.case, "T12") is False
    assert np.array_equal(room.colour_at(view, evidence_point), ct_only)
    assert view.composite.GetForegroundVolumeID() == before
    views.show_difference(room.case, "T12", True)
    assert view.composite.GetForegroundVolumeID() == room.case.nodes.difference("T12").GetID()
    views.show_difference(room.case, "T12", False)
    assert np.array_equal(room.colour_at(view, evidence_point), ct_only)
    with pytest.raises(SceneError, match="L1"):
        views.fade(room.case, "L1", 0.5)


def test_the_difference_is_red_where_bone_is_restored_and_blue_where_it_is_taken(room):
    message = replies.vertebra_reply("T12", (30, 30, 34), {}, AFFINE, evidence=True)
    difference = np.zeros((64, 64, 3), np.float32)
    difference[20:30, 30:34], difference[40:50, 30:34] = 250, -250
    message["evidence"]["difference"] = arrays.encode(difference)
    room.case.add_vertebra(message)
    crop = np.array(message["evidence"]["affine"])
    view = room.views["Yellow"]
    places = (("red", 25), ("none", 35), ("blue", 45))
    points = {name: tuple((crop @ [p, 32, 31, 1])[:3]) for name, p in places}
    views.jump_to(points["none"])
    before = room.colour_at(view, points["none"])
    views.show_difference(room.case, "T12", True)
    assert is_red(room.colour_at(view, points["red"]))
    assert is_blue(room.colour_at(view, points["blue"]))
    assert np.abs(room.colour_at(view, points["none"]).astype(int) - before).max() < 12


def evidence_centre(case):
    from HideSeekLib.anatomy.geometry import grid_of

    grid = grid_of(case.nodes.healthy("T12"))
    # A little off the lesions, which are drawn over everything.
    return tuple(grid.ras(np.array([50.0, 40.0, 1.0])))


def test_the_users_own_foreground_comes_back(room):
    other = add_ct(room.ct.GetScene(), np.zeros(SHAPE, np.int16), AFFINE, "PET")
    composite = room.views["Green"].composite
    composite.SetForegroundVolumeID(other.GetID())
    composite.SetForegroundOpacity(0.3)
    views.fade(room.case, "T12", 0.8)
    views.fade(room.case, "T12", 0.4)
    views.fade(room.case, "T12", 0)
    assert composite.GetForegroundVolumeID() == other.GetID()
    assert composite.GetForegroundOpacity() == pytest.approx(0.3)
    views.fade(room.case, "T12", 0.8)
    room.ct.GetScene().RemoveNode(other)
    views.clear_fade(room.case)
    assert composite.GetForegroundVolumeID() is None


def test_a_click_finds_the_vertebra_under_it(room):
    centres = {"T12": (50, 40, 41), "L1": (50, 40, 17)}
    for level, ijk in centres.items():
        ras = (AFFINE @ [*ijk, 1])[:3]
        views.jump_to(ras)
        for view in room.views.values():
            xy = view.xy_of(ras)
            assert pick.click_to_ras(view, view.node, xy) == pytest.approx(ras, abs=0.1)
            assert (
                pick.vertebra_at(pick.click_to_ras(view, view.node, xy), room.segmentation).level
                == level
            )
    view = room.views["Yellow"]
    disc = (AFFINE @ [50, 40, 29, 1])[:3]
    assert (
        pick.vertebra_at(pick.click_to_ras(view, view.node, view.xy_of(disc)), room.segmentation)
        is None
    )
    # A click is found where it is seen, after the view was zoomed and panned too.
    view.zoom(40)
    ras = (AFFINE @ [60, 30, 15, 1])[:3]
    views.jump_to(ras)
    hit = pick.vertebra_at(pick.click_to_ras(view, view.node, view.xy_of(ras)), room.segmentation)
    assert hit.level == "L1"


def test_surfaces_in_3d(room, app):
    view = ThreeDView(app)
    lesions_view.show_surfaces(room.case.lesions, True)
    view.look_from((0.2, 1.0, 0.3))
    pixels = view.render().astype(int)
    red = (pixels[..., 0] > pixels[..., 2] + 60) & (pixels[..., 0] > 100)
    blue = (pixels[..., 2] > pixels[..., 0] + 90) & (pixels[..., 1] < pixels[..., 2] - 60)
    assert red.mean() > 0.02 and blue.mean() > 0.02
    # A change throws surfaces away and makes those of what is left again.
    room.case.decide(["T12:1"], "reject")
    assert lesions_view.has_surfaces(room.case.lesions)
    pixels = view.render().astype(int)
    assert ((pixels[..., 0] > pixels[..., 2] + 60) & (pixels[..., 0] > 100)).mean() < 0.001


def test_the_slider_with_views_open_stays_under_100_ms(room):
    scene = room.ct.GetScene()
    rng = np.random.default_rng(1)
    ct = add_ct(scene, np.zeros((220, 200, 340), np.int16), AFFINE, "long")
    case = case_scene.begin_run(ct, model={"hash": "long"})
    for n, level in enumerate(["T8", "T9", "T10", "T11", "T12", "L1", "L2", "L3", "L4", "L5"]):
        deltas = {p: rng.random(10).tolist() for p in ("lytic", "blastic")}
        case.add_vertebra(replies.vertebra_reply(level, (20, 50, 30 * n), deltas, AFFINE, size=8))
    case.lesion_segments(True)
    views.set_background(case)
    views.show_candidate(case, "T12:1")
    seconds, work = [], []
    for t in np.linspace(0, 1, 30):
        started, busy = time.perf_counter(), time.process_time()
        case.set_threshold(float(t), live=True)
        seconds.append(time.perf_counter() - started)
        work.append(time.process_time() - busy)
    print(
        f"200 candidates, three views: median {1e3 * np.median(seconds):.1f} ms, "
        f"worst {1e3 * max(seconds):.1f} ms"
    )
    # The worst case is judged by processor time: another process may own the core for a while.
    assert np.median(seconds) < 0.1 and max(work) < 0.1


def test_single_lesions_on_request(room):
    node = room.case.lesion_segments(True)
    names = [
        node.GetSegmentation().GetNthSegment(n).GetName()
        for n in range(node.GetSegmentation().GetNumberOfSegments())
    ]
    assert names == ["T12 lytic 1 (Δ 0.90)", "T12 blastic 2 (Δ 0.70)"]
    room.case.decide(["T12:1"], "reject")
    assert node.GetDisplayNode().GetSegmentOpacity2DFill("T12_1") < 0.5
    room.case.undo()
    assert node.GetDisplayNode().GetSegmentOpacity2DFill("T12_1") == 1.0
    room.case.lesion_segments(False)
    assert room.case.nodes.single_lesions is None


def test_views_of_a_closed_scene_say_so(room):
    case = room.case
    room.ct.GetScene().Clear(False)
    for action in (
        lambda: views.set_background(case),
        lambda: views.show_candidate(case, "T12:1"),
        lambda: views.fade(case, "T12", 0.5),
        lambda: views.flicker(case, "T12"),
        lambda: views.show_difference(case, "T12", True),
        lambda: pick.body_request(room.ct, (0, 0, 0), "T12"),
    ):
        with pytest.raises(NodeGone):
            action()
    views.clear_highlight(case)
    views.clear_fade(case)
