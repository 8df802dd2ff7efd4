"""The models verbs."""

from __future__ import annotations

from pathlib import Path

import pytest

from hideseek_backend.cli import main
from hideseek_lab.benchmark import notebook as check


def test_list_and_verify(
    case: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("HIDESEEK_MODELS", str(tmp_path))
    assert main(["models", "add", str(case / "tiny")]) == 0
    (tmp_path / "broken").mkdir()
    (tmp_path / "broken" / "spec.json").write_text("{")
    capsys.readouterr()
    assert main(["models", "list"]) == 0
    listed = capsys.readouterr().out
    assert "tiny" in listed and "edm" in listed and "not valid JSON" in listed
    assert main(["models", "verify", "tiny"]) == 0
    assert "tiny: whole" in capsys.readouterr().out


def test_install_offline_says_what_to_do(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("HIDESEEK_MODELS", str(tmp_path))
    # Port 9 of this machine: nobody answers, and nothing leaves it.
    assert main(["models", "install", "--mirror", "http://127.0.0.1:9", "--quiet"]) == 2
    said = capsys.readouterr().err
    assert "127.0.0.1:9" in said and "error: " in said and "Traceback" not in said
    assert main(["models", "install", "no-such-model"]) == 2
    assert "dae-verts" in capsys.readouterr().err


def test_import_of_files_that_are_not_there(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    files = ["--dae", "a.ckpt", "--classifier", "b.pkl", "--scaler", "c.pkl"]
    assert main(["models", "import-reference", *files, "--out", str(tmp_path / "m")]) == 2
    assert "a.ckpt" in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []


def test_check_prints_both_sides_and_fails_where_they_differ(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    figures = [
        check.Figure("P(malignant)", 0.9672, 0.9671, 0.005),
        check.Figure("lytic regions", 6, 5, 0),
    ]
    monkeypatch.setattr(check, "check", lambda *_args, **_kwargs: figures)
    assert main(["models", "check", "--quiet"]) == 1
    printed = capsys.readouterr().out
    assert "1 of 2 figures agree." in printed and "NO" in printed
