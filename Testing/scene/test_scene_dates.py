"""Two dates in a scene: what the worker is told, what is kept, and what a reopened scene shows."""

from __future__ import annotations

import json
from dataclasses import replace as changed

import numpy as np
import pytest
import replies
from scene_helpers import CASE_GRIDS, make_case, save_and_reopen, to_numpy_affine

from HideSeekLib.case import case as case_scene
from HideSeekLib.case import dates
from HideSeekLib.errors import SceneError
from HideSeekLib.wire.lines import encode_line
from HideSeekLib.wire.sins import ITEMS

worker = pytest.importorskip("hideseek_backend.worker.dates")

LEVELS = ("T10", "T11", "T12")
EARLIER, CURRENT = CASE_GRIDS["axis-aligned"], CASE_GRIDS["oblique anisotropic"]


def one_case(scene, affine):
    _ct, _segmentation, case = make_case(scene, affine, LEVELS)
    for n, level in enumerate(LEVELS[:2]):
        message = replies.vertebra_reply(
            level, (25, 25, 6 + 12 * n), {"lytic": [0.9, 0.2], "blastic": [0.7]}, affine
        )
        case = case.add_vertebra(message)
    return case


@pytest.fixture
def two(scene):
    return one_case(scene, EARLIER), one_case(scene, CURRENT)


def sent(case):
    """The message as it arrives: over JSON, arrays packed."""
    return json.loads(encode_line(dates.date_message(case)))


def test_the_worker_reads_a_case_as_it_is_reviewed(two):
    case = two[1]
    case.decide(["T10:1"], "reject")
    date = worker.read_date(sent(case))
    assert list(date.bodies) == list(LEVELS)
    found = {f.candidate.key: f for f in date.findings}
    assert set(found) == {"T10:1", "T10:2", "T10:3", "T11:1", "T11:2", "T11:3"}
    assert not found["T10:1"].counts and found["T11:1"].counts and not found["T11:2"].counts
    index = np.sort(case.record.grid.ijk(found["T10:1"].places).round().astype(int), axis=0)
    np.testing.assert_array_equal(index, np.sort(case.voxels("T10:1"), axis=0))
    text = json.dumps(sent(case))
    assert case.name not in text and case.ct.GetName() not in text.replace('"ct"', "")


def test_a_case_against_itself_is_stable_and_kept_over_a_reopened_scene(app, tmp_path):
    earlier, current = one_case(app.scene, EARLIER), one_case(app.scene, EARLIER)
    assert [c.name for c in dates.other_cases(current)] == [earlier.name]
    answer = worker.follow_up({"earlier": sent(earlier), "current": sent(current)})
    told = dates.keep_follow_up(current, earlier, json.loads(encode_line(answer))["follow_up"])
    assert {c.fate for c in told.changes} == {"stable"} and len(told.changes) == 4
    suggested = worker.sheets({**sent(current), "levels": ["T10"]})
    sheet = dates.read_sheet(json.loads(encode_line(suggested))["sheets"][0])
    filled = tuple((item, next(iter(choices))) for item, choices in ITEMS.items())
    dates.keep_sheets(current, [changed(sheet, entries=filled, reader="AB", signed=True)])

    shown = dates.earlier_ct(current, told.pairs[0])
    assert shown.GetImageData() is earlier.ct.GetImageData()
    before = to_numpy_affine(earlier.ct)
    expected = told.pairs[0].matrix @ before
    np.testing.assert_allclose(to_numpy_affine(shown), expected, atol=1e-6)
    np.testing.assert_array_equal(to_numpy_affine(earlier.ct), before)  # the user's stays

    names = {current.name, earlier.name}
    app = save_and_reopen(app, tmp_path)
    cases = {c.name: c for c in case_scene.cases_in_scene(app.scene)}
    assert set(cases) == names
    reopened = cases[current.name]
    again = dates.follow_up_of(reopened)
    assert again is not None and again.changes == told.changes
    assert dates.earlier_of(reopened).name == earlier.name
    assert dates.sheets_of(reopened)["T10"].total == 3 + 3 + 2 + 4 + 3 + 3
    assert app.scene.GetFirstNodeByName(f"{current.name} earlier CT") is None  # never saved
    assert dates.earlier_ct(reopened, again.pairs[0]) is not None
    app.close()


def test_damaged_texts_are_told(two):
    case = two[1]
    case.nodes.keep_text(dates.FOLLOW_UP, json.dumps({"comparable": 7}))
    with pytest.raises(SceneError, match="Make it again"):
        dates.follow_up_of(case)
    assert dates.sheets_of(two[0]) == {}
