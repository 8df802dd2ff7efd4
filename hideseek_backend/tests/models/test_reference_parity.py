"""Imported reference weights against what the reference code computed with them."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from shared_data import needs_shared, shared_file
from torch_threads import torch_threads

from hideseek_backend.attribution.candidates import find_candidates
from hideseek_backend.attribution.edit import HealthyEdit, healthy_edit
from hideseek_backend.attribution.network import Network
from hideseek_backend.attribution.options import Options
from hideseek_backend.attribution.scoring import score_candidates
from hideseek_backend.models.reference_import import import_reference
from hideseek_backend.models.store import Model, load_model
from hideseek_backend.progress import Meter

pytestmark = needs_shared

# The golden numbers' settings: 40 and 20 steps, the notebook's target and threshold, no erosion.
OPTIONS = Options.for_protocol(
    "reference", None, invert_steps=40, render_steps=20, p_target=1e-5, binarize="median", erode=0
)
IMAGES = ("z", "x_T", "reconstruction", "z_healthy", "healthy")


@pytest.fixture(scope="module", autouse=True)
def two_threads() -> Iterator[None]:
    """The golden numbers were computed on several threads: sums then split where they did."""
    with torch_threads(2):
        yield


@pytest.fixture(scope="module")
def golden() -> dict[str, NDArray[Any]]:
    with np.load(shared_file("reference", "reference_tiny_golden.npz")) as stored:
        return dict(stored) | {"reconstruction": stored["recon"]}


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Model:
    folder = tmp_path_factory.mktemp("model") / "tiny"
    files = [
        shared_file("reference", name)
        for name in ("reference_tiny.ckpt", "classifier_lr.pkl", "scaler.pkl")
    ]
    import_reference(*files, folder)
    return load_model(folder, "cpu")


@pytest.fixture(scope="module")
def network(model: Model) -> Network:
    return Network(model.dae, "cpu", OPTIONS, Meter())


@pytest.fixture(scope="module")
def edit(golden: dict[str, NDArray[Any]], model: Model, network: Network) -> HealthyEdit:
    return healthy_edit(network, model.classifier, torch.from_numpy(golden["x"]), OPTIONS)


@pytest.fixture(scope="module")
def rounds_alike(edit: HealthyEdit, golden: dict[str, NDArray[Any]]) -> bool:
    """Whether this machine's kernels round as those that made the golden numbers.

    This random network turns a change of 1e-7 in x_T into one of 3e-4 in an image, so that 1e-4
    can only be asked for where they do.
    """
    return bool((edit.x_T.numpy() == golden["x_T"]).all())


@pytest.mark.parametrize("name", IMAGES)
def test_latents_and_images(
    name: str, edit: HealthyEdit, golden: dict[str, NDArray[Any]], rounds_alike: bool
) -> None:
    error = np.abs(getattr(edit, name).numpy() - golden[name])
    assert error.max() <= (1e-4 if rounds_alike else 1e-3)
    assert error.mean() <= 2e-5


def test_masks_and_scores(
    edit: HealthyEdit,
    golden: dict[str, NDArray[Any]],
    model: Model,
    network: Network,
    rounds_alike: bool,
) -> None:
    """Every candidate is there; Δ of two of them (all 32 take two minutes)."""
    stored = json.loads(
        shared_file("reference", "reference_tiny_golden.json").read_text(encoding="utf-8")
    )
    body = golden["mask"][0, 0].astype(bool)[:, :, None]
    found = find_candidates(edit.difference(OPTIONS), body, OPTIONS)
    both = (golden["mask_lytic"] | golden["mask_blastic"])[0, 0]
    np.testing.assert_array_equal(found.suspected[:, :, 0], both)
    by_centroid = {
        (c["polarity"], *np.round(c["centroid"], 3)): c["delta"] for c in stored["candidates"]
    }
    mine = {}
    for number, polarity in enumerate(found.polarities, start=1):
        centroid = np.argwhere(found.labels[:, :, 0] == number).mean(axis=0)
        mine[number] = by_centroid[(polarity, *np.round(centroid, 3))]
    assert len(mine) == len(by_centroid) == 32
    wanted = sorted(mine)[:2]
    scores = score_candidates(network, model.classifier, edit, found, OPTIONS, wanted=wanted)
    for number in wanted:
        tolerance = 1e-3 if rounds_alike else 1e-2
        assert scores[number].delta == pytest.approx(mine[number], abs=tolerance)


def test_only_the_averaged_weights_are_taken(model: Model) -> None:
    path = shared_file("reference", "reference_tiny.ckpt")
    state = torch.load(path, map_location="cpu", weights_only=True)["state_dict"]
    weights = model.dae.network.state_dict()
    assert {f"ema_model.{name}" for name in weights} == {k for k in state if k[:4] == "ema_"}
    for name, value in weights.items():
        assert torch.equal(value, state[f"ema_model.{name}"])


def test_half_precision_is_close(
    tmp_path: Path, edit: HealthyEdit, golden: dict[str, NDArray[Any]]
) -> None:
    files = [
        shared_file("reference", name)
        for name in ("reference_tiny.ckpt", "classifier_lr.pkl", "scaler.pkl")
    ]
    spec = import_reference(*files, tmp_path / "half", half=True)
    assert spec.weights_dtype == "float16"
    half = load_model(tmp_path / "half", "cpu")
    z = half.dae.encode(torch.from_numpy(golden["x"]))
    np.testing.assert_allclose(z.numpy(), golden["z"], atol=5e-3)
