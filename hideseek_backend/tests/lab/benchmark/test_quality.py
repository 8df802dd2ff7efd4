"""The quality benchmark, ablations and tuning, each in small on drawn vertebrae."""

from __future__ import annotations

import argparse
import json
import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from hideseek_backend.attribution.options import Options
from hideseek_backend.errors import InputError, OptionError
from hideseek_lab.benchmark import quality, tune
from hideseek_lab.benchmark.ablation_report import ablation_files, ablation_text
from hideseek_lab.benchmark.ablations import ablate
from hideseek_lab.benchmark.baselines.training import TrainingPlan
from hideseek_lab.benchmark.dataset import MIDDLE, SliceSet, Split
from hideseek_lab.benchmark.inserted import parse_real
from hideseek_lab.benchmark.methods import best_on, otsu_methods, remembered
from hideseek_lab.benchmark.quality import QualityPlan, run_quality
from hideseek_lab.benchmark.quality_report import quality_files, quality_json
from hideseek_lab.benchmark.table import MERGED, make_row, score_labels
from hideseek_lab.benchmark.tune import Goal, search
from hideseek_lab.cli import benchmark_quality as quality_command

from .conftest import drawn_set
from .fake_model import fake_model
from .test_ours import OPTIONS

pytest.importorskip("panoptica")
pytest.importorskip("monai")


@pytest.fixture
def bench(monkeypatch: pytest.MonkeyPatch) -> None:
    """Drawn vertebrae instead of phantoms and the known model instead of a trained one."""

    def split(name: str, malignant: int, healthy: int, *_: Any, **__: Any) -> Split:
        vertebrae = drawn_set(24, seed=len(name))
        chosen = np.concatenate(
            [
                np.flatnonzero(vertebrae.malignant)[:malignant],
                np.flatnonzero(~vertebrae.malignant)[:healthy],
            ]
        )
        return Split(name, vertebrae.take(chosen), 1)

    monkeypatch.setattr(quality, "load_split", split)
    monkeypatch.setattr(quality, "load_seeds", lambda name, count, *_: drawn_set(count))
    monkeypatch.setattr(quality._Run, "model", property(lambda _: fake_model()))
    monkeypatch.setattr(
        quality._Run,
        "options",
        lambda _, group: OPTIONS.with_changes(polarity="both" if group == "paper" else "auto"),
    )


PLAN = QualityPlan(
    malignant=6,
    healthy=2,
    validation=3,
    resnet=TrainingPlan(vertebrae=8, steps=1, batch=4),
    unet=TrainingPlan(vertebrae=8, steps=1, batch=4),
)


def file_times(folder: Path) -> dict[Path, int]:
    return {path: path.stat().st_mtime_ns for path in folder.rglob("*") if path.is_file()}


