"""The results folder appears whole or not at all, and never mixes runs."""

from __future__ import annotations

import errno
import os
from pathlib import Path

import pytest

from hideseek_backend.errors import OutputError
from hideseek_backend.report.output import MANIFEST, OutputFolder, writing


def _write(target: Path, *names: str, text: str = "x", overwrite: bool = False) -> None:
    with OutputFolder(target, overwrite=overwrite) as folder:
        for name in names:
            (folder.staging / name).write_text(text)


def _names(folder: Path) -> set[str]:
    return {p.name for p in folder.iterdir()}


def test_files_appear_at_the_end_only(tmp_path: Path) -> None:
    target = tmp_path / "a" / "b" / "out"
    with OutputFolder(target) as folder:
        (folder.staging / "one.txt").write_text("1")
        assert not target.exists()
    assert _names(target) == {"one.txt", MANIFEST}
    assert _names(target.parent) == {"out"}


@pytest.mark.parametrize("error", [ValueError, KeyboardInterrupt, SystemExit])
def test_a_failure_leaves_nothing_behind(tmp_path: Path, error: type[BaseException]) -> None:
    with pytest.raises(error), OutputFolder(tmp_path / "new" / "out") as folder:
        (folder.staging / "half.txt").write_text("half")
        raise error
    assert _names(tmp_path) == set()


def test_a_failure_keeps_the_earlier_result(tmp_path: Path) -> None:
    _write(tmp_path / "out", "one.txt", text="first")
    with pytest.raises(KeyboardInterrupt), OutputFolder(tmp_path / "out") as folder:
        (folder.staging / "one.txt").write_text("second")
        raise KeyboardInterrupt
    assert _names(tmp_path / "out") == {"one.txt", MANIFEST}
    assert (tmp_path / "out" / "one.txt").read_text(encoding="utf-8") == "first"


def test_a_second_run_replaces_every_file_of_the_first(tmp_path: Path) -> None:
    _write(tmp_path / "out", "lesions.nii.gz", "candidates.csv")
    _write(tmp_path / "out", "vertebrae.csv", text="new")
    assert _names(tmp_path / "out") == {"vertebrae.csv", MANIFEST}


def test_a_folder_with_other_files_is_refused(tmp_path: Path) -> None:
    (tmp_path / "thesis.docx").write_text("years of work")
    with pytest.raises(OutputError, match=r"not empty: it holds thesis\.docx.*--overwrite"):
        OutputFolder(tmp_path)


def test_overwrite_keeps_other_files(tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("mine")
    _write(tmp_path, "one.txt", overwrite=True)
    assert _names(tmp_path) == {"notes.txt", "one.txt", MANIFEST}
    assert (tmp_path / "notes.txt").read_text(encoding="utf-8") == "mine"


def test_an_edited_result_is_not_replaced_silently(tmp_path: Path) -> None:
    _write(tmp_path, "lesions.seg.nrrd")
    (tmp_path / "lesions.seg.nrrd").write_text("corrected by hand")
    with pytest.raises(OutputError, match="changed since HideSeek wrote it"):
        OutputFolder(tmp_path)
    _write(tmp_path, "lesions.seg.nrrd", text="new", overwrite=True)
    assert (tmp_path / "lesions.seg.nrrd").read_text(encoding="utf-8") == "new"


def test_a_forged_manifest_reaches_nothing_outside(tmp_path: Path) -> None:
    victim = tmp_path / "victim.txt"
    victim.write_text("keep")
    out = tmp_path / "out"
    out.mkdir()
    (out / MANIFEST).write_text('{"../victim.txt": "00", "..": "00"}')
    _write(out, "one.txt")
    assert victim.read_text(encoding="utf-8") == "keep"


def test_a_file_in_place_of_the_folder_is_refused(tmp_path: Path) -> None:
    (tmp_path / "out").write_text("")
    with pytest.raises(OutputError, match="Expected a folder"):
        OutputFolder(tmp_path / "out")


@pytest.mark.parametrize(
    ("number", "words"),
    [
        (errno.ENOSPC, "No room left"),
        (errno.EFBIG, "No room left"),
        (errno.EACCES, "No permission"),
        (errno.EROFS, "No permission"),
        (errno.EIO, "could not be written"),
    ],
)
def test_faults_of_the_file_system_are_explained(tmp_path: Path, number: int, words: str) -> None:
    with pytest.raises(OutputError, match=words) as caught, writing(tmp_path):
        raise OSError(number, os.strerror(number))
    assert caught.value.remedy


def test_a_move_that_fails_midway_is_undone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    _write(tmp_path / "out", "a.txt", "b.txt", text="first")
    real, calls = os.rename, []

    def failing(source: Path, target: Path) -> None:
        calls.append(target)
        if Path(target).parent == tmp_path / "out" and len(calls) == 5:
            raise OSError(errno.EIO, "input/output error")
        real(source, target)

    monkeypatch.setattr(os, "rename", failing)
    with pytest.raises(OutputError, match="could not be written"):
        _write(tmp_path / "out", "a.txt", "b.txt", text="second")
    assert _names(tmp_path / "out") == {"a.txt", "b.txt", MANIFEST}
    assert (tmp_path / "out" / "a.txt").read_text(encoding="utf-8") == "first"


def test_results_follow_the_umask(tmp_path: Path) -> None:
    before = os.umask(0o022)
    try:
        _write(tmp_path / "out", "a.txt")
    finally:
        os.umask(before)
    assert (tmp_path / "out").stat().st_mode & 0o777 == 0o755
