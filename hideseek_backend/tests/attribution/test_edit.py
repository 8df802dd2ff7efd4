"""The healthy edit on an autoencoder whose answers are known."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from oracle import BLASTIC, LYTIC, OracleAutoencoder, oracle_classifier, oracle_slices, region_mask
from torch import Tensor

from hideseek_backend.attribution.classifier import logit
from hideseek_backend.attribution.edit import (
    HealthyEdit,
    edit_steps,
    healthy_edit,
    near_body,
)
from hideseek_backend.attribution.network import Network
from hideseek_backend.attribution.options import Options
from hideseek_backend.progress import Meter, Progress

PAPER = Options.for_protocol("reference", invert_steps=4, render_steps=4)


def edited(images: Tensor, options: Options, gain: float = 1.0, **kwargs: float) -> HealthyEdit:
    dae = OracleAutoencoder()
    dae.gain = gain
    network = Network(dae, "cpu", options, Meter())
    return healthy_edit(network, oracle_classifier(), images, options, **kwargs)


def test_reaches_the_target_and_restores_both_polarities() -> None:
    edit = edited(oracle_slices((1, 1)), PAPER)
    assert edit.logits[0] == pytest.approx(9, abs=1e-4)
    assert edit.realised_logits[0] == pytest.approx(float(logit(1e-4)), abs=1e-3)
    # Along the normal both features share the way to go in proportion to their weight squared.
    move = (9 - float(logit(1e-4))) / 12
    scale = oracle_classifier().scale
    difference = edit.difference(PAPER)[:, :, 0]
    assert difference[region_mask(LYTIC)] == pytest.approx(move * scale[0], abs=1e-5)
    assert difference[region_mask(BLASTIC)] == pytest.approx(-move * scale[1], abs=1e-5)
    assert not difference[~region_mask(LYTIC) & ~region_mask(BLASTIC)].any()


def test_pattern_moves_what_varies_with_the_class() -> None:
    edit = edited(oracle_slices((1, 1)), PAPER.with_changes(direction="pattern"))
    assert edit.realised_logits[0] == pytest.approx(float(logit(1e-4)), abs=1e-3)
    shift = oracle_classifier().scaled(edit.z_healthy) - oracle_classifier().scaled(edit.z)
    np.testing.assert_allclose(shift[0] / shift[0, 1], [-1, 1, 0.2], atol=1e-5)


def test_a_healthy_slice_is_never_made_more_malignant() -> None:
    edit = edited(oracle_slices((0, 0), (1, 1)), PAPER.with_changes(p_target=0.2))
    assert edit.logits[0] < float(logit(0.2))
    torch.testing.assert_close(edit.healthy[0], edit.images[0])
    assert edit.logits[1] > edit.realised_logits[1]


def test_only_what_is_edited_goes_through_the_network() -> None:
    """Against the image itself nothing is rebuilt, and a healthy slice stays what it is."""
    dae, options = OracleAutoencoder(), PAPER.with_changes(p_target=0.2, residual_against="image")
    network = Network(dae, "cpu", options, Meter())
    images = oracle_slices((0, 0), (1, 1), (0, 0))
    edit = healthy_edit(network, oracle_classifier(), images, options)
    alone = healthy_edit(network, oracle_classifier(), images[1:2], options)
    assert torch.equal(edit.healthy[[0, 2]], images[[0, 2]])
    assert torch.equal(edit.healthy[1], alone.healthy[0])
    assert not edit.difference(options)[:, :, [0, 2]].any()
    assert edit.realised_logits[0] == edit.logits[0]
    assert torch.isnan(edit.x_T[[0, 2]]).all() and torch.isfinite(edit.x_T[1]).all()
    none = OracleAutoencoder()
    healthy_edit(Network(none, "cpu", options, Meter()), oracle_classifier(), images[:1], options)
    assert none.calls == {"encode": 1, "invert": 0, "render": 0}


def test_rounds_go_on_until_the_healthy_image_is_healthy() -> None:
    """With a renderer that realises 70 % of each change, rounds close the rest geometrically."""
    images = oracle_slices((1, 1), (1, 0))
    goal = float(logit(1e-4))
    once = edited(images, PAPER, gain=0.7)
    thrice = edited(images, PAPER.with_changes(edit_rounds=3), gain=0.7)
    many = edited(images, PAPER.with_changes(edit_rounds=12), gain=0.7)
    assert (once.realised_logits > goal + 1).all()
    assert (thrice.realised_logits < once.realised_logits - 0.5).all()
    np.testing.assert_allclose(many.realised_logits, goal, atol=0.06)
    # What Δ is measured against stays eq. 1's target, whatever the rounds.
    np.testing.assert_allclose(many.target_logits, goal, atol=1e-3)


def test_only_slices_that_fall_short_are_rendered_again() -> None:
    dae = OracleAutoencoder()
    options = PAPER.with_changes(edit_rounds=5)
    healthy_edit(
        Network(dae, "cpu", options, Meter()), oracle_classifier(), oracle_slices((1, 1)), options
    )
    assert dae.calls == {"encode": 2, "invert": 1, "render": 2}


def test_batches_do_not_matter_and_steps_are_counted() -> None:
    images = oracle_slices((1, 1), (1, 0), (0, 1), (0.3, 0.6), (0, 0))
    seen: list[Progress] = []
    whole = edited(images, PAPER)
    options = PAPER.with_changes(max_batch=2)
    meter = Meter(seen.append, None, "T12")
    meter.phase("edit", 60, edit_steps(5, options))
    network = Network(OracleAutoencoder(), "cpu", options, meter)
    chunked = healthy_edit(network, oracle_classifier(), images, options)
    torch.testing.assert_close(chunked.healthy, whole.healthy)
    done = [p.done for p in seen]
    assert done == sorted(done)
    assert done[-1] == 60


def test_far_from_the_body_the_healthy_image_is_the_original() -> None:
    """What is not this vertebra stays as it is, in whichever round it was painted."""
    body = np.zeros((64, 64, 2), dtype=bool)
    body[12:52, 12:52] = True
    images = oracle_slices((1, 1), (1, 1))

    class Repainting(OracleAutoencoder):
        def render(self, x_T: Tensor, z: Tensor, *args: object, **kwargs: object) -> Tensor:
            return super().render(x_T, z, *args, **kwargs) + 0.01

    options = PAPER.with_changes(residual_against="image", edit_margin=5, edit_rounds=2)
    network = Network(Repainting(), "cpu", options, Meter())
    edit = healthy_edit(network, oracle_classifier(), images, options, body=body)
    difference = edit.difference(options)
    assert np.abs(difference[:3, :3]).max() < 1e-4
    whole = healthy_edit(network, oracle_classifier(), images, options)
    assert np.abs(whole.difference(options)[:3, :3]).min() > 0.009
    np.testing.assert_allclose(
        difference[20:44, 20:44], whole.difference(options)[20:44, 20:44], atol=5e-3
    )
    weights = near_body(body, 5)
    assert weights is not None and near_body(body, 0) is None
    assert weights[0, 0, 30, 30] > 0.99 and weights[0, 0, 30, 52 + 4] == pytest.approx(0.5)