@pytest.mark.usefixtures("bench")
def test_benchmark_runs_every_method_and_resumes(tmp_path: Path) -> None:
    result = run_quality(PLAN, tmp_path)
    keys = [row.key for row in result.rows]
    assert keys == [
        "hideseek", "hideseek-forced", "hideseek-known", "hideseek-paper", "hideseek-paper-forced",
        "otsu", "otsu-multi", "gradcam", "gradcam++", "layercam", "eigencam", "unet",
    ]  # fmt: skip
    assert set(result.skipped) == {"anomaly", "inserted lesions"}
    table = quality_json(result.rows)
    assert table["hideseek"]["mixed"]["n"] == 2
    mean, sd = table["hideseek"]["blastic"]["rq"]
    assert mean == 1.0
    assert sd == 0.0
    assert result.facts["classifier"]["auc"] == 1.0
    assert result.facts["best"]["phenotype_accuracy"] == 1.0
    forced = next(row for row in result.rows if row.key == "hideseek-forced")
    assert forced.false is not None
    assert forced.false.median_mm3 == 0.0
    files = quality_files(result)
    assert set(files) >= {"quality.html", "details.json", "quality.md", "examples.png"}
    details = json.loads(str(files["details.json"]))
    assert details["vertebrae"]["excluded_malignant_not_crossing"] == 1
    # a second run takes everything from the cache
    stamps = {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*") if path.is_file()}
    again = run_quality(PLAN, tmp_path)
    assert {
        path: path.stat().st_mtime_ns for path in tmp_path.rglob("*") if path.is_file()
    } == stamps
    assert quality_json(again.rows) == table


@pytest.mark.usefixtures("bench")
def test_verb_writes_the_page_and_the_table(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    parser = argparse.ArgumentParser()
    quality_command.add_arguments(parser)
    args = parser.parse_args(
        ["--out", str(tmp_path / "q"), "--json", str(tmp_path / "table.json"), "--malignant", "6",
         "--healthy", "2", "--methods", "otsu", "best"]
    )  # fmt: skip
    assert quality_command.main(args) == 0
    assert "| Otsu " in capsys.readouterr().out
    table = json.loads((tmp_path / "table.json").read_text(encoding="utf-8"))
    assert set(table) == {"otsu", "otsu-multi", "hideseek", "hideseek-forced", "hideseek-known"}
    assert (
        (tmp_path / "q" / "quality.html").read_text(encoding="utf-8").startswith("<!doctype html>")
    )
    for wrong in (["--reference-steps", "250"], ["--malignant", "0"], ["--methods", "magic"]):
        with pytest.raises(SystemExit):
            parser.parse_args(wrong)


def test_mixed_slices_are_matched_within_polarity_and_merged(vertebrae: SliceSet) -> None:
    truth = vertebrae.truth[:, MIDDLE]
    swapped = np.choose(truth, [0, 2, 1]).astype(np.uint8)
    row = make_row("swapped", "", score_labels(vertebrae, swapped))
    assert row.summary["mixed"]["rq"].mean == 0.0
    assert row.summary[MERGED]["rq"].mean == 1.0
    undecided = np.where(truth > 0, 3, 0).astype(np.uint8)
    row = make_row("undecided", "", score_labels(vertebrae, undecided))
    assert row.summary["mixed"]["rq"].mean == 1.0  # judged with the polarity forgotten
    assert row.summary["lytic"]["sq"].mean == 1.0


def test_unknown_phenotype_makes_a_wrong_polarity_false(vertebrae: SliceSet) -> None:
    labels = vertebrae.truth[:, MIDDLE].copy()
    labels[:, 20:23, 40:43] = 1
    told = make_row("", "", score_labels(vertebrae, labels))
    found = make_row("", "", score_labels(vertebrae, labels, known_phenotype=False))
    assert told.summary["blastic"]["precision"].mean == 1.0
    assert found.summary["blastic"]["precision"].mean == 0.5
    assert found.false is not None
    assert found.false.clean == 0.0


def test_choices_are_made_by_mean_pq(vertebrae: SliceSet, tmp_path: Path) -> None:
    truth = vertebrae.truth[:, MIDDLE]
    choices = {"none": np.zeros_like(truth), "all": truth}
    predictors = {k: lambda _, v=v: v for k, v in choices.items()}
    assert best_on(vertebrae, "any", predictors, tmp_path) == "all"
    assert len(list(tmp_path.iterdir())) == 2
    method = otsu_methods()[0]
    labels = remembered(method, vertebrae, tmp_path)
    np.testing.assert_array_equal(labels, remembered(method, vertebrae, tmp_path))
    assert len(list(tmp_path.iterdir())) == 3


def test_ablations_keep_their_figures(vertebrae: SliceSet, tmp_path: Path) -> None:
    sweeps = {
        "τ": {"0.3": {"tau": 0.3}, "1.5": {"tau": 1.5}},
        "Δ": {"paper": {"delta": "probability"}},
    }
    result = ablate(fake_model(), vertebrae, OPTIONS, tmp_path, sweeps=sweeps)
    by_label = {variant.label: variant for variant in result.variants}
    assert by_label["0.3"].mean_pq > 0.9
    assert by_label["1.5"].mean_pq == 0.0
    assert math.isnan(by_label["0.3"].auc["lytic"])  # no false candidate to tell apart
    files = ablation_files(result)
    assert "ablations.html" in files
    assert "PQ" in ablation_text(result)
    assert set(result.projections) >= {"slice", "projected, same noise"}
    again = ablate(fake_model(), vertebrae, OPTIONS, tmp_path, sweeps=sweeps)
    assert [v.mean_pq for v in again.variants] == [v.mean_pq for v in result.variants]


def test_tuning_resumes_and_prefers_what_is_allowed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tune, "TAUS", (0.3, 0.5))
    monkeypatch.setattr(tune, "MIXED_FRACTIONS", (0.2,))
    vertebrae = drawn_set(4)
    space = {"min_area": (5, 60), "closing": (0, 1)}
    log = tmp_path / "trials.jsonl"
    poor = OPTIONS.with_changes(min_area=60)
    three = search(fake_model(), vertebrae, poor, 3, log, space=space)
    assert three[0].changes.keys() == {"tau", "mixed_fraction"}
    five = search(fake_model(), vertebrae, poor, 5, log, space=space)
    assert [trial.changes for trial in five[:3]] == [trial.changes for trial in three]
    fresh = search(fake_model(), vertebrae, poor, 5, tmp_path / "b.jsonl", space=space)
    assert [trial.changes for trial in fresh] == [trial.changes for trial in five]
    best = max(five, key=lambda trial: trial.order)
    assert best.score >= five[0].score
    strict = search(
        fake_model(), vertebrae, poor, 1, tmp_path / "c.jsonl", goal=Goal(min_clean=1.1)
    )
    assert not strict[0].allowed


def test_real_cases_and_plans_are_checked() -> None:
    case = parse_real("ct.nii.gz,vert.nii.gz,L1+L2,bodies.nii.gz")
    assert case.levels == ("L1", "L2")
    assert case.bodies == Path("bodies.nii.gz")
    with pytest.raises(InputError, match="Expected CT"):
        parse_real("ct.nii.gz")
    with pytest.raises(OptionError, match="Unknown methods magic"):
        QualityPlan(groups=("magic",))
    assert Options.for_protocol("reference").invert_steps == QualityPlan().reference_steps[0]
