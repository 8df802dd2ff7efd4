"""A cohort of small spines and a tiny model: proof, faults by name, tables, page, parts."""

from __future__ import annotations

import csv
import json
import os
from pathlib import Path

import numpy as np
import pytest

from hideseek_backend.cli import main
from hideseek_backend.report.output import STAGING_PREFIX
from hideseek_lab.cli import cohort as command
from hideseek_lab.cohort import ledger
from hideseek_lab.cohort.jobs import Job, find_jobs, is_done, part_of, proof


def _manifest(cases: Path, folder: Path) -> Path:
    lines = ["patient,case,ct,vertebrae,bodies,scheme"]
    for patient, name in (("P1", "alpha"), ("P1", "beta"), ("P2", "gamma")):
        files = [str(cases / name / f"{part}.nii.gz") for part in ("ct", "vertebrae", "bodies")]
        lines.append(",".join([patient, name, *files, "verse"]))
    path = folder / "cases.csv"
    path.write_text("\n".join(lines) + "\n")
    return path


def _words(source: Path, run: Path, model: Path, *more: str) -> list[str]:
    return ["cohort", str(source), "--run", str(run), "--model", str(model), *more]


def _states(run: Path) -> dict[str, list[str]]:
    states: dict[str, list[str]] = {}
    for line in ledger.read(sorted(run.glob("ledger*.jsonl"))):
        states.setdefault(line["case"], []).append(line["state"])
    return states


def test_a_broken_scan_fails_by_name_and_a_second_start_does_what_is_missing(
    cases: Path, model: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    source, run = _manifest(cases, tmp_path), tmp_path / "run"
    assert main(_words(source, run, model)) == 1
    assert _states(run) == {"alpha": ["done"], "beta": ["done"], "gamma": ["failed"]}
    for name in ("alpha", "beta"):
        assert (run / "results" / name / "report.html").is_file()
    assert not (run / "results" / "gamma").exists()
    with (run / "cohort.csv").open() as file:
        (row,) = csv.DictReader(file)
    assert row["patient"] == "P1" and row["cases"] == "2" and row["vertebrae"] == "4"
    with (run / "lesions.csv").open() as file:
        lesions = list(csv.DictReader(file))
    parquet = pytest.importorskip("pyarrow.parquet")
    assert parquet.read_table(run / "lesions.parquet").num_rows == len(lesions)
    page = (run / "cohort.html").read_text(encoding="utf-8")
    assert "corrupt or cut short" in page and "refresh" not in page
    assert "Research use only" in page

    # Again: only what failed; then a changed option: all of it.
    capsys.readouterr()
    assert main(_words(source, run, model)) == 1
    assert "0 done, 2 were done before, 1 failed" in capsys.readouterr().out
    assert main(_words(source, run, model, "--tau", "0.9")) == 1
    assert "2 done, 0 were done before" in capsys.readouterr().out
    # A damaged result is made anew.
    (run / "results" / "beta" / "report.json").write_text("{")
    assert main(_words(source, run, model, "--tau", "0.9")) == 1
    assert "1 done, 1 were done before" in capsys.readouterr().out


def test_parts_do_everything_once_and_are_collected(
    cases: Path, model: Path, tmp_path: Path
) -> None:
    source, run = _manifest(cases, tmp_path), tmp_path / "run"
    # What a killed worker left goes once it is old; what another part writes now stays.
    begun = [run / "results" / f"{STAGING_PREFIX}{age}" for age in ("old", "new")]
    for folder in begun:
        folder.mkdir(parents=True)
    os.utime(begun[0], (0, 0))
    for part in ("1/2", "2/2"):
        main(_words(source, run, model, "--part", part))
    assert _states(run) == {"alpha": ["done"], "beta": ["done"], "gamma": ["failed"]}
    assert main(_words(source, run, model, "--collect")) == 0
    assert [folder.exists() for folder in begun] == [False, True]
    page = (run / "cohort.html").read_text(encoding="utf-8")
    assert "Cohort of 3 cases" in page and "gamma" in page
    assert len((run / "cohort.csv").read_text(encoding="utf-8").splitlines()) == 2


def test_a_folder_of_cases_is_a_cohort(cases: Path) -> None:
    jobs = find_jobs(cases)
    assert [job.case for job in jobs] == ["alpha", "beta", "gamma"]
    assert jobs[0].bodies.endswith("bodies.nii.gz")
    parts = [part_of(jobs, i, 2) for i in (1, 2)]
    assert sorted(job.case for part in parts for job in part) == ["alpha", "beta", "gamma"]


def test_a_proof_changes_with_what_it_proves(tmp_path: Path) -> None:
    (tmp_path / "ct").write_bytes(b"a" * 100)
    (tmp_path / "m").write_bytes(b"m")
    job = Job("c", "p", str(tmp_path / "ct"), str(tmp_path / "m"))
    made_of = proof(job, "hash", {"tau": 0.2})
    assert made_of == proof(job, "hash", {"tau": 0.2})
    assert made_of != proof(job, "other", {"tau": 0.2}) != proof(job, "other", {"tau": 0.3})
    (tmp_path / "ct").write_bytes(b"a" * 99 + b"b")
    assert made_of != proof(job, "hash", {"tau": 0.2})
    assert not is_done(tmp_path, made_of)


def test_an_array_job_is_printed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["cohort", "cases.csv", "--run", str(tmp_path), "--print-sbatch", "20"]
    words += ["--queue", "long", "--gpus", "1", "--directive=--account=x", "--memory", "16GB"]
    monkeypatch.setattr(command.sys, "argv", ["hideseek", *words])
    assert main(words) == 0
    said = capsys.readouterr().out
    assert tmp_path.is_dir()  # the jobs' logs go there: without it Slurm ends them at once
    assert "#SBATCH --array=1-20" in said and '--part "$SLURM_ARRAY_TASK_ID/20"' in said
    assert "--print-sbatch" not in said and f"hideseek cohort cases.csv --run {tmp_path}" in said
    for line in ("--partition=long", "--gres=gpu:1", "--account=x", "--mem=16GB"):
        assert f"#SBATCH {line}\n" in said


def test_an_open_port_on_a_cluster_is_refused(
    cases: Path, model: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    pytest.importorskip("dask_jobqueue", reason="needs the extra cohort")
    source = _manifest(cases, tmp_path)
    assert main(_words(source, tmp_path / "run", model, "--cluster", "slurm")) == 2
    assert "run code as you" in capsys.readouterr().err


def test_the_page_shows_what_was_found(cases: Path, model: Path, tmp_path: Path) -> None:
    run = tmp_path / "run"
    main(_words(_manifest(cases, tmp_path), run, model, "--tau", "-10", "--force"))
    page = (run / "cohort.html").read_text(encoding="utf-8")
    assert "Look at these first" in page and "results/alpha/thumbnail.svg" in page
    assert "<svg" in (run / "results" / "alpha" / "thumbnail.svg").read_text(encoding="utf-8")
    assert "Flagged vertebrae by level" in page
    record = json.loads((run / "results" / "alpha" / "cohort.json").read_text(encoding="utf-8"))
    assert record["patient"] == "P1" and record["seconds"] > 0
    assert np.isfinite(record["seconds"])
