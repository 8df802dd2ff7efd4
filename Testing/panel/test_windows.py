"""What is done otherwise on Windows, as far as it can be seen elsewhere: which calls are made.

Only a Windows can show that taskkill ends the children of a launcher and that no console opens.
"""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from typing import Any

import pytest

from HideSeekLib.setup import sample_data
from HideSeekLib.worker import process as worker_process
from HideSeekLib.worker import process_tree
from HideSeekLib.worker.settings import BackendSettings

NO_WINDOW = 0x08000000


class Recorded:
    """What a Popen was asked for; it ends at once."""

    returncode = 0
    calls: list[tuple[list[str], dict[str, Any]]] = []

    def __init__(self, words: list[str], **keywords: Any) -> None:
        self.calls.append((list(words), keywords))

    def poll(self) -> int:
        return 0


@pytest.fixture(name="windows")
def a_windows(monkeypatch: pytest.MonkeyPatch) -> Iterator[type[Recorded]]:
    Recorded.calls = []
    monkeypatch.setattr(subprocess, "CREATE_NO_WINDOW", NO_WINDOW, raising=False)
    monkeypatch.setattr(subprocess, "Popen", Recorded)
    with monkeypatch.context() as patch:
        patch.setattr(os, "name", "nt")
        yield Recorded


def test_taskkill_finds_the_children_because_the_launcher_still_lives(windows: Any) -> None:
    class Process:
        killed = False

        def processId(self) -> int:
            return 4711

        def kill(self) -> None:
            self.killed = True

    process = Process()
    worker_process.end_process(process)
    ((words, keywords),) = windows.calls
    assert words == ["taskkill", "/PID", "4711", "/T", "/F"]
    assert keywords["creationflags"] == NO_WINDOW and not process.killed
    process_tree.kill_tree(0)
    assert len(windows.calls) == 1, "no process, nothing to end"


def test_making_the_phantom_opens_no_console(windows: Any) -> None:
    code, _said = sample_data._wait(["PythonSlicer.exe", "-c", "1"], None, 1.0)
    assert code == 0 and windows.calls[0][1]["creationflags"] == NO_WINDOW


@pytest.mark.parametrize(
    ("prefix", "words"),
    [
        (r"C:\tools\plink.exe host", [r"C:\tools\plink.exe", "host"]),
        (r'"C:\My tools\plink.exe" me@host', [r"C:\My tools\plink.exe", "me@host"]),
        ("", []),
    ],
)  # fmt: skip
def test_backslashes_of_a_prefix_are_paths(windows: Any, prefix: str, words: list[str]) -> None:
    assert BackendSettings(prefix=prefix).prefix_words() == words


def test_text_between_the_processes_is_utf_8_whatever_the_code_page(core: Any) -> None:
    """A folder "Ärzte" is cp1252 on a German Windows, unless both sides are told."""
    environment = worker_process.process_environment(BackendSettings())
    assert environment["PYTHONUTF8"] == "1" and environment["PYTHONIOENCODING"] == "utf-8"
    python = BackendSettings(python=sys.executable)
    command = worker_process.python_command(python, ["-c", "print(input())"])
    done = subprocess.run(
        command,
        input="Ausfuhr für Ärzte\\Δ".encode(),
        capture_output=True,
        env={**worker_process.process_environment(python), "LC_ALL": "C"},
        check=True,
    )
    assert done.stdout.decode().strip() == "Ausfuhr für Ärzte\\Δ"
