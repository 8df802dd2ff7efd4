"""One table of names, one parser: what is read as a vertebra, and what never is."""

from __future__ import annotations

import pytest

from hideseek_backend.wire import levels

NAMES = {
    "vertebrae_T12": "T12",
    "T12 vertebra": "T12",
    "vertebra T9": "T9",
    "vertebra_L1": "L1",
    "Vertebra L-3": "L3",
    "Th12": "T12",
    "Th4": "T4",
    "th_05": "T5",
    "L1": "L1",
    "L05": "L5",
    "c07": "C7",
    "D7": "T7",
    "D12": "T12",
    "BWK 12": "T12",
    "LWK1": "L1",
    "LWK3": "L3",
    "HWK 4": "C4",
    "Wirbelkörper L3": "L3",
    "C2 vertebral body": "C2",
    "vertebrae_L6": "L6",
    "T13": "T13",
    "thoracic vertebra T4 mask": "T4",
    "T12 metastasis": None,
    "T12 tumor": None,
    "T12 left pedicle": None,
    "T10 lytic": None,
    "T12 blastic": None,
    "L1 screw": None,
    "L5/S1": None,
    "T12-L1 disc": None,
    "disc T12": None,
    "T12 rib": None,
    "rib_left_12": None,
    "L4 endplate": None,
    "vertebrae_S1": None,
    "sacrum": None,
    "S1": None,
    "T1 T2": None,
    "T12 to L1": None,
    "T12 T44": None,
    "T14": None,
    "T0": None,
    "L7": None,
    "L9": None,
    "C8": None,
    "CT12": None,
    "CT1": None,
    "Segment_20": None,
    "20": None,
    "vertebrae": None,
    "liver": None,
    "": None,
}


@pytest.mark.parametrize(("name", "level"), NAMES.items())
def test_names(name: str, level: str | None) -> None:
    assert levels.parse_level(name) == level


def test_bodies_and_the_sacrum_are_told_apart() -> None:
    assert levels.names_a_body("T12 body") and levels.names_a_body("vertebrae_body")
    assert not levels.names_a_body("T12 vertebra")
    assert levels.is_sacrum("sacrum") and levels.is_sacrum("vertebrae_S1")
    assert not levels.is_sacrum("L5")


def test_levels_run_from_head_to_foot() -> None:
    assert sorted(levels.LEVELS, key=levels.order) == list(levels.LEVELS)
    assert levels.order("T13") < levels.order("L1") < levels.order("nothing")


@pytest.mark.parametrize(
    ("scheme", "pairs"),
    [
        ("verse", {1: "C1", 7: "C7", 8: "T1", 19: "T12", 20: "L1", 25: "L6", 28: "T13"}),
        ("totalsegmentator", {27: "L5", 31: "L1", 32: "T12", 43: "T1", 44: "C7", 50: "C1"}),
        ("totalsegmentator-v1", {18: "L5", 22: "L1", 23: "T12", 34: "T1", 35: "C7", 41: "C1"}),
    ],
)
def test_label_schemes(scheme: str, pairs: dict[int, str]) -> None:
    table = levels.LABEL_SCHEMES[scheme]
    assert {value: table[value] for value in pairs} == pairs
    assert not set(table) & {0, 51, 92} and (26 in table) == (scheme == "totalsegmentator-v1")
