"""What speaks against a P is told beside it, from all the levels that are known."""

from __future__ import annotations

import replies
from scene_helpers import CASE_GRIDS as GRIDS
from scene_helpers import make_case

from HideSeekLib.run import words
from HideSeekLib.wire.words import FRACTURED, UNEXPLAINED, UNSEEN


def screened(level: str, height: float, outside: str = "") -> dict:
    return {
        "vertebra": level,
        "p_malignant": 0.2,
        "outside": outside,
        "heights_mm": [height] * 3,
    }


def test_a_fracture_shows_when_its_neighbours_are_known(scene):
    affine = GRIDS["axis-aligned"]
    _ct, _segmentation, case = make_case(scene, affine, levels=("T11", "T12", "L1"))
    message = replies.vertebra_reply("T12", (20, 30, 22), {"lytic": [0.1]}, affine)
    message.update(heights_mm=[15.0, 17.0, 18.0], reason=UNEXPLAINED)
    message["candidates"][0]["p_without"] = 0.41
    case.add_vertebra(message)
    (alone,) = case.vertebra_rows()
    assert alone.outside == ""  # against its own greatest height it lost 17 %
    case.set_screen([screened("T11", 23.0), screened("L1", 25.0, UNSEEN)])
    rows = {row.level: row for row in case.vertebra_rows()}
    assert {k: row.outside for k, row in rows.items()} == {
        "T11": "",
        "T12": FRACTURED,
        "L1": UNSEEN,
    }
    assert words.about_p(rows["T12"]) == "0.93 ?" and words.about_p(rows["T11"]) == "0.20"
    assert words.weight_of_p(rows["T12"]) == 0 and words.weight_of_p(rows["T11"]) == 0.2
    told = words.state_of_vertebra(rows["T12"], case.rows())
    assert told == f"{FRACTURED} · 1 candidate, 0 kept · {UNEXPLAINED}"
    about = words.about_candidate(rows["T12"], case.rows()[0])
    assert (
        FRACTURED in about and UNEXPLAINED in about and about.endswith("P 0.41 without candidate 1")
    )
    table = case.nodes.vertebra_table.GetTable()
    assert table.GetValueByName(1, "outside").ToString() == FRACTURED
    # A reader who accepts a candidate has an explanation.
    case.decide(["T12:1"], "accept")
    assert {row.level: row.reason for row in case.vertebra_rows()}["T12"] == ""
