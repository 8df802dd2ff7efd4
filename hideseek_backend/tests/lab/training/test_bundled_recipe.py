"""The shipped weights, the card beside them and the preset of that name tell one story."""

from __future__ import annotations

import json
import re
from dataclasses import asdict, fields
from pathlib import Path
from typing import Any

import pytest

from hideseek_backend.attribution.options import Options
from hideseek_backend.models.places import CARD_FILE, bundled_folder
from hideseek_lab.training.card import model_card
from hideseek_lab.training.presets import BUNDLED, BUNDLED_DEFAULTS

FOLDER: Path = bundled_folder()


@pytest.fixture(name="spec", scope="module")
def shipped_spec() -> dict[str, Any]:
    loaded: dict[str, Any] = json.loads((FOLDER / "spec.json").read_text(encoding="utf-8"))
    return loaded


def plain(value: Any) -> Any:
    return json.loads(json.dumps(value))


def test_the_card_is_what_the_training_record_says(spec: dict[str, Any]) -> None:
    text = (FOLDER / CARD_FILE).read_text(encoding="utf-8")
    words, _, figures = text.partition("```json")
    made, _, _ = model_card("bundled", spec["training"]).partition("```json")
    assert words == made
    # The record keeps its keys in another order.
    assert json.loads(figures.rpartition("```")[0]) == spec["training"]["validation"]


def test_the_preset_makes_a_model_of_this_kind(spec: dict[str, Any]) -> None:
    """Network, intensities, augmentation, labels and settings; how long it ran is told apart."""
    assert spec["architecture"] == plain(asdict(BUNDLED.train.architecture))
    assert spec["intensity"] == BUNDLED.intensity
    for name, value in BUNDLED_DEFAULTS.items():
        assert spec["defaults"]["fast"][name] == value, name
    ran = spec["training"]["config"]
    preset = plain(asdict(BUNDLED.train))
    for name in ("augmentation", "batch", "bag", "label_weight", "label_images"):
        assert ran[name] == preset[name], name


def test_the_model_stores_every_setting(spec: dict[str, Any]) -> None:
    """Not only what differs from the code's defaults: those may change, the model may not."""
    settings = {field.name for field in fields(Options)} - {"protocol", "force"}
    assert set(spec["defaults"]["fast"]) == settings


def test_the_card_says_where_the_shipped_run_is_not_the_presets(spec: dict[str, Any]) -> None:
    """A fresh `train --preset bundled` starts from nothing: the card tells what these did."""
    record = spec["training"]
    card = (FOLDER / CARD_FILE).read_text(encoding="utf-8")
    assert re.search(rf"{record['steps']}\s+steps of {record['config']['batch']}", card)
    preset = BUNDLED.train
    ran = (record["steps"], record["config"]["encoder_steps"])
    if ran != (preset.steps, preset.encoder_steps):
        assert record["history"] in card
        assert "Starts from" in record["history"], "which weights came before"
        for steps in ran:
            assert f"{steps:,}" in record["history"], "how many steps, and how many of the encoder"
