"""Requests about dates: what is refused, and what comes back."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest

from hideseek_backend.errors import HideSeekError
from hideseek_backend.wire.codec import to_plain
from hideseek_backend.wire.lines import encode_line
from hideseek_backend.wire.records import Candidate, VertebraMessage
from hideseek_backend.worker import dates
from hideseek_backend.worker.protocol import ProtocolError


def message(level: str = "L1", **changed: Any) -> dict[str, Any]:
    """A date with one box of a body and a lesion of 4³ voxels in it, as it arrives."""
    body = np.zeros((40, 36, 40), np.uint8)
    body[4:36, 4:32, 8:32] = 1
    labels = np.ones((4, 4, 4), np.uint16)
    lesion = Candidate(level, 1, "lytic", 0.9, True, 0.9, (32,), 9, 64.0, 50.0, (20.0, 16.0, 20.0))
    vertebra = VertebraMessage(level, 0.9, analysed=True, candidates=(lesion,),
                               block_labels=labels, block_origin_ijk=(18, 14, 18))  # fmt: skip
    made = {
        "affine": np.eye(4).tolist(),
        "vertebrae": [to_plain(vertebra)],
        "bodies": [{"level": level, "affine": np.eye(4).tolist(), "vertebra": body, "body": body}],
        "options": {"slices": "all"},
        **changed,
    }
    return dict(json.loads(encode_line(to_plain(made))))


def test_a_date_against_itself_and_its_worksheet() -> None:
    told = dates.follow_up({"earlier": message(), "current": message()})["follow_up"]
    (change,) = told["changes"]
    assert (change["fate"], change["volume_mm3"]) == ("stable", 64.0)
    (sheet,) = dates.sheets({**message(), "levels": ["L1"]})["sheets"]
    assert {s["item"]: s["choice"] for s in sheet["suggestions"]}["lesion"] == "lytic"
    assert sheet["entries"] == [] and sheet["signed"] is False


def test_a_body_that_is_not_given_is_split_off() -> None:
    bodies = message()["bodies"]
    date = dates.read_date(message(bodies=[{**bodies[0], "body": None}]))
    assert date.bodies["L1"].data.any()


@pytest.mark.parametrize(
    "changed",
    [
        {"affine": [1, 2]},
        {"affine": None},
        {"vertebrae": [{"vertebra": "L1", "candidates": 7}]},
        {"bodies": ["L1"]},
        {"bodies": [{"level": "S9"}]},
        {"bodies": [{"level": "L1", "affine": np.eye(4).tolist(), "vertebra": "x"}]},
    ],
)
def test_malformed_dates_are_refused_with_a_sentence(changed: dict[str, Any]) -> None:
    with pytest.raises(ProtocolError):
        dates.follow_up({"earlier": {**message(), **changed}, "current": message()})
    with pytest.raises(ProtocolError):
        dates.follow_up({"earlier": None, "current": message()})


def test_sentences_and_strange_templates() -> None:
    vertebrae = message()["vertebrae"]
    assert dates.text({"vertebrae": vertebrae}) == {"text": ""}
    vertebrae[0]["candidates"][0]["decision"] = "accept"
    assert dates.text({"vertebrae": vertebrae})["text"].startswith("L1: lytic lesion 0.1 mL")
    with pytest.raises(HideSeekError, match="template"):
        dates.text({"vertebrae": vertebrae, "template": "{{ nothing }}"})
    with pytest.raises(ProtocolError):
        dates.text({"vertebrae": [{"vertebra": 3}]})
