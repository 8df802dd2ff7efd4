"""Run the chosen Python once: a probe, pip, or a command of the backend."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import qt

from HideSeekLib.i18n import _
from HideSeekLib.worker.process import (
    end_process,
    make_process,
    process_environment,
    python_command,
    read_bytes,
)
from HideSeekLib.worker.settings import BackendSettings


class PythonRunner:
    """Runs commands in processes of their own; on_log takes what they print."""

    def __init__(self, on_log: Callable[[str], None]) -> None:
        self._on_log = on_log
        self._processes: list[Any] = []

    def run(
        self,
        settings: BackendSettings,
        arguments: list[str],
        given: str,
        done: Callable[[int, str, str], None],
        limit_ms: int | None,
    ) -> None:
        """Run the chosen Python with `arguments`; `done(code, output, problem)` comes once.

        given: text for its standard input. limit_ms: it is killed after that time.
        """
        try:
            command = python_command(settings, arguments)
            environment = process_environment(settings)
        except ValueError as error:
            done(1, "", str(error))
            return
        process = make_process(environment)
        process.setProcessChannelMode(qt.QProcess.MergedChannels)
        output: list[bytes] = []
        ended: list[bool] = []

        def finish(code: int, problem: str) -> None:
            if ended:
                return
            ended.append(True)
            timer.stop()
            text = b"".join(output).decode("utf-8", "replace")
            shown = (n for n in text.splitlines() if not n.startswith("hideseek-probe:"))
            self._on_log("\n".join(shown))
            # The slot of the process is still running: Qt deletes it afterwards.
            self._processes.remove(process)
            process.deleteLater()
            done(code, text, problem)

        def too_long() -> None:
            end_process(process)
            finish(1, _("no answer"))

        timer = qt.QTimer()
        timer.setSingleShot(True)
        timer.connect("timeout()", too_long)
        process.connect("readyRead()", lambda: output.append(read_bytes(process.readAll())))
        process.connect(
            "finished(int,QProcess::ExitStatus)", lambda code, status: finish(int(code), "")
        )
        process.connect(
            "errorOccurred(QProcess::ProcessError)",
            lambda error: (
                finish(1, _("the command was not found or may not be run"))
                if error == qt.QProcess.FailedToStart
                else None
            ),
        )
        self._processes.append(process)
        self._on_log("$ " + " ".join(command))
        process.start(command[0], command[1:])
        if limit_ms is not None:
            timer.start(limit_ms)
        if given:
            process.write(qt.QByteArray(given.encode("utf-8")))
        process.closeWriteChannel()

    def close(self) -> None:
        """End whatever runs."""
        for process in list(self._processes):
            end_process(process)
