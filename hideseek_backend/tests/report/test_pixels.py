"""Pictures are turned the way a radiologist expects, and outlines lie on their pixels."""

from __future__ import annotations

import base64
import io
import re

import matplotlib.image
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hideseek_backend.report.labels import Anchor, place
from hideseek_backend.report.pixels import (
    BONE,
    Window,
    centre,
    data_uri,
    difference_picture,
    grey_picture,
    outline,
    symmetric_limit,
)


def decode(uri: str) -> np.ndarray:
    """Return the pixels (H, W) or (H, W, 3) in [0, 255] of a data URI, read by another decoder."""
    png = base64.b64decode(uri.removeprefix("data:image/png;base64,"))
    return np.round(matplotlib.image.imread(io.BytesIO(png), format="png") * 255)


def test_png_holds_the_same_pixels() -> None:
    rng = np.random.default_rng(0)
    for shape in ((3, 5), (4, 7, 3)):
        pixels = rng.integers(0, 256, shape, dtype=np.uint8)
        assert np.array_equal(decode(data_uri(pixels)), pixels)


def test_anterior_is_left_and_superior_at_the_top() -> None:
    values = np.full((64, 64), -1000.0)  # (posterior, superior)
    values[60, 62] = 3000.0  # posterior and superior
    shown = decode(grey_picture(values, BONE, scale=1))
    assert np.argwhere(shown == 255).tolist() == [[1, 60]]  # row from the top, column from the left


def test_window_maps_level_to_mid_grey() -> None:
    shown = decode(grey_picture(np.full((4, 4), 350.0), BONE, scale=2))
    assert shown.shape == (8, 8) and np.all(np.abs(shown - 127.5) < 1)
    assert BONE.text == "W 1200 / L 350 HU"
    assert Window(0.5, 1.0, "model intensity").text == "0.00 to 1.00 model intensity"


def test_missing_bone_is_red_and_excess_blue() -> None:
    difference = np.zeros((64, 64))
    difference[10, 10], difference[50, 10] = 400.0, -400.0
    shown = decode(difference_picture(difference, 400.0, scale=1))
    lytic, blastic = shown[53, 10], shown[53, 50]
    assert lytic[0] > lytic[2] + 100 and blastic[2] > blastic[0] + 100
    assert shown[0, 0].max() < 40


def test_limit_is_readable_and_never_below_the_least() -> None:
    body = np.ones((64, 64), dtype=bool)
    assert symmetric_limit(np.zeros((64, 64)), body, 200.0) == 200.0
    assert symmetric_limit(np.full((64, 64), -430.0), body, 200.0) == 450.0
    assert symmetric_limit(np.full((64, 64), 0.31), ~body, 0.1) == pytest.approx(0.35)


def test_outline_surrounds_exactly_its_pixels() -> None:
    mask = np.zeros((64, 64), dtype=bool)
    mask[10:14, 20:22] = True
    numbers = [float(n) for n in re.findall(r"-?\d+\.\d", outline(mask))]
    x, y = numbers[0::2], numbers[1::2]
    assert (min(x), max(x)) == (10.0, 14.0)
    assert (min(y), max(y)) == (42.0, 44.0)  # 64 - 22, 64 - 20
    assert outline(np.zeros((64, 64), dtype=bool)) == ""


def test_outline_reaches_the_border() -> None:
    x = [float(n) for n in re.findall(r"-?\d+\.\d", outline(np.ones((64, 64), dtype=bool)))]
    assert min(x) == 0.0 and max(x) == 64.0


def test_centre_lies_inside_a_ring() -> None:
    p, s = np.mgrid[:64, :64]
    radius = np.hypot(p - 30, s - 30)
    ring = (radius < 20) & (radius > 12)
    x, y = centre(ring)
    assert ring[int(x), 63 - int(y)]


@given(st.lists(st.tuples(st.floats(0, 64), st.floats(0, 64)), max_size=40))
def test_labels_never_overlap_and_stay_in_the_picture(points: list[tuple[float, float]]) -> None:
    placed = place([Anchor(n, x, y) for n, (x, y) in enumerate(points)], 64, 4.0)
    assert sorted(p.anchor.key for p in placed) == list(range(len(points)))
    for side in (True, False):
        heights = sorted(p.y for p in placed if p.left is side)
        gap = min(4.0, 64 / max(1, len(heights)))
        assert all(b - a >= gap - 1e-6 for a, b in zip(heights, heights[1:], strict=False))
        assert all(gap / 2 - 1e-6 <= y <= 64 - gap / 2 + 1e-6 for y in heights)


def test_labels_stay_at_their_height_when_there_is_room() -> None:
    placed = place([Anchor(1, 10, 20), Anchor(2, 50, 20)], 64, 4.0)
    assert [(p.left, p.y) for p in placed] == [(True, 20), (False, 20)]
