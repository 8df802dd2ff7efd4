"""Algorithm 1 on slices of one body and of several."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from oracle import oracle_block, oracle_model

from hideseek_backend.attribution.attribute import Stack, attribute
from hideseek_backend.attribution.network import Network
from hideseek_backend.attribution.options import Options
from hideseek_backend.progress import Meter

OPTIONS = Options.for_protocol(
    "reference", invert_steps=2, render_steps=2, projection="none", binarize="hysteresis"
)


def stack(*findings: tuple[str, ...], bodies: tuple[int, ...] = ()) -> Stack:
    """The central slice of one block after another."""
    blocks = [oracle_block(findings=names) for names in findings]
    hu = np.stack([block.ct.data[:, :, 32] for block in blocks], axis=2).astype(np.float32)
    body = np.stack([block.body[:, :, 32] for block in blocks], axis=2)
    images = oracle_model().intensity.to_intensity(np.moveaxis(hu, 2, 0))
    return Stack(torch.from_numpy(images)[:, None], hu, body, bodies=bodies)


def run(slices: Stack, **changes: object):  # type: ignore[no-untyped-def]
    model, options = oracle_model(), OPTIONS.with_changes(**changes)
    network = Network(model.dae, model.device, options, Meter())
    return attribute(network, model.classifier, model.intensity, slices, options)


def test_several_bodies_at_once_are_each_as_alone() -> None:
    findings = (("lytic",), ("lytic", "blastic"))
    together = run(stack(*findings, bodies=(1, 1)))
    first = 0
    for k, names in enumerate(findings):
        alone = run(stack(names))
        numbers = range(first + 1, first + 1 + len(alone.candidates))
        first = numbers[-1]
        for mine, number in zip(alone.scores, numbers, strict=True):
            assert together.scores[number].delta == pytest.approx(alone.scores[mine].delta)
            np.testing.assert_array_equal(
                together.candidates.labels[:, :, k] == number,
                alone.candidates.labels[:, :, 0] == mine,
            )
    assert len(together.candidates) == first


def test_only_the_asked_polarity_is_scored() -> None:
    found = run(stack(("lytic", "blastic")), polarity="blastic")
    assert [found.candidates.polarities[n - 1] for n in found.scores] == ["blastic"]


def test_what_is_lost_without_a_candidate_shows_redundancy() -> None:
    """Two lesions that each convince: both Δ near 1, and p stays high without either."""
    both = run(stack(("lytic", "blastic")), p_target=1e-6)
    for score in both.scores.values():
        assert score.p_without == pytest.approx(score.p_hide, abs=0.02)  # the other one alone
    single = run(stack(("lytic",)))
    only = single.scores[single.candidates.polarities.index("lytic") + 1]
    assert only.p_hide > only.p_without < 0.1
