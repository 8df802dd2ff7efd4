"""Sentences for the report: golden texts, and templates that fail."""

from __future__ import annotations

from dataclasses import replace

import pytest

from hideseek_backend.errors import InputError, OptionError
from hideseek_backend.report.sentences import own_template, report_text
from hideseek_backend.wire.changes import Change, FollowUp
from hideseek_backend.wire.records import Candidate, Vertebra


def lesion(
    level: str, number: int, polarity: str, mm3: float, decision: str = "accept"
) -> Candidate:
    return Candidate(level, number, polarity, 0.9, True, 0.9, (32,), 40, mm3, 500.0, (0, 0, 0),  # type: ignore[arg-type]
                     decision=decision)  # type: ignore[arg-type]  # fmt: skip


T12 = Vertebra(
    "T12",
    0.9,
    body_volume_mm3=14000.0,
    heights_mm=(24.0, 24.0, 24.5),
    candidates=(
        lesion("T12", 1, "blastic", 3100.0),
        lesion("T12", 2, "lytic", 500.0, "reject"),
    ),
)
L1 = Vertebra(
    "L1",
    0.9,
    body_volume_mm3=20000.0,
    heights_mm=(15.0, 18.0, 25.0),
    candidates=(lesion("L1", 1, "lytic", 900.0), lesion("L1", 2, "lytic", 300.0)),
)
L2 = Vertebra("L2", 0.1, heights_mm=(26.5, 26.0, 26.5))
SPINE = [T12, L1, L2, Vertebra("L3", 0.1, heights_mm=(26.8, 26.5, 27.0))]
CHANGE = Change("T12", "grown", "blastic", 2300.0, 3100.0, 34.8, 12.0, before=(4,), after=(1,))
GONE = Change("L1", "gone", "blastic", 1100.0, 0.0, float("nan"), 12.0, before=(2,))
STILL = Change("L1", "stable", "lytic", 900.0, 900.0, 0.0, 12.0, before=(1,), after=(1,))
NEW = Change("L1", "new", "lytic", 0.0, 300.0, float("nan"), 12.0, after=(2,))
TOLD = FollowUp(True, (CHANGE, GONE, STILL, NEW), (), date_before="2026-04-02")


def test_two_sentences_a_vertebra() -> None:
    assert report_text(SPINE) == (
        "T12: blastic lesion 3.1 mL, 22 % of the body; body height kept.\n"
        "L1: lytic lesions (2) 1.2 mL, 6 % of the body; body height reduced by 41 % (anterior) "
        "against its neighbours."
    )


def test_change_since_the_earlier_date() -> None:
    assert report_text(SPINE, told=TOLD) == (
        "T12: blastic lesion 3.1 mL (+0.8 mL since 2026-04-02), 22 % of the body; "
        "body height kept.\n"
        "L1: lytic lesions (2) 1.2 mL (+0.3 mL since 2026-04-02), 6 % of the body; blastic lesion "
        "of 2026-04-02 (1.1 mL) no longer found; body height reduced by 41 % (anterior) against "
        "its neighbours."
    )
    assert "since" not in report_text(SPINE, told=replace(TOLD, comparable=False))


def test_a_change_that_is_not_certain_is_not_told_as_one() -> None:
    unsure = replace(TOLD, changes=(replace(CHANGE, fate="indeterminate"), STILL, NEW))
    line = report_text(SPINE, told=unsure).splitlines()[0]
    assert line.startswith("T12: blastic lesion 3.1 mL (change not certain since 2026-04-02), 22 %")
    german = report_text(SPINE, language="de", told=unsure).splitlines()[0]
    assert "3,1 mL (Änderung nicht sicher seit 2026-04-02), 22 %" in german
    mixed = replace(unsure, changes=(replace(STILL, fate="indeterminate"), NEW))
    assert "1.2 mL (change not certain since" in report_text(SPINE, told=mixed)


def test_german() -> None:
    assert report_text(SPINE, language="de", told=TOLD).splitlines()[0] == (
        "BWK 12: blastische Läsion 3,1 mL (+0,8 mL seit 2026-04-02), 22 % des Wirbelkörpers; Höhe "
        "des Wirbelkörpers erhalten."
    )


def test_only_what_a_reader_accepted_is_said() -> None:
    bare = [replace(T12, candidates=(lesion("T12", 1, "lytic", 900.0, ""),)), L2]
    assert report_text(bare) == ""
    central = report_text(SPINE, volumes=False)
    assert "mL" not in central and "%" not in central.splitlines()[0]


def test_a_template_of_ones_own() -> None:
    text = report_text(SPINE, template="{% for v in vertebrae %}{{ v.level }} {% endfor %}")
    assert text == "T12 L1"
    assert report_text(SPINE, template=own_template("en")) == report_text(SPINE)


@pytest.mark.parametrize(
    "template", ["{{ nothing }}", "{% for %}", "{{ vertebrae[0].level.__class__.__mro__ }}",
                 "{{ vertebrae.append(1) }}", "{{ 1 / 0 }}"]
)  # fmt: skip
def test_templates_that_fail_or_reach_too_far(template: str) -> None:
    with pytest.raises(InputError, match="template"):
        report_text(SPINE, template=template)


def test_unknown_language() -> None:
    with pytest.raises(OptionError, match="language"):
        report_text(SPINE, language="fr")
