"""A record survives JSON, refuses what it cannot be, and is the same row everywhere."""

from __future__ import annotations

import json
import math
from dataclasses import fields, replace
from typing import Any

import numpy as np
import pytest

from hideseek_backend.wire import codec, lines, tables
from hideseek_backend.wire.errors import WireError
from hideseek_backend.wire.records import Candidate, Evidence, Vertebra, VertebraMessage

CANDIDATE = Candidate(
    vertebra="T12",
    number=2,
    polarity="lytic",
    delta=-0.00001,
    kept=True,
    p_hide=1.234567e-9,
    slices=(30, 31),
    area_px=12,
    volume_mm3=1234.56,
    mean_hu=math.nan,
    centroid_ras=(1.0, -2.555, 3.25),
    source="reader",
    p_without=0.25,
    decision="accept",
    reason='seen, "clearly"',
)


def message() -> VertebraMessage:
    stack = np.arange(64 * 64 * 2, dtype=np.float32).reshape(64, 64, 2)
    labels = np.zeros((4, 5, 6), np.uint16)
    labels[1, 2, 3] = 2
    return VertebraMessage(
        level="T12",
        p_malignant=math.nan,
        analysed=True,
        body_volume_mm3=20_000.0,
        lytic_volume_mm3=1234.56,
        candidates=(CANDIDATE,),
        evidence=Evidence(np.eye(4), (30, 31), stack, stack + 5, stack * 0 + 5, "model"),
        block_labels=labels,
        block_origin_ijk=(7, 8, 9),
        tau=0.5,
    )


def sent(record: Any) -> dict[str, Any]:
    """A record after the pipe."""
    found: dict[str, Any] = json.loads(lines.encode_line(codec.to_plain(record)))
    return found


def test_a_message_comes_back_as_it_was() -> None:
    back = codec.from_plain(VertebraMessage, sent(message()))
    assert replace(back.candidates[0], mean_hu=0.0) == replace(CANDIDATE, mean_hu=0.0)
    assert math.isnan(back.candidates[0].mean_hu) and math.isnan(back.p_malignant)
    assert back.p_healthy_image is None and math.isnan(back.blastic_volume_mm3)
    assert back.block_labels is not None and back.block_labels[1, 2, 3] == 2
    assert back.evidence is not None and back.evidence.unit == "model"
    assert np.array_equal(back.evidence.healthy - back.evidence.image, back.evidence.difference)
    assert (back.block_origin_ijk, back.tau) == ((7, 8, 9), 0.5)


def test_every_field_travels() -> None:
    for record in (Candidate, Vertebra, VertebraMessage, Evidence):
        assert len(codec.wire_fields(record)) == len(fields(record))


def test_what_an_older_side_does_not_send_has_its_default() -> None:
    plain = sent(CANDIDATE)
    for name in ("source", "p_without", "decision", "reason"):
        del plain[name]
    read = codec.from_plain(Candidate, {**plain, "of a later version": 1})
    assert (read.source, read.p_without, read.decision, read.reason) == ("model", None, "", "")


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"vertebra": "X1"}, "a vertebral level, got 'X1'"),
        ({"analysed": 1}, r"vertebra.analysed: expected true or false, got 1"),
        ({"p_malignant": "high"}, "p_malignant: expected a number"),
        ({"warnings": "one"}, "warnings: expected a list"),
        ({"block_origin_ijk": [1, 2]}, "expected 3 values"),
        ({"block_origin_ijk": [1, 2, 3.5]}, r"\[2\]: expected a whole number, got 3.5"),
        ({"candidates": 7}, "candidates: expected a list, got 7"),
        ({"candidates": [{}]}, r"candidates\[0\].vertebra is missing"),
        ({"candidates": []}, "voxels are labelled"),
        ({"evidence": {"affine": [[1]]}}, "evidence.slices is missing"),
        ({"block_labels": {"dtype": "int16"}}, "block_labels: expected encoding"),
    ],
)
def test_a_malformed_message_is_refused_by_name(change: dict[str, Any], words: str) -> None:
    with pytest.raises(WireError, match=words):
        codec.from_plain(VertebraMessage, {**sent(message()), **change}, "vertebra")


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"delta": True}, "candidates.0..delta: expected a number"),
        ({"polarity": "mixed"}, "polarity: expected one of 'lytic', 'blastic'"),
        ({"source": "nobody"}, "source"),
        ({"candidate": 0}, "numbered from 1"),
        ({"vertebra": "L1"}, "candidates of T12"),
        ({"centroid_ras": [1.0, 2.0]}, "3 values"),
    ],
)
def test_a_malformed_candidate_is_refused_by_name(change: dict[str, Any], words: str) -> None:
    plain = sent(message())
    plain["candidates"][0].update(change)
    with pytest.raises(WireError, match=words):
        codec.from_plain(VertebraMessage, plain)


def test_two_candidates_with_one_number_are_refused() -> None:
    with pytest.raises(WireError, match="same number"):
        Vertebra("T12", 0.5, candidates=(CANDIDATE, CANDIDATE))


def test_evidence_of_other_shapes_is_refused() -> None:
    one = np.zeros((64, 64, 1), np.float32)
    with pytest.raises(WireError, match="2 slices"):
        Evidence(np.eye(4), (1, 2), one, one, one, "HU")
    with pytest.raises(WireError, match="inverted"):
        Evidence(np.zeros((4, 4)), (1,), one, one, one, "HU")


def test_candidates_as_csv() -> None:
    assert tables.csv_text(Candidate, [CANDIDATE]) == (
        "vertebra,candidate,polarity,delta,kept,p_hide,slices,area_px,volume_mm3,mean_hu,"
        "centroid_r_mm,centroid_a_mm,centroid_s_mm,source,p_without,decision,reason\n"
        "T12,2,lytic,0.0000,true,1.23457e-09,30 31,12,1234.6,,1.00,-2.56,3.25,reader,0.25,accept,"
        '"seen, ""clearly"""\n'
    )


def test_vertebrae_as_csv() -> None:
    known = Vertebra(
        "T12", 0.9731, 0.04, True, "", "mixed", 20_000.0, lytic_volume_mm3=100.0,
        blastic_volume_mm3=0.0,
    )  # fmt: skip
    assert tables.csv_text(Vertebra, [Vertebra("T11", math.nan, reason="cut"), known]) == (
        "vertebra,p_malignant,p_healthy_image,analysed,reason,phenotype,body_volume_mm3,"
        "lytic_volume_mm3,blastic_volume_mm3,outside,anterior_mm,middle_mm,posterior_mm,"
        "height_ratio,lytic_fraction,blastic_fraction\n"
        "T11,,,false,cut,,,,,,,,,,,\n"
        "T12,0.9731,0.04,true,,mixed,20000.0,100.0,0.0,,,,,,0.00500,0.00000\n"
    )


def test_a_tables_values_keep_their_kind() -> None:
    kinds = {c.name: c.kind for c in tables.columns(Candidate)}
    assert kinds["vertebra"] == kinds["polarity"] == kinds["slices"] == kinds["reason"] == "text"
    assert kinds["candidate"] == kinds["kept"] == kinds["area_px"] == "whole"
    assert kinds["delta"] == kinds["p_without"] == kinds["centroid_s_mm"] == "number"
    assert tables.values(CANDIDATE)[:3] == ("T12", 2, "lytic")
