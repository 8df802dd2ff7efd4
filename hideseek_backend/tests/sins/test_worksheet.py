"""The worksheet: measured on bodies of known shape; a sum only for a signed and complete sheet."""

from __future__ import annotations

import numpy as np
import pytest

from hideseek_backend.errors import LabelError
from hideseek_backend.followup.timepoint import Finding, Timepoint
from hideseek_backend.sins.measure import alignment, body_frames
from hideseek_backend.sins.worksheet import suggest
from hideseek_backend.volumes.volume import FloatArray, Volume
from hideseek_backend.wire.codec import from_plain, to_plain
from hideseek_backend.wire.errors import WireError
from hideseek_backend.wire.records import Candidate
from hideseek_backend.wire.sins import ITEMS, Sheet, location, meaning
from hideseek_lab.dates.worksheet_page import worksheet_page

HEIGHT, DEPTH, WIDTH = 26.0, 32.0, 44.0


def body(z: float, *, forward: float = 0.0, front: float = HEIGHT, back: float = HEIGHT) -> Volume:
    """A box-like body at height z, moved forward, its front and back of given heights (mm)."""
    spacing = np.array([0.9, 0.7, 0.8])
    shape = np.ceil(np.array([60, 60, 50]) / spacing).astype(int)
    affine = np.eye(4)
    affine[:3, :3] = np.diag(spacing)
    affine[:3, 3] = [-30.0, forward - 30.0, z - 25.0]
    index = np.stack(np.meshgrid(*map(np.arange, shape), indexing="ij"), axis=-1)
    x, y, up = np.moveaxis(index * spacing + affine[:3, 3], -1, 0)
    y = y - forward
    half = back / 2 + (front - back) / 2 * (y / DEPTH + 0.5)
    return Volume((abs(x) < WIDTH / 2) & (abs(y) < DEPTH / 2) & (abs(up - z) < half), affine)


def spine(**changed: Volume) -> dict[str, Volume]:
    names = ("T12", "L1", "L2", "L3")
    return {n: changed.get(n, body(100.0 - 34.0 * k)) for k, n in enumerate(names)}


def lesion(centre: tuple[float, float, float], size: tuple[float, float, float], number: int = 1,
           polarity: str = "lytic") -> Finding:  # fmt: skip
    axes = [np.arange(-s / 2 + 0.5, s / 2, 1.0) for s in size]
    places: FloatArray = np.stack(np.meshgrid(*axes, indexing="ij"), -1).reshape(-1, 3) + centre
    found = Candidate("L1", number, polarity, 0.9, True, 0.9, (32,), 9, float(len(places)), 50.0,  # type: ignore[arg-type]
                      centre)  # fmt: skip
    return Finding(found, places, True, np.eye(3))


def date(bodies: dict[str, Volume], *findings: Finding) -> Timepoint:
    return Timepoint(bodies, findings, np.ones(3))


def suggested(bodies: dict[str, Volume], *findings: Finding) -> dict[str, tuple[str, float]]:
    sheet = suggest(date(bodies, *findings), body_frames(bodies), "L1")
    return {s.item: (s.choice, s.value) for s in sheet.suggestions}


def test_a_normal_body() -> None:
    found = suggested(spine())
    assert found["location"][0] == "junctional"
    assert found["alignment"][0] == "normal" and abs(found["alignment"][1]) < 1.0
    assert found["collapse"][0] == "none" and found["lesion"][0] == ""
    assert "pain" not in found  # no image shows it


@pytest.mark.parametrize("forward", [-7.0, 6.0])
def test_a_slipped_body(forward: float) -> None:
    bodies = spine(L1=body(66.0, forward=forward))
    found = alignment(body_frames(bodies), "L1")
    assert found.step_mm == pytest.approx(abs(forward), abs=0.8)
    assert suggested(bodies)["alignment"][0] == "subluxation"


def test_a_wedged_body() -> None:
    bodies = spine(L1=body(66.0, front=15.0))
    angle = np.degrees(np.arctan2(HEIGHT - 15.0, DEPTH))
    found = alignment(body_frames(bodies), "L1")
    assert found.wedge_deg == pytest.approx(angle, abs=1.5)
    assert suggested(bodies)["alignment"][0] == "deformity"
    assert suggested(bodies)["collapse"][0] == "under half"


