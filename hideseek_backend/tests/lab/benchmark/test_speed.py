"""The speed benchmark on a tiny network: what it counts, keeps and reports."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from tiny_model import write_tiny_model

from hideseek_backend.models.store import Model, load_model
from hideseek_backend.phantom import PhantomOptions
from hideseek_lab.benchmark import speed, speed_spine
from hideseek_lab.benchmark.speed import SpeedPlan, reference_size_model, slices_of
from hideseek_lab.benchmark.speed_report import speed_markdown
from hideseek_lab.benchmark.speed_run import Agreement, Timed, run_slice, score_same
from hideseek_lab.cli import benchmark_speed as speed_command

REQUIRED = (
    "seconds_reference", "seconds_fast", "ratio", "delta_abs_p95", "delta_abs_max", "flips",
    "mask_dice", "peak_memory_mb", "device",
)  # fmt: skip


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_tiny_model(tmp_path_factory.mktemp("model") / "tiny")


@pytest.fixture(scope="module")
def model(folder: Path) -> Model:
    return load_model(folder, "cpu")


def plan(folder: Path, **changes: Any) -> SpeedPlan:
    values: dict[str, Any] = {
        "models": (str(folder),),
        "device": "cpu",
        "vertebrae": 2,
        "reference_vertebrae": 1,
        "reference_steps": (4, 2),
        "converged_steps": 4,
        "spine": False,
    }
    return SpeedPlan(**(values | changes))


def test_reports_every_figure_and_goes_on_from_its_cache(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = speed.run(plan(folder), tmp_path)
    figures = first["networks"][str(folder)]
    assert set(REQUIRED) <= set(figures)
    assert figures["ratio"] == figures["seconds_reference"] / figures["seconds_fast"]
    assert (figures["vertebrae_fast"], figures["vertebrae_reference"]) == (2, 1)
    json.dumps(first)
    assert len(list(tmp_path.glob("reference-*.pt"))) == 1
    second = speed.run(plan(folder), tmp_path)["networks"][str(folder)]
    # The reference's time is the kept one: it did not run again.
    assert second["seconds_reference"] == figures["seconds_reference"]
    text = speed_markdown(first)
    assert "times faster" in text
    assert "None" not in text


def test_counts_calls_as_the_reference_makes_them(model: Model) -> None:
    shown = next(slices_of(model, 1))
    options = speed.Options.for_protocol("reference", invert_steps=4, render_steps=2)
    timed = run_slice(model, shown, options, most=3)
    scored = len(timed.scores)
    # p, z, inversion, two renderings, z of the healthy image; then a composite's encode, inversion,
    # rendering, encode.
    assert timed.calls == timed.evaluations == 2 + 4 + 2 * 2 + 1 + scored * (1 + 4 + 2 + 1)
    assert timed.seconds > 0


def test_a_part_of_the_reference_is_told_as_the_whole(model: Model) -> None:
    shown = next(slices_of(model, 1))
    options = speed.Options.for_protocol("reference", invert_steps=4, render_steps=2)
    whole = run_slice(model, shown, options, most=3)
    part = run_slice(
        model, shown, options.with_changes(invert_steps=2, render_steps=1), most=len(whole.scores)
    )
    told = speed._whole(part, (4, 2))
    scored = len(part.scores)
    assert told["calls"] == 3 + 4 + 2 * 2 + scored * (2 + 4 + 2)
    assert told["seconds"] / part.seconds == pytest.approx(told["calls"] / part.calls)


def test_fast_batches_what_the_reference_does_in_turn(model: Model) -> None:
    shown = next(slices_of(model, 1))
    timed = run_slice(model, shown, speed.Options.for_protocol("fast", invert_steps=2))
    assert timed.evaluations > timed.calls


def test_a_run_agrees_with_itself(model: Model) -> None:
    shown = next(slices_of(model, 1))
    options = speed.Options.for_protocol("fast", model.spec.defaults)
    timed = run_slice(model, shown, options)
    agreement = Agreement()
    scores = score_same(model, timed, timed.candidates, options, None)
    agreement.add(timed, timed, scores, options.tau)
    figures = agreement.to_dict()
    assert figures["delta_abs_max"] == 0
    assert (figures["flips"], figures["mask_dice"]) == (0, 1.0)
    assert Agreement().to_dict()["mask_dice"] == 1.0


def test_a_kept_run_is_read_back(model: Model, tmp_path: Path) -> None:
    options = speed.Options.for_protocol("fast", model.spec.defaults)
    timed = run_slice(model, next(slices_of(model, 1)), options)
    timed.save(tmp_path / "run.pt")
    again = Timed.read(tmp_path / "run.pt")
    assert again.figures() == timed.figures()
    assert again.scores == timed.scores
    assert torch.equal(again.healthy, timed.healthy)
    assert (again.kept(0.3) == timed.kept(0.3)).all()


def test_the_reference_size_is_the_published_one() -> None:
    with torch.device("meta"):
        parameters = sum(
            p.numel() for p in speed.DiffusionAutoencoder(speed.DaeConfig()).parameters()
        )
    assert parameters == pytest.approx(90.8e6, rel=1e-3)
    assert "reference-size" in SpeedPlan().models
    assert callable(reference_size_model)


def test_whole_spine(model: Model) -> None:
    options = speed.Options.for_protocol("fast", model.spec.defaults)
    figures = speed_spine.measure_spine(
        model, options, lambda *_: None, phantom=PhantomOptions(levels=("T12", "L1"))
    )
    assert (figures["vertebrae"], figures["threads"]) == (2, torch.get_num_threads())
    assert figures["segment_all_slices"] > 40
    assert figures["segment_all_seconds"] > figures["screen_seconds"] > 0


def test_a_spine_alone_has_a_table_of_its_own(
    model: Model, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen = []

    def measured(_model: object, options: object, *_: object, threads: int) -> dict[str, int]:
        seen.append((options, threads))
        return {"vertebrae": 2, "threads": threads}

    monkeypatch.setattr(speed, "measure_spine", measured)
    plan = SpeedPlan(models=(str(folder),), device="cpu", slices=False, spine_threads=1)
    figures = speed.run(plan)
    assert seen == [(speed.Options.for_protocol("fast", model.spec.defaults), 1)]
    assert figures["networks"] == {}
    text = speed_markdown(figures)
    assert "Whole spine" in text and "Agreement" not in text


def test_the_verb_writes_table_and_json(
    folder: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    import argparse

    parser = argparse.ArgumentParser()
    speed_command.add_arguments(parser)
    out, file = tmp_path / "out", tmp_path / "json" / "speed.json"
    args = parser.parse_args(
        ["--model", str(folder), "--vertebrae", "1", "--reference-vertebrae", "1", "--no-spine",
         "--device", "cpu", "--out", str(out), "--json", str(file)]
    )  # fmt: skip
    real = speed_command.SpeedPlan
    monkeypatch.setattr(
        speed_command,
        "SpeedPlan",
        lambda **values: real(**values, reference_steps=(4, 2), converged_steps=4),
    )
    assert speed_command.main(args) == 0
    assert (out / "speed.md").read_text(encoding="utf-8") == capsys.readouterr().out
    assert str(folder) in json.loads(file.read_text(encoding="utf-8"))["networks"]
