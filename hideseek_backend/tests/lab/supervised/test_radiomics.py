"""mirp against pyradiomics 3.0.1 on one region, and agreement by family.

The figures were printed by pyradiomics (numpy 2.2, bin width 25, 0.8 × 0.8 × 1.5 mm) for the
region that `region` makes.
"""

from __future__ import annotations

import math

import numpy as np
import pytest

from hideseek_backend.errors import InputError
from hideseek_lab.supervised.clinical.radiomics import (
    FAMILIES,
    agreement,
    features,
    region_pairs,
)

pytest.importorskip("mirp", reason="the extra 'radiomics' is not installed")

SPACING = (0.8, 0.8, 1.5)
PYRADIOMICS = {
    "stat_mean": 225.99543899657925,
    "stat_var": 1857.1858400866436,
    "stat_skew": 0.005136003567184249,
    "stat_kurt": 2.4927540720383345 - 3,  # pyradiomics does not take 3 off
    "stat_rmad": 25.832559885072317,
    "cm_contrast": 2.1625751146702465,
    "cm_joint_entr": 5.165815458001308,
    "cm_corr": 0.6133824957099954,
    "cm_info_corr1": -0.1391921948522966,
    "ngl_hde": 52.115165336374005,
    "ngl_dc_entr": 6.0772077369745325,
    "rlm_sre": 0.8326624611222339,
    "rlm_rl_entr": 3.7648794157322722,
    "rlm_r_perc": 0.7840540303482152,
    "szm_zs_entr": 4.236368983644944,
    "szm_lzhge": 140730.2962962963,
    "ngt_coarseness": 0.00896160498736145,
    "ngt_busyness": 2.176063650001301,
    "ngt_complexity": 34.102108788888,
}


def region() -> tuple[np.ndarray, np.ndarray]:
    """HU (20, 18, 14) and an ellipsoid of 877 voxels in it."""
    z, y, x = np.mgrid[:14, :18, :20]
    hu = 100 + 10 * x + 6 * y - 4 * z + ((7 * x + 11 * y * y + 13 * z * x) % 81) - 40
    inside = ((z - 7) / 5) ** 2 + ((y - 9) / 6) ** 2 + ((x - 10) / 7) ** 2 <= 1
    return hu.transpose().astype(np.float32), inside.transpose()


def test_features_are_those_of_pyradiomics() -> None:
    hu, inside = region()
    # pyradiomics begins its bins below the region's least value
    lowest = float(np.floor(hu[inside].min() / 25) * 25)
    found = features(hu, inside, SPACING, lowest_hu=lowest)
    for name, value in PYRADIOMICS.items():
        # mirp sums first-order moments in float32
        assert found[name] == pytest.approx(value, rel=1e-4 if "stat" in name else 1e-9), name
    assert {name.partition("_")[0] for name in found} == set(FAMILIES)
    assert not [name for name in found if "fbs" in name or "3d" in name]


def test_a_speck_has_no_texture() -> None:
    hu, inside = region()
    inside[:] = False
    inside[3, 3, 3] = True
    with pytest.raises(InputError, match="at least 10 voxels"):
        features(hu, inside, SPACING)


def test_agreement_is_the_icc_of_each_feature() -> None:
    truth = [{"stat_mean": 1.0, "cm_contrast": 5.0}, {"stat_mean": 3.0, "cm_contrast": 5.0}]
    truth.append({"stat_mean": 8.0, "cm_contrast": 5.0})
    (first,) = agreement(truth, truth)  # contrast does not vary: no ICC
    assert first.family == "First order" and first.icc.value == 1.0 and first.features == 1
    shifted = [{**t, "stat_mean": t["stat_mean"] + 4} for t in truth]
    (other,) = agreement(truth, shifted)
    # two raters, shift 4: MSR 26, MSC 24, MSE 0 by hand, so 26 / (26 + 2 * 24 / 3)
    assert other.icc.value == pytest.approx(26 / (26 + 16))
    assert agreement(truth[:1], truth[:1]) == []


def test_pairs_of_regions() -> None:
    hu, inside = region()
    truth, predicted = inside.astype(np.int32), np.zeros(inside.shape, np.int32)
    predicted[inside & (np.arange(20)[:, None, None] > 6)] = 1
    true_features, predicted_features = region_pairs(hu, truth, predicted, [(1, 1)], SPACING)
    assert true_features[0]["stat_mean"] == pytest.approx(225.99543899657925, rel=1e-5)
    assert predicted_features[0]["stat_mean"] > true_features[0]["stat_mean"]
    assert all(math.isfinite(v) for v in true_features[0].values())
