"""Hide-and-Seek scores in closed form."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from oracle import (
    BENIGN,
    BLASTIC,
    LYTIC,
    OracleAutoencoder,
    oracle_classifier,
    oracle_slices,
    region_mask,
)
from scipy.special import expit

from hideseek_backend.attribution.candidates import Candidates
from hideseek_backend.attribution.classifier import logit
from hideseek_backend.attribution.edit import healthy_edit
from hideseek_backend.attribution.network import Network
from hideseek_backend.attribution.options import Options
from hideseek_backend.attribution.scoring import Score, score_candidates, score_steps
from hideseek_backend.progress import Meter

PAPER = Options.for_protocol(
    "reference", invert_steps=3, render_steps=3, residual_against="image", projection="none"
)
TARGET = float(logit(1e-4))


def candidates(n: int = 1) -> Candidates:
    """1 the lytic region, 2 the blastic one, 3 a region without any meaning."""
    labels = np.zeros((64, 64, n), dtype=np.uint16)
    for number, box in enumerate((LYTIC, BLASTIC, BENIGN), start=1):
        labels[region_mask(box)] = number
    return Candidates(labels, ("lytic", "blastic", "lytic"), labels > 0)


def scored(
    *contrasts: tuple[float, float], found: Candidates | None = None, **changes: object
) -> dict[int, Score]:
    options = PAPER.with_changes(**changes)
    network = Network(OracleAutoencoder(), "cpu", options, Meter())
    edit = healthy_edit(network, oracle_classifier(), oracle_slices(*contrasts), options)
    return score_candidates(
        network, oracle_classifier(), edit, found or candidates(len(contrasts)), options
    )


def test_equation_3() -> None:
    """Each lesion alone takes back half of the way in logits; the third region nothing."""
    scores = scored((1, 1))
    only = TARGET + (9 - TARGET) / 2
    p, p_target = expit(9), expit(TARGET)
    expected = (expit(only) - p_target) / (p - p_target)
    assert scores[1].delta == pytest.approx(expected, abs=1e-4)
    assert scores[2].delta == pytest.approx(expected, abs=1e-4)
    assert scores[3].delta == pytest.approx(0, abs=1e-4)
    assert scores[1].p_hide == pytest.approx(expit(only), abs=1e-4)


@pytest.mark.parametrize("against", ["image", "reconstruction"])
def test_logits_share_the_evidence_out(against: str) -> None:
    """Where every candidate adds to the logit by itself, Δ adds up to one."""
    scores = scored((1, 1), delta="logit-floor", residual_against=against)
    assert [scores[n].delta for n in (1, 2, 3)] == pytest.approx([0.5, 0.5, 0], abs=1e-4)


@pytest.mark.parametrize("delta", ["probability", "logit-floor"])
def test_all_shown_at_once_is_one(delta: str) -> None:
    labels = (candidates().labels > 0).astype(np.uint16)
    found = Candidates(labels, ("lytic",), labels > 0)
    assert scored((1, 1), found=found, delta=delta)[1].delta == pytest.approx(1, abs=1e-4)


def test_measured_floor_removes_what_hiding_cannot() -> None:
    """A region that is malignant but no candidate keeps the floor high: eq. 3 credits everyone."""
    labels = candidates().labels
    labels = np.where(labels == 2, 0, labels).astype(np.uint16)  # the blastic one is never hidden
    found = Candidates(labels, ("lytic", "blastic", "lytic"), labels > 0)
    assumed = scored((1, 1), found=found, delta="probability")
    measured = scored((1, 1), found=found, delta="logit-floor")
    assert assumed[3].delta > 0.4
    assert measured[3].delta == pytest.approx(0, abs=1e-4)
    assert measured[1].delta == pytest.approx(1, abs=1e-4)


def test_suspected_pixels_without_number_are_hidden() -> None:
    labels = np.where(candidates().labels == 2, 0, candidates().labels).astype(np.uint16)
    found = Candidates(labels, ("lytic", "blastic", "lytic"), candidates().labels > 0)
    scores = scored((1, 1), found=found)
    assert scores[3].delta == pytest.approx(0, abs=1e-4)


def test_healthy_vertebra_does_not_turn_noise_into_evidence() -> None:
    weak = (0.2, 0.0)
    naive = scored(weak, delta="probability")
    guarded = scored(weak, delta="probability", min_evidence=0.5)
    assert guarded[1].delta < 0.5 * naive[1].delta
    assert guarded[1].delta < 0.5


def test_the_floor_is_the_edit_s_target_whatever_the_rounds() -> None:
    """Eq. 3: a renderer that realises 70 % of a change is asked for more, Δ for no more."""
    options = PAPER.with_changes(edit_rounds=12)
    dae = OracleAutoencoder()
    dae.gain = 0.7
    network = Network(dae, "cpu", options, Meter())
    edit = healthy_edit(network, oracle_classifier(), oracle_slices((1, 1)), options)
    assert oracle_classifier().logit(edit.z_healthy)[0] < TARGET - 1
    scores = score_candidates(network, oracle_classifier(), edit, candidates(), options)
    floor = expit(TARGET)
    expected = (scores[2].p_hide - floor) / (expit(9) - floor)
    assert scores[2].delta == pytest.approx(expected, abs=1e-6)


def test_no_evidence_to_share_is_zero() -> None:
    scores = scored((0, 0), p_target=0.4, delta="logit-floor")
    assert [s.delta for s in scores.values()] == [0, 0, 0]


def test_numerator_and_denominator_are_averaged_by_area_before_the_ratio() -> None:
    """Slice 1 holds a quarter of the area and is healthy: it hardly counts."""
    full = candidates(2)
    labels = full.labels.copy()
    labels[region_mask(LYTIC) & (np.arange(64) >= 24), 1] = 0  # 12 of 48 px are left
    found = Candidates(labels, full.polarities, full.suspected)
    scores = scored((1, 1), (0, 0), found=found, delta="logit-floor", score_slices=0)
    shares, whole = np.array([48, 12]) / 60, np.array([9, -3]) - TARGET
    # In slice 1 a quarter of the region is shown, which brings back a quarter of its half.
    gain = np.array([0.5, 0.25 * 0.5]) * whole
    assert scores[1].delta == pytest.approx((shares @ gain) / (shares @ whole), abs=1e-4)


def test_largest_slices_are_enough_when_asked() -> None:
    found = candidates(3)
    labels = found.labels.copy()
    labels[20:24, :, 0][labels[20:24, :, 0] == 1] = 0
    found = Candidates(labels, found.polarities, labels > 0)
    dae = OracleAutoencoder()
    options = PAPER.with_changes(score_slices=1)
    network = Network(dae, "cpu", options, Meter())
    edit = healthy_edit(
        network, oracle_classifier(), oracle_slices((1, 1), (1, 1), (1, 1)), options
    )
    before = dae.calls["encode"]
    score_candidates(network, oracle_classifier(), edit, found, options, wanted=[1])
    assert dae.calls["encode"] - before == 2  # alone, and without it


def test_only_wanted_are_scored_and_shared_composites_are_made_once() -> None:
    dae = OracleAutoencoder()
    options = PAPER.with_changes(delta="logit-floor")
    network = Network(dae, "cpu", options, Meter())
    edit = healthy_edit(network, oracle_classifier(), oracle_slices((1, 1)), options)
    before = dae.calls["encode"]
    scores = score_candidates(
        network, oracle_classifier(), edit, candidates(), options, wanted=[1, 2]
    )
    assert sorted(scores) == [1, 2]
    assert dae.calls["encode"] - before == 5  # two alone, two without, one with nothing shown


@pytest.mark.parametrize("projection", ["none", "same-noise"])
def test_projections_cost_what_they_say(projection: str) -> None:
    options = PAPER.with_changes(projection=projection)
    dae = OracleAutoencoder()
    network = Network(dae, "cpu", options, Meter())
    edit = healthy_edit(network, oracle_classifier(), oracle_slices((1, 1)), options)
    before = dict(dae.calls)
    score_candidates(network, oracle_classifier(), edit, candidates(), options)
    spent = {name: dae.calls[name] - before[name] for name in before}
    assert (
        spent
        == {
            # Three more are encoded for p_without, whatever the projection.
            "none": {"encode": 6, "invert": 0, "render": 0},
            "same-noise": {"encode": 9, "invert": 3, "render": 3},
        }[projection]
    )
    assert score_steps(candidates().labels, options) >= 3


def test_exact_projection_is_the_identity() -> None:
    """Inverting and rendering under one z returns the composite: the paper's step is a no-op."""
    plain, projected = scored((1, 1)), scored((1, 1), projection="same-noise")
    for n in plain:
        assert projected[n].delta == pytest.approx(plain[n].delta, abs=1e-4)


def test_against_reconstruction_shows_the_reconstruction() -> None:
    options = PAPER.with_changes(residual_against="reconstruction")
    network = Network(OracleAutoencoder(), "cpu", options, Meter())
    edit = healthy_edit(network, oracle_classifier(), oracle_slices((1, 1)), options)
    blank = replace(edit, reconstruction=edit.healthy)
    scores = score_candidates(network, oracle_classifier(), blank, candidates(), options)
    assert scores[1].delta == pytest.approx(0, abs=1e-4)
