"""Whole or not at all."""

from __future__ import annotations

from pathlib import Path

import pytest

from hideseek_backend.errors import OutputError
from hideseek_backend.files import sha256, whole_file, whole_folder


def test_a_file_appears_when_it_is_complete(tmp_path: Path) -> None:
    path = tmp_path / "new" / "a.npz"
    with whole_file(path) as part:
        part.write_text("x")
        assert not path.exists() and part.suffix == ".npz"
    assert path.read_text(encoding="utf-8") == "x" and list(path.parent.iterdir()) == [path]


def test_a_failure_leaves_what_was_there(tmp_path: Path) -> None:
    path = tmp_path / "a.txt"
    path.write_text("before")
    with pytest.raises(KeyboardInterrupt), whole_file(path) as part:
        part.write_text("half")
        raise KeyboardInterrupt
    assert path.read_text(encoding="utf-8") == "before" and list(tmp_path.iterdir()) == [path]


def test_two_writers_do_not_meet(tmp_path: Path) -> None:
    with whole_file(tmp_path / "a") as one, whole_file(tmp_path / "a") as other:
        assert one != other
        one.write_text("1")
        other.write_text("2")
    assert list(tmp_path.iterdir()) == [tmp_path / "a"]


def test_a_folder_replaces_the_older_one(tmp_path: Path) -> None:
    folder = tmp_path / "model"
    for text in ("old", "new"):
        with whole_folder(folder) as part:
            (part / text).write_text(text)
    assert [p.name for p in folder.iterdir()] == ["new"]
    with pytest.raises(ValueError, match="stop"), whole_folder(folder):
        raise ValueError("stop")
    assert [p.name for p in tmp_path.iterdir()] == ["model"]
    assert [p.name for p in folder.iterdir()] == ["new"]


def test_errors_of_the_disk_are_told(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(OutputError, match="Expected to write"), whole_file(tmp_path / "file" / "a"):
        pass
    with pytest.raises(OutputError, match="a folder of this name"), whole_file(tmp_path):
        pass


def test_sha256(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(b"abc")
    assert sha256(tmp_path / "a").startswith("ba7816bf8f01cfea")