@pytest.mark.parametrize(
    ("height", "choice"), [(12.0, "over half"), (18.0, "under half"), (25.0, "none")]
)
def test_collapse(height: float, choice: str) -> None:
    found = suggested(spine(L1=body(66.0, front=height, back=height)))["collapse"]
    assert found[0] == choice
    expected = 26.4 / 26.4 * HEIGHT  # by the neighbours: all are of one height here
    assert found[1] == pytest.approx(100 * (1 - height / expected), abs=6.0)


def test_lesions_by_polarity_and_share() -> None:
    small, large = (6.0, 6.0, 6.0), (40.0, 28.0, 20.0)
    middle = (0.0, 0.0, 66.0)
    assert suggested(spine(), lesion(middle, small))["lesion"] == ("lytic", 100.0)
    both = suggested(spine(), lesion(middle, small), lesion(middle, small, 2, "blastic"))
    assert both["lesion"][0] == "mixed"
    assert suggested(spine(), lesion(middle, large))["collapse"][0] == "half involved"


def test_posterolateral_corners() -> None:
    left, right = (-17.0, -11.0, 66.0), (17.0, -11.0, 66.0)  # of the axes: RAS, so x is right
    size = (10.0, 10.0, 20.0)
    assert suggested(spine(), lesion(left, size))["posterolateral"][0] == "one side"
    two = suggested(spine(), lesion(left, size), lesion(right, size, 2))
    assert two["posterolateral"][0] == "both sides"
    assert suggested(spine(), lesion((0.0, 8.0, 66.0), size))["posterolateral"][0] == "none"


def test_no_sum_before_all_is_filled_and_signed() -> None:
    worst = tuple((item, max(choices, key=lambda c: choices[c])) for item, choices in ITEMS.items())
    sheet = Sheet("L1", entries=worst)
    assert sheet.total is None
    assert Sheet("L1", entries=worst, reader="A", signed=False).total is None
    assert Sheet("L1", entries=worst, reader=" ", signed=True).total is None
    part = tuple((item, choice) for item, choice in worst if item != "pain")
    assert Sheet("L1", entries=part, reader="A", signed=True).total is None
    assert Sheet("L1", entries=worst, reader="A", signed=True).total == 18
    assert [meaning(n) for n in (6, 7, 12, 13)] == [
        "stable", "potentially unstable", "potentially unstable", "unstable",
    ]  # fmt: skip


def test_a_sheet_goes_over_the_wire_and_refuses_strange_choices() -> None:
    sheet = suggest(date(spine()), body_frames(spine()), "L1")
    assert from_plain(Sheet, to_plain(sheet)).suggestions == sheet.suggestions
    with pytest.raises(WireError, match="choice"):
        Sheet("L1", entries=(("pain", "a lot"),))


@pytest.mark.parametrize(
    ("level", "choice"),
    [("C2", "junctional"), ("C4", "mobile"), ("C7", "junctional"), ("T2", "junctional"),
     ("T3", "semirigid"), ("T10", "semirigid"), ("T11", "junctional"), ("L1", "junctional"),
     ("L3", "mobile"), ("L5", "junctional")],
)  # fmt: skip
def test_location_by_level(level: str, choice: str) -> None:
    assert location(level) == choice


def test_a_level_without_a_body() -> None:
    with pytest.raises(LabelError, match="T3"):
        suggest(date(spine()), body_frames(spine()), "T3")


def test_the_page_is_empty_of_choices_and_names_the_patent() -> None:
    frames = body_frames(spine())
    when = date(spine(), lesion((0.0, 0.0, 66.0), (6.0, 6.0, 6.0)))
    page = worksheet_page([suggest(when, frames, "L1")], when, frames)
    assert "WO 2024/098147" in page and " checked" not in page
    assert page.count('type="radio"') == sum(map(len, ITEMS.values()))
    assert "http" not in page
