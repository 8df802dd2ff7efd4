"""One vertebra from block to result, on an autoencoder whose answers are known."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from oracle import (
    BLASTIC,
    LESION_SLICES,
    LYTIC,
    oracle_block,
    oracle_model,
    region_mask,
)

from hideseek_backend.attribution.options import Options
from hideseek_backend.attribution.results import VertebraResult
from hideseek_backend.attribution.vertebra import (
    analyse_vertebra,
    central_slices,
    screen_vertebrae,
    screened_slices,
    sideways_of,
)
from hideseek_backend.errors import Cancelled
from hideseek_backend.progress import Progress
from hideseek_backend.volumes.crops import VertebraBlock, crop_block
from hideseek_backend.volumes.volume import Volume

VOXEL = 0.8**3
SHARP = {"smooth_sigma": 0.0, "smooth_through": 0.0, "closing": 0, "direction": "normal"}


def options(**changes: Any) -> Options:
    settings = {"invert_steps": 2, "render_steps": 2, **SHARP, **changes}
    return Options.for_protocol("fast", None, **settings)


def analysed(block: VertebraBlock, **changes: Any) -> VertebraResult:
    return analyse_vertebra(oracle_model(), block, options(**changes))


def p_of(blocks: list[VertebraBlock], chosen: Options) -> dict[str, float]:
    return {v.level: v.p_malignant for v in screen_vertebrae(oracle_model(), blocks, chosen)}


def test_central_slice_of_a_mixed_vertebra() -> None:
    block = oracle_block()
    result = analysed(block, polarity="both")
    assert (result.level, result.analysed, result.reason) == ("T12", True, "")
    assert result.p_malignant == pytest.approx(1 / (1 + np.exp(-9)), abs=1e-4)
    assert result.p_healthy_image == pytest.approx(1e-2, rel=0.1)
    assert result.phenotype == "mixed"
    assert [c.number for c in result.candidates] == [1, 2]
    assert {c.polarity for c in result.candidates} == {"lytic", "blastic"}
    assert all(c.kept and c.delta == pytest.approx(0.5, abs=0.01) for c in result.candidates)
    lytic = next(c for c in result.candidates if c.polarity == "lytic")
    assert (lytic.area_px, lytic.slices, lytic.mean_hu) == (48, (32,), 50.0)
    # One slice of the CT: 48 voxels of 0.8 mm; not the lesion's seven slices.
    assert lytic.volume_mm3 == pytest.approx(48 * VOXEL)
    assert result.lytic_volume_mm3 == pytest.approx(48 * VOXEL)
    place = block.ct.affine @ [22.5, 25.5, 32, 1]
    np.testing.assert_allclose(lytic.centroid_ras, place[:3], atol=1e-6)
    assert result.block_labels is not None
    np.testing.assert_array_equal(result.block_labels[:, :, 32] == lytic.number, region_mask(LYTIC))
    assert not result.block_labels[:, :, 31].any()


def test_evidence_is_in_hu_and_has_the_sign_of_its_polarity() -> None:
    (seen,) = analysed(oracle_block()).evidence
    assert seen.k == 32
    assert seen.image[region_mask(LYTIC)] == pytest.approx(50, abs=0.01)
    np.testing.assert_allclose(seen.difference, seen.healthy - seen.image)
    assert (seen.difference[region_mask(LYTIC)] > 100).all()
    assert (seen.difference[region_mask(BLASTIC)] < -300).all()
    assert seen.labels.dtype == np.uint16
    assert seen.body.sum() == 41 * 41


def test_all_slices_give_volumes() -> None:
    result = analysed(oracle_block(), slices="all", polarity="both")
    assert len(result.candidates) == 2
    for c in result.candidates:
        assert c.slices == tuple(LESION_SLICES)
        assert c.volume_mm3 == pytest.approx(c.area_px * 7 * VOXEL)
        assert c.delta == pytest.approx(0.5, abs=0.01)
    assert len(result.evidence) == 41


def test_polarity_choices() -> None:
    only = analysed(oracle_block(), polarity="lytic")
    assert [c.polarity for c in only.candidates] == ["lytic"]
    assert only.candidates[0].delta == pytest.approx(0.5, abs=0.01)  # the other stays hidden
    assert only.phenotype == "lytic"
    blastic = analysed(oracle_block(findings=("blastic",)), polarity="auto", direction="pattern")
    assert blastic.phenotype in ("blastic", "mixed")


def test_a_flag_that_nothing_explains_says_so() -> None:
    unexplained = analysed(oracle_block(), min_area=500)
    assert unexplained.analysed and unexplained.p_malignant > 0.5
    assert unexplained.reason == "flagged, nothing found that explains it"
    assert unexplained.phenotype is None and not any(c.kept for c in unexplained.candidates)
    assert analysed(oracle_block()).reason == ""
    forced = analysed(oracle_block(findings=()), force=True)
    assert (forced.analysed, forced.reason) == (True, "")


def test_below_threshold_and_cut_are_reported_only() -> None:
    healthy = analysed(oracle_block(findings=()))
    assert (healthy.analysed, healthy.reason) == (False, "below p = 0.5")
    assert healthy.p_malignant < 0.1
    assert healthy.p_healthy_image is None
    assert healthy.candidates == ()
    assert healthy.block_labels is None
    cut = analysed(oracle_block(cut=True))
    assert (cut.analysed, cut.reason) == (False, "cut by the field of view")
    assert cut.p_malignant > 0.9


def test_force_analyses_and_says_so() -> None:
    result = analysed(oracle_block(findings=(), cut=True), force=True)
    assert result.analysed
    assert "Analysed although cut by the field of view." in result.warnings
    assert "Analysed although below p = 0.5." in result.warnings
    assert result.lytic_volume_mm3 == result.blastic_volume_mm3 == 0


def test_a_healthy_edit_that_fails_is_told() -> None:
    model = oracle_model(bias=2.0)
    model.dae.gain = 0.4
    result = analyse_vertebra(model, oracle_block(), options(edit_rounds=1))
    assert result.p_healthy_image is not None
    assert result.p_healthy_image > 0.2
    assert any("not realised" in text for text in result.warnings)


def test_padding_is_never_a_candidate() -> None:
    """The lytic region of half the slices is zero padding: air-filled to the eye of a model."""
    block = oracle_block()
    hu = block.ct.data.copy()
    hu[:27, :, :] = -1024
    block = replace(block, ct=Volume(hu, block.ct.affine), cut=True)
    result = analysed(block, slices="all", force=True, polarity="both")
    assert result.block_labels is not None
    assert not result.block_labels[:27].any()
    for seen in result.evidence:
        assert not seen.labels[:26].any()


def test_out_of_body_is_never_a_candidate() -> None:
    block = oracle_block()
    body = block.body.copy()
    body[34:42, 30:38, 32:] = False
    result = analysed(replace(block, body=body), slices="all", polarity="both")
    assert result.block_labels is not None
    assert result.block_labels.any()
    assert not result.block_labels[~body].any()


def test_nothing_measured() -> None:
    block = oracle_block()
    hu = np.full_like(block.ct.data, -1024)
    hu[:3, :3, :3] = 40
    empty = replace(block, ct=Volume(hu, block.ct.affine))
    result = analysed(empty)
    if not np.isnan(result.p_malignant):  # all padding, or an unusual CT of air: never a lesion
        assert result.candidates == ()
    assert not result.analysed


def test_the_ct_is_not_changed() -> None:
    block = oracle_block()
    ct, body = block.ct.data.copy(), block.body.copy()
    block.ct.data.setflags(write=False)
    block.body.setflags(write=False)
    analysed(block, slices="all")
    np.testing.assert_array_equal(block.ct.data, ct)
    np.testing.assert_array_equal(block.body, body)


def test_same_block_same_result() -> None:
    a, b = (analysed(oracle_block()) for _ in range(2))
    assert a.candidates == b.candidates
    assert a.p_malignant == b.p_malignant


def test_progress_rises_to_100_in_stages() -> None:
    seen: list[Progress] = []
    analyse_vertebra(oracle_model(), oracle_block(), options(), progress=seen.append)
    assert [p.done for p in seen] == sorted(p.done for p in seen)
    assert seen[-1] == Progress("volumes", "T12", 100, 100)
    assert list(dict.fromkeys(p.stage for p in seen)) == ["screen", "edit", "score", "volumes"]


@pytest.mark.parametrize("after", [0, 3, 7])
def test_cancel_stops_between_steps(after: int) -> None:
    asked = 0

    def cancelled() -> bool:
        nonlocal asked
        asked += 1
        return asked > after

    with pytest.raises(Cancelled):
        analyse_vertebra(oracle_model(), oracle_block(), options(), cancelled=cancelled)
    assert asked == after + 1


def test_screening_agrees_with_analysis() -> None:
    blocks = [oracle_block(), oracle_block("L1", findings=())]
    found = p_of(blocks, options())
    assert list(found) == ["T12", "L1"]
    for block in blocks:
        assert found[block.level] == pytest.approx(analysed(block).p_malignant, abs=1e-6)


def test_screening_reports_each_vertebra_when_it_is_done() -> None:
    seen: list[Progress] = []
    blocks = [oracle_block(level) for level in ("T11", "T12", "L1", "L2")]
    screen_vertebrae(oracle_model(), blocks, options(p_slices=5), progress=seen.append)
    done = [p.done for p in seen]
    assert done == sorted(done) and {25, 50, 75, 100} <= set(done)


def test_a_p_that_is_no_number_is_not_analysed() -> None:
    model = oracle_model(bias=float("nan"))
    result = analyse_vertebra(model, oracle_block(), options(force=True))
    assert not result.analysed and result.reason == "its p could not be computed"
    assert np.isnan(result.p_malignant)


def test_central_slices_are_the_nearest_with_measured_body() -> None:
    crop = crop_block(oracle_block())
    assert central_slices(crop, 1) == (32,)
    assert central_slices(crop, 5) == (30, 31, 32, 33, 34)
    crop.valid[:, :, 32:] = False
    assert central_slices(crop, 3) == (29, 30, 31)


def test_a_span_spreads_the_screened_slices_over_the_body() -> None:
    crop = crop_block(oracle_block())
    crossing = np.flatnonzero(np.count_nonzero(crop.body, axis=(0, 1)) >= 40)
    first, last = int(crossing[0]), int(crossing[-1])
    assert screened_slices(crop, options(p_slices=5)) == central_slices(crop, 5)
    whole = screened_slices(crop, options(p_slices=5, p_span=1.0))
    assert (len(whole), whole[0], whole[-1]) == (5, first, last)
    half = screened_slices(crop, options(p_slices=5, p_span=0.5))
    assert half[-1] - half[0] == pytest.approx((last - first) / 2, abs=1)
    crop.valid[:] = False
    assert screened_slices(crop, options(p_slices=5, p_span=1.0)) == ()


def test_p_over_the_whole_body_is_the_same_on_screen_and_in_the_analysis() -> None:
    block, spread = oracle_block(), {"p_slices": 9, "p_span": 1.0}
    p = p_of([block], options(**spread))["T12"]
    # Lesions on a part of the slices weigh less than in the middle, where they all are.
    assert p < p_of([block], options())["T12"]
    assert analysed(block, **spread).p_malignant == pytest.approx(p, abs=1e-6)


def test_slices_know_how_far_from_the_middle_they_are() -> None:
    crop = crop_block(oracle_block())
    crossing = np.flatnonzero(np.count_nonzero(crop.body, axis=(0, 1)) >= 40)
    middle = (crossing[0] + crossing[-1]) // 2
    away = sideways_of(crop, [int(crossing[0]), int(middle), int(crossing[-1])])
    assert away[0] == pytest.approx(away[2]) and 0.9 < away[0] < 1 and away[1] < 0.05


def test_candidates_that_stay_at_the_side_are_left_out() -> None:
    block = oracle_block(slices=range(46, 50))  # 14 to 17 of 20 slices off the middle
    everywhere = analysed(block, slices="all", force=True, polarity="both")
    assert {c.polarity for c in everywhere.candidates} == {"lytic", "blastic"}
    near = analysed(block, slices="all", force=True, polarity="both", reach=0.6)
    assert near.candidates == ()
    assert (
        len(analysed(block, slices="all", force=True, polarity="both", reach=0.7).candidates) == 2
    )
