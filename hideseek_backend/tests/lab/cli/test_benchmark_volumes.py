"""Whole spines: what the verb prints, writes, and does not compute again."""

from __future__ import annotations

import json
import math
from functools import partial
from pathlib import Path
from types import SimpleNamespace

import pytest
from tiny_model import write_tiny_model

from hideseek_backend.cli import main
from hideseek_backend.phantom import PhantomOptions, full
from hideseek_lab.cli.benchmark_volumes import difference_lines


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
    assert main([*line, "--against", "invert_steps=3", "--against", "render_steps=3"]) == 0
    against = capsys.readouterr().out
    assert first.strip() in against and len(made) == 4  # the spines as they ship are not made anew
    assert "This less invert_steps=3, render_steps=3, the same vertebrae" in against
    assert "Panoptic Dice (PQ)" in against.partition("This less")[2]
    assert main([*line, "--against", "no_such=1"]) == 2
    assert "no_such" in capsys.readouterr().err


def test_differences_are_of_the_same_vertebrae() -> None:
    def evaluated(pq: dict[tuple[str, str], float]) -> SimpleNamespace:
        return SimpleNamespace(units=[
            SimpleNamespace(case=case, name=name, scores=SimpleNamespace(
                values={"pq": value, "rq": 1.0, "sq": value, "recall": 0.5}))
            for (case, name), value in pq.items()
        ])  # fmt: skip

    one = evaluated({("a", "L1"): 0.7, ("a", "L2"): 0.5, ("b", "L1"): 0.6, ("b", "L2"): math.nan})
    other = evaluated({("b", "L1"): 0.5, ("b", "L2"): 0.1, ("a", "L2"): 0.6, ("a", "L1"): 0.5})
    line, *rest = difference_lines(one, other)  # type: ignore[arg-type]
    # +.2 and -.1 of spine a, +.1 of spine b; spines are drawn as wholes.
    assert line.split()[4:] == ["+0.067", "(+0.050", "to", "+0.100)", "of", "3", "vertebrae"], line
    assert all("+0.000" in text for text in (rest[0], rest[2]))
