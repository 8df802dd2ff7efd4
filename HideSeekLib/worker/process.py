"""The worker as a QProcess: which command, which environment, and how to end all of it."""

from __future__ import annotations

import os
import shlex
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import qt
import slicer

from HideSeekLib.i18n import _
from HideSeekLib.worker.process_tree import kill_tree
from HideSeekLib.worker.request import Listener
from HideSeekLib.worker.settings import BackendSettings


def slicer_python() -> str:
    """Return the path of Slicer's own Python launcher. Raises ValueError without one."""
    name = "PythonSlicer.exe" if os.name == "nt" else "PythonSlicer"
    launcher = Path(getattr(slicer.app, "slicerHome", "")) / "bin" / name
    if launcher.is_file():
        return str(launcher)
    # Never this executable: inside Slicer it is the application, and a second one would start.
    found = shutil.which("PythonSlicer")
    if found is None:
        raise ValueError(_("PythonSlicer was not found beside this Slicer"))
    return found


def python_command(settings: BackendSettings, arguments: list[str]) -> list[str]:
    """Return program and arguments that run the backend's Python with `arguments`.

    `ssh` hands its words to a shell on the other side, so they are quoted for it.
    Raises ValueError when the prefix has an unclosed quote, or Slicer's own Python is not found.
    """
    prefix = settings.prefix_words()
    python = settings.python or ("python3" if prefix else slicer_python())
    command = [python, *arguments]
    if prefix and Path(prefix[0]).stem.lower() in ("ssh", "plink"):
        command = [shlex.quote(word) for word in command]
    return [*prefix, *command]


def process_environment(settings: BackendSettings) -> dict[str, str]:
    """Return the environment for the command: Slicer's for its own Python, the user's otherwise.

    Slicer's launcher sets library and Python paths that would break another Python.
    """
    if settings.python or settings.remote():
        environment = {str(k): str(v) for k, v in slicer.util.startupEnvironment().items()}
    else:
        environment = dict(os.environ)
    environment.update(PYTHONUNBUFFERED="1", PYTHONIOENCODING="utf-8", PYTHONUTF8="1")
    return environment


def make_process(environment: Mapping[str, str]) -> Any:
    """Return a QProcess with separate channels and the given environment."""
    process = qt.QProcess()
    variables = qt.QProcessEnvironment()
    for name, value in environment.items():
        variables.insert(name, value)
    process.setProcessEnvironment(variables)
    return process


def end_process(process: Any) -> None:
    """Kill a QProcess with everything below it."""
    kill_tree(int(process.processId()))
    if os.name != "nt":
        # On Windows the launcher must live until taskkill has found its children.
        process.kill()


def read_bytes(array: Any) -> bytes:
    """Return the bytes of a QByteArray, whichever type the binding gives."""
    data = array.data()
    return data.encode("utf-8") if isinstance(data, str) else bytes(data)


class QProcessTransport:
    """Runs the worker as a child process of Slicer; see `request.Transport`."""

    def __init__(self, settings: BackendSettings, arguments: list[str] | None = None) -> None:
        self.settings = settings
        self._arguments = arguments or ["-u", "-m", "hideseek_backend.worker"]
        self._process: Any = None
        self._listener: Listener | None = None

    def start(self, listener: Listener) -> None:
        """Start the worker; failures are reported to the listener, not raised."""
        self._listener = listener
        try:
            command = python_command(self.settings, self._arguments)
        except ValueError as error:
            listener.exited(_("the command prefix cannot be read: {error}").format(error=error))
            return
        process = make_process(process_environment(self.settings))
        self._process = process
        # The process is compared in each slot: a late signal of a killed worker must not be
        # taken for the word of its successor.
        process.connect("readyReadStandardOutput()", lambda: self._read_output(process))
        process.connect("readyReadStandardError()", lambda: self._read_errors(process))
        process.connect(
            "finished(int,QProcess::ExitStatus)",
            lambda code, status: self._finished(process, code, status),
        )
        process.connect(
            "errorOccurred(QProcess::ProcessError)", lambda error: self._failed(process, error)
        )
        listener.log_started(" ".join(command))
        process.start(command[0], command[1:])

    def write(self, data: bytes) -> None:
        """Hand bytes to the worker; Qt keeps what the pipe does not take yet."""
        if self._process is not None:
            self._process.write(qt.QByteArray(data))

    def kill(self) -> None:
        """End the worker with everything below it."""
        process, self._process, self._listener = self._process, None, None
        if process is None:
            return
        end_process(process)
        # The object must outlive its process, or Qt waits for it in the destructor.
        _dying.append(process)
        del _dying[:-8]

    def process_id(self) -> int:
        """Return the id of the running process, 0 without one."""
        return int(self._process.processId()) if self._process is not None else 0

    def _read_output(self, process: Any) -> None:
        if process is self._process and self._listener is not None:
            self._listener.bytes_received(read_bytes(process.readAllStandardOutput()))

    def _read_errors(self, process: Any) -> None:
        if process is self._process and self._listener is not None:
            text = read_bytes(process.readAllStandardError()).decode("utf-8", "replace")
            self._listener.log_received(text.rstrip())

    def _finished(self, process: Any, code: int, status: Any) -> None:
        if process is not self._process or self._listener is None:
            return
        self._read_output(process)
        self._read_errors(process)
        crashed = status == qt.QProcess.CrashExit
        reason = _("crash") if crashed else _("exit code {code}").format(code=code)
        listener, self._process, self._listener = self._listener, None, None
        _dying.append(process)
        del _dying[:-8]
        listener.exited(reason)

    def _failed(self, process: Any, error: Any) -> None:
        if process is not self._process or self._listener is None:
            return
        if error == qt.QProcess.FailedToStart:
            listener, self._process, self._listener = self._listener, None, None
            listener.exited(_("the command was not found or may not be run"))


_dying: list[Any] = []
