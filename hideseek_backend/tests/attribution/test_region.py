"""Δ of what somebody drew, on an autoencoder whose answers are known."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from oracle import BENIGN, BLASTIC, LESION_SLICES, LYTIC, oracle_block, oracle_model, region_mask

from hideseek_backend.attribution.options import Options
from hideseek_backend.attribution.region import ScoredRegion, score_region
from hideseek_backend.attribution.vertebra import analyse_vertebra
from hideseek_backend.errors import InputError
from hideseek_backend.volumes.crops import VertebraBlock

SHARP = {"smooth_sigma": 0.0, "smooth_through": 0.0, "closing": 0, "direction": "normal"}


def options(**changes: Any) -> Options:
    settings = {"invert_steps": 2, "render_steps": 2, **SHARP, **changes}
    return Options.for_protocol("fast", None, **settings)


def drawn(
    block: VertebraBlock, box: tuple[slice, slice], slices: Any = LESION_SLICES
) -> NDArray[np.bool_]:
    region = np.zeros(block.ct.shape, bool)
    region[:, :, list(slices)] = region_mask(box)[:, :, None]
    return region


def nothing(block: VertebraBlock) -> NDArray[np.uint16]:
    return np.zeros(block.ct.shape, np.uint16)


def scored(block: VertebraBlock, region: NDArray[np.bool_], **kwargs: Any) -> ScoredRegion:
    others = kwargs.pop("others", nothing(block))
    return score_region(oracle_model(), block, region, others, options(), **kwargs)


@pytest.mark.parametrize(("box", "polarity"), [(LYTIC, "lytic"), (BLASTIC, "blastic")])
def test_a_drawn_lesion_gets_the_delta_of_the_models_own(box: Any, polarity: str) -> None:
    block = oracle_block()
    found = analyse_vertebra(oracle_model(), block, options(slices="all", polarity="both"))
    assert found.block_labels is not None
    (own,) = [c for c in found.candidates if c.polarity == polarity]
    (other,) = [c for c in found.candidates if c.polarity != polarity]
    others = np.where(found.block_labels == other.number, other.number, 0).astype(np.uint16)
    result = scored(block, drawn(block, box), others=others, number=7)
    assert result.warnings == ()
    mine = result.candidate
    assert (mine.vertebra, mine.number, mine.source) == ("T12", 7, "reader")
    assert mine.polarity == polarity
    assert mine.delta == pytest.approx(own.delta, abs=1e-3)
    assert mine.p_hide == pytest.approx(own.p_hide, abs=1e-3)
    assert mine.volume_mm3 == pytest.approx(own.volume_mm3)
    assert mine.area_px == own.area_px and mine.slices == own.slices
    np.testing.assert_allclose(mine.centroid_ras, own.centroid_ras, atol=1e-3)


def test_what_is_left_visible_takes_part() -> None:
    """Without the other lesion among the others it stays in every picture, and Δ says so."""
    block = oracle_block()
    found = analyse_vertebra(oracle_model(), block, options(slices="all", polarity="both"))
    (lytic,) = [c for c in found.candidates if c.polarity == "lytic"]
    alone = scored(block, drawn(block, LYTIC)).candidate
    assert alone.p_hide > lytic.p_hide + 0.05


def test_a_harmless_region_explains_nothing() -> None:
    block = oracle_block()
    result = scored(block, drawn(block, BENIGN)).candidate
    assert abs(result.delta) < 0.05 and not result.kept


def test_a_region_takes_its_voxels_from_the_others() -> None:
    block = oracle_block()
    region = drawn(block, LYTIC)
    whole = scored(block, region).candidate
    under = scored(block, region, others=region.astype(np.uint16)).candidate
    assert under.delta == pytest.approx(whole.delta)
    assert under.number == 2


def test_hu_and_volume_are_those_of_the_ct() -> None:
    block = oracle_block()
    result = scored(block, drawn(block, LYTIC)).candidate
    assert result.mean_hu == pytest.approx(50.0)
    assert result.volume_mm3 == pytest.approx(48 * 7 * 0.8**3)


def test_regions_that_cannot_be_scored() -> None:
    block = oracle_block()
    with pytest.raises(InputError, match="empty"):
        scored(block, np.zeros(block.ct.shape, bool))
