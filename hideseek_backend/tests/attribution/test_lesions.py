"""From crop labels to the CT's grid, and measures."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from oracle import LYTIC, PSR, oracle_block, region_mask

from hideseek_backend.attribution.candidates import Candidates
from hideseek_backend.attribution.lesions import (
    in_order_of_delta,
    kept_volume,
    labels_in_frame,
    labels_on_block,
    measured_candidates,
    paint_lesions,
)
from hideseek_backend.attribution.scoring import Score
from hideseek_backend.volumes.crops import VertebraBlock, crop_block
from hideseek_backend.volumes.volume import Volume


def one_slice_labels() -> np.ndarray:
    labels = np.zeros((64, 64, 64), dtype=np.uint16)
    labels[region_mask(LYTIC), 32] = 1
    return labels


def thick_block(spacing_mm: float, shift_mm: float) -> VertebraBlock:
    """The oracle's body on sagittal slices of `spacing_mm`, shifted against the crop's slices."""
    count = int(51.2 / spacing_mm)
    affine = PSR.copy()
    affine[0, 2] = spacing_mm
    affine[0, 3] = shift_mm
    body = np.zeros((64, 64, count), dtype=bool)
    body[12:53, 12:53, 1:-1] = True
    hu = np.where(body, 200, 40).astype(np.int16)
    return VertebraBlock("T12", Volume(hu, affine), body.copy(), body)


@pytest.mark.parametrize("spacing", [0.5, 0.8, 1.0, 1.6, 3.0, 5.0])
@pytest.mark.parametrize("shift", [0.0, 0.41, 1.3])
def test_one_slice_never_falls_between_voxels(spacing: float, shift: float) -> None:
    block = thick_block(spacing, shift)
    frame = crop_block(block).frame
    on_block = labels_on_block(one_slice_labels(), frame, block, one_slice=True)
    labelled = np.flatnonzero(on_block.any(axis=(0, 1)))
    # As many planes as fit into 0.8 mm, give or take one, and at least one.
    assert 1 <= len(labelled) <= max(1, int(0.8 / spacing) + 1)
    assert spacing < 0.8 or len(labelled) == 1
    assert (on_block[:, :, labelled[0]] > 0).sum() == 48


def test_only_the_body_is_labelled() -> None:
    block = oracle_block()
    body = block.body.copy()
    body[:24] = False
    block = replace(block, body=body)
    frame = crop_block(oracle_block()).frame
    on_block = labels_on_block(one_slice_labels(), frame, block, one_slice=True)
    assert on_block.any()
    assert not on_block[~body].any()


def test_numbers_follow_delta() -> None:
    labels = np.zeros((64, 64, 1), dtype=np.uint16)
    labels[0, 0], labels[1, 1], labels[2, 2] = 1, 2, 3
    found = Candidates(labels, ("lytic", "blastic", "lytic"), labels > 0)
    scores = {1: Score(0.2, 0.1), 3: Score(0.9, 0.8)}  # 2 was not wanted
    ordered, in_order = in_order_of_delta(found, scores)
    assert (ordered.labels[2, 2, 0], ordered.labels[0, 0, 0], ordered.labels[1, 1, 0]) == (1, 2, 0)
    assert ordered.polarities == ("lytic", "lytic")
    assert [s.delta for s in in_order] == [0.9, 0.2]


def test_measures_of_a_ball() -> None:
    """Volume, centroid and mean HU of a ball of 12 mm within 2 % of the formula."""
    block = oracle_block(findings=())
    p, s, r = np.mgrid[:64, :64, :64]
    ball = (p - 30) ** 2 + (s - 34) ** 2 + (r - 33) ** 2 <= 7.5**2
    hu = block.ct.data.copy()
    hu[ball] = 50
    block = replace(block, ct=Volume(hu, block.ct.affine))
    crop = crop_block(block)
    slices = range(20, 45)
    labels = ball[:, :, list(slices)].astype(np.uint16)
    found = Candidates(labels, ("lytic",), labels > 0)
    on_block = labels_on_block(
        labels_in_frame(labels, slices, crop.frame), crop.frame, block, one_slice=False
    )
    (c,) = measured_candidates(found, [Score(1, 1)], [True], crop, slices, block, on_block)
    assert c.volume_mm3 == pytest.approx(4 / 3 * np.pi * 6**3, rel=0.02)
    np.testing.assert_allclose(c.centroid_ras, (block.ct.affine @ [30, 34, 33, 1])[:3], atol=1e-6)
    assert c.mean_hu == pytest.approx(50)
    assert c.slices == tuple(range(26, 41))
    assert c.area_px == ball[:, :, 33].sum()
    assert kept_volume([c], "lytic") == c.volume_mm3
    assert kept_volume([c], "blastic") == kept_volume([replace(c, kept=False)], "lytic") == 0


def test_painting_keeps_neighbours() -> None:
    """Two blocks overlap in the CT; the second does not wipe out the first one's lesions."""
    lesions = np.zeros((6, 6, 6), dtype=np.uint8)
    block = oracle_block()
    first = np.zeros((4, 4, 4), dtype=np.uint16)
    first[3, 3, 3] = 1
    second = np.zeros((4, 4, 4), dtype=np.uint16)
    second[0, 0, 0], second[3, 3, 3] = 1, 2
    candidate = measured_candidates(
        Candidates(np.ones((64, 64, 1), dtype=np.uint16), ("lytic",), np.ones((64, 64, 1), bool)),
        [Score(1, 1)],
        [True],
        crop_block(block),
        [32],
        block,
        np.zeros((2, 2, 2), dtype=np.uint16),
    )[0]
    paint_lesions(lesions, [candidate], first, (0, 0, 0))
    blastic = replace(candidate, polarity="blastic")
    dropped = replace(candidate, number=2, kept=False)
    paint_lesions(lesions, [blastic, dropped], second, (2, 2, 2))
    assert lesions[3, 3, 3] == 1
    assert lesions[2, 2, 2] == 2
    assert lesions.sum() == 3
