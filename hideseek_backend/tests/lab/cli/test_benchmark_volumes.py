"""Whole spines: what the verb prints, writes, and does not compute again."""

from __future__ import annotations

import json
from functools import partial
from pathlib import Path

import pytest
from tiny_model import write_tiny_model

from hideseek_backend.cli import main
from hideseek_backend.phantom import PhantomOptions, full


def test_two_spines_are_scored_and_kept(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    small = PhantomOptions(levels=("L1", "L2"), width_mm=70.0, depth_mm=100.0)
    made: list[int] = []

    def make(seed: int) -> full.Phantom:
        made.append(seed)
        return full.make_phantom(seed, small)

    monkeypatch.setattr("hideseek_backend.phantom.make_phantom", make)
    write_tiny_model(tmp_path / "tiny")
    line = ["benchmark", "volumes", "--model", str(tmp_path / "tiny"), "--cases", "2"]
    line += ["--out", str(tmp_path / "out"), "--json", str(tmp_path / "figures.json")]
    run = partial(main, line)
    assert run() == 0
    first = capsys.readouterr().out
    assert "2 spines, cpu" in first and "MB at most" in first
    assert (tmp_path / "out" / "evaluation.html").is_file()
    figures = json.loads((tmp_path / "figures.json").read_text(encoding="utf-8"))
    assert [case["seed"] for case in figures["cases"]] == made
    assert run() == 0
    assert capsys.readouterr().out == first
    assert len(made) == 2
