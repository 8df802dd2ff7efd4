"""A small case and a tiny model on disk, shared by the tests of the command."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from tiny_model import write_tiny_model
from toy_spine import toy_spine

from hideseek_backend.cli import main
from hideseek_backend.volumes.writing import write_nifti


@pytest.fixture(scope="session", name="case")
def case_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder with ct, vertebrae and bodies of L1 to L3 and the model folder `tiny`."""
    folder = tmp_path_factory.mktemp("case é")  # paths are not always ASCII
    spine = toy_spine()
    write_nifti(spine.ct, folder / "ct.nii.gz")
    write_nifti(spine.labels, folder / "vertebrae.nii.gz")
    write_nifti(spine.bodies, folder / "bodies.nii.gz")
    write_tiny_model(folder / "tiny")
    return folder


def words(case: Path, out: Path, *more: str, verb: str = "segment") -> list[str]:
    """Return a command line that works on the case; what follows overrides."""
    inputs = [str(case / "ct.nii.gz"), str(case / "vertebrae.nii.gz")]
    given = ["--bodies", str(case / "bodies.nii.gz"), "--labels", "verse", "--quiet"]
    return [verb, *inputs, *given, "--model", str(case / "tiny"), "--out", str(out), *more]


@pytest.fixture(name="refused")
def refused_command(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> Callable[..., str]:
    """Return a function that runs a command line, expects a user error, and returns its text."""

    def run(line: list[str]) -> str:
        before = set(tmp_path.rglob("*"))
        try:
            code = main(line)
        except SystemExit as exit_:
            code = int(exit_.code or 0)
        said = capsys.readouterr()
        assert code == 2, said.err
        assert "error: " in said.err and "Traceback" not in said.err
        assert set(tmp_path.rglob("*")) == before  # nothing half-written
        return said.err

    return run
