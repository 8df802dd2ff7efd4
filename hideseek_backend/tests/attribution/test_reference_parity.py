"""Candidates and scores against what the method's research code computed from the same images.

Starting from its own latents and images leaves out the solver's rounding, which this random
network amplifies; `tests/models` has the way from the slice to there.
"""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from shared_data import needs_shared, shared_file

from hideseek_backend.attribution.candidates import Candidates, find_candidates
from hideseek_backend.attribution.classifier import LatentClassifier, logit
from hideseek_backend.attribution.edit import HealthyEdit
from hideseek_backend.attribution.network import Network
from hideseek_backend.attribution.options import Options
from hideseek_backend.attribution.scoring import score_candidates
from hideseek_backend.dae import DaeConfig, DiffusionAutoencoder
from hideseek_backend.models.pickles import read_estimator
from hideseek_backend.progress import Meter

# 40 inversion and 20 rendering steps, as the golden numbers were made with.
OPTIONS = Options.for_protocol(
    "reference", None, invert_steps=40, render_steps=20, p_target=1e-5, binarize="median", erode=0
)

pytestmark = needs_shared


@pytest.fixture(scope="module")
def golden() -> dict[str, NDArray[Any]]:
    with np.load(shared_file("reference", "reference_tiny_golden.npz")) as stored:
        return dict(stored)


@pytest.fixture(scope="module")
def classifier() -> LatentClassifier:
    regression = read_estimator(shared_file("reference", "classifier_lr.pkl"), "LogisticRegression")
    scaler = read_estimator(shared_file("reference", "scaler.pkl"), "StandardScaler")
    return LatentClassifier(
        scaler.array("mean_"),
        scaler.array("scale_"),
        regression.array("coef_")[0],
        float(regression.array("intercept_")[0]),
    )


@pytest.fixture(scope="module")
def network() -> Network:
    checkpoint = torch.load(shared_file("reference", "reference_tiny.ckpt"), weights_only=True)
    prefix = "ema_model."
    weights = {
        name[len(prefix) :]: value
        for name, value in checkpoint["state_dict"].items()
        if name.startswith(prefix)
    }
    config = DaeConfig(
        base_channels=32,
        channel_mult=(1, 2, 2),
        encoder_base_channels=32,
        encoder_channel_mult=(1, 2, 2, 2),
    )
    dae = DiffusionAutoencoder(config).eval()
    dae.network.load_state_dict(weights)
    return Network(dae, "cpu", OPTIONS, Meter())


@pytest.fixture(scope="module")
def edit(golden: dict[str, NDArray[Any]], classifier: LatentClassifier) -> HealthyEdit:
    """The research code's own edit."""
    tensors = {name: torch.from_numpy(golden[name]) for name in ("x", "x_T", "recon", "healthy")}
    z, z_healthy = (torch.from_numpy(golden[name]) for name in ("z", "z_healthy"))
    return HealthyEdit(
        tensors["x"],
        tensors["x_T"],
        tensors["recon"],
        tensors["healthy"],
        z,
        z_healthy,
        classifier.logit(z),
        classifier.logit(z_healthy),
        classifier.logit(z_healthy),
    )


@pytest.fixture(scope="module")
def found(golden: dict[str, NDArray[Any]], edit: HealthyEdit) -> Candidates:
    body = golden["mask"][0, 0].astype(bool)[:, :, None]
    return find_candidates(edit.difference(OPTIONS), body, OPTIONS)


def test_equation_1(
    golden: dict[str, NDArray[Any]], edit: HealthyEdit, classifier: LatentClassifier
) -> None:
    stored = json.loads(
        shared_file("reference", "reference_tiny_golden.json").read_text(encoding="utf-8")
    )
    assert classifier.probability(edit.z)[0] == pytest.approx(stored["p_before"], abs=1e-6)
    assert classifier.probability(edit.z_healthy)[0] == pytest.approx(1e-5, rel=1e-5)
    change = float(logit(OPTIONS.p_target)) - edit.logits
    moved = classifier.move(edit.z, change, OPTIONS.direction)
    np.testing.assert_allclose(moved, golden["z_healthy"], atol=1e-6)


def test_masks(found: Candidates, golden: dict[str, NDArray[Any]]) -> None:
    stored = json.loads(
        shared_file("reference", "reference_tiny_golden.json").read_text(encoding="utf-8")
    )
    both = (golden["mask_lytic"] | golden["mask_blastic"])[0, 0]
    np.testing.assert_array_equal(found.suspected[:, :, 0], both)
    assert _key(found) == sorted(
        (c["polarity"], c["size"], round(c["centroid"][0], 3), round(c["centroid"][1], 3))
        for c in stored["candidates"]
    )
    for polarity in ("lytic", "blastic"):
        numbers = [n for n, kind in enumerate(found.polarities, 1) if kind == polarity]
        mine = np.isin(found.labels[:, :, 0], numbers)
        assert not (mine & ~golden[f"mask_{polarity}"][0, 0]).any()


def test_scores(
    golden: dict[str, NDArray[Any]],
    network: Network,
    classifier: LatentClassifier,
    edit: HealthyEdit,
    found: Candidates,
) -> None:
    """Two candidates; each costs an inversion and a rendering."""
    stored = json.loads(
        shared_file("reference", "reference_tiny_golden.json").read_text(encoding="utf-8")
    )
    largest = np.argsort(-np.bincount(found.labels.ravel())[1:])[:2] + 1
    scores = score_candidates(
        network, classifier, edit, found, OPTIONS, wanted=[int(n) for n in largest]
    )
    for number, score in scores.items():
        centroid = np.argwhere(found.labels[:, :, 0] == number).mean(axis=0)
        expected = min(
            stored["candidates"], key=lambda c: float(np.abs(c["centroid"] - centroid).sum())
        )
        assert score.delta == pytest.approx(expected["delta"], abs=2e-4)


def _key(found: Candidates) -> list[tuple[str, int, float, float]]:
    keys = []
    for number, polarity in enumerate(found.polarities, 1):
        pixels = np.argwhere(found.labels[:, :, 0] == number)
        p, s = pixels.mean(axis=0)
        keys.append((polarity, len(pixels), round(float(p), 3), round(float(s), 3)))
    return sorted(keys)
