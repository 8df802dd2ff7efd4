"""`hideseek review` finds its environment, or says what to do; it starts nothing here."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

import pytest

from hideseek_backend.cli import review
from hideseek_backend.errors import InputError, MissingDependencyError


def parsed(*words: str) -> argparse.Namespace:
    parser = argparse.ArgumentParser()
    review.add_arguments(parser)
    return parser.parse_args(words)


def test_path_that_is_not_there_is_refused_before_anything_starts(tmp_path):
    with pytest.raises(InputError, match="is not there"):
        review.main(parsed(str(tmp_path / "nothing.nii.gz")))


def test_named_python_is_taken_and_a_wrong_one_refused(tmp_path, monkeypatch):
    monkeypatch.delenv(review.ENVIRONMENT, raising=False)
    assert review.find_python(Path(sys.executable)) == Path(sys.executable)
    with pytest.raises(InputError, match="is not there"):
        review.find_python(tmp_path / "python")


def test_without_the_environment_it_says_how_to_make_it(tmp_path, monkeypatch):
    monkeypatch.delenv(review.ENVIRONMENT, raising=False)
    monkeypatch.setattr(review, "FOLDER", ".no-such-environment")
    monkeypatch.setattr(review.importlib.util, "find_spec", lambda name: None)
    with pytest.raises(MissingDependencyError, match="make review"):
        review.find_python(None)


def test_token_stays_off_the_command_line(tmp_path, monkeypatch):
    started = {}

    class Ended:
        returncode = 0

    def run(command, env, check):
        started.update(command=command, env=env)
        return Ended()

    monkeypatch.setattr(review.subprocess, "run", run)
    monkeypatch.setattr(review, "find_extension", lambda: tmp_path)
    arguments = parsed(str(tmp_path), "--token", "s3cret", "--python", sys.executable)
    assert review.main(arguments) == 0
    assert not any("s3cret" in word for word in started["command"])
    assert started["env"]["HIDESEEK_REVIEW_TOKEN"] == "s3cret"
    assert started["command"][1:3] == ["-m", "HideSeekLib.browser"]
