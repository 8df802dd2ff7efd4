"""The worker as a child process of asyncio."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Sequence

from HideSeekLib.i18n import _
from HideSeekLib.worker.process_tree import kill_tree
from HideSeekLib.worker.request import Listener

_CHUNK = 1 << 20


class AsyncioTransport:
    """Runs the worker below the event loop; see `worker.request.Transport`.

    command: program and arguments that run the backend's worker.
    """

    def __init__(self, command: Sequence[str]) -> None:
        self._command = list(command)
        self._process: asyncio.subprocess.Process | None = None
        self._unsent: list[bytes] = []
        self._running: asyncio.Task[None] | None = None

    def start(self, listener: Listener) -> None:
        """Start the worker; failures are reported to the listener, not raised."""
        self._unsent = []
        listener.log_started(" ".join(self._command))
        self._running = asyncio.get_running_loop().create_task(self._run(listener))

    def write(self, data: bytes) -> None:
        """Hand bytes to the worker; what the pipe does not take yet is kept."""
        process = self._process
        if process is None or process.stdin is None:
            self._unsent.append(data)
        else:
            process.stdin.write(data)

    def kill(self) -> None:
        """End the worker with everything below it."""
        process, self._process = self._process, None
        running, self._running = self._running, None
        if running is not None:
            running.cancel()
        if process is not None and process.returncode is None:
            kill_tree(process.pid)

    def process_id(self) -> int:
        """Return the id of the running process, 0 without one."""
        return self._process.pid if self._process is not None else 0

    async def _run(self, listener: Listener) -> None:
        try:
            process = await asyncio.create_subprocess_exec(
                *self._command,
                stdin=asyncio.subprocess.PIPE,
                stdout=asyncio.subprocess.PIPE,
                stderr=asyncio.subprocess.PIPE,
                env={**os.environ, "PYTHONUNBUFFERED": "1", "PYTHONUTF8": "1"},
            )
        except OSError:
            listener.exited(_("the command was not found or may not be run"))
            return
        self._process = process
        assert process.stdin is not None
        for data in self._unsent:
            process.stdin.write(data)
        self._unsent = []
        try:
            await asyncio.gather(
                _pass_on(process.stdout, listener.bytes_received),
                _pass_on(
                    process.stderr, lambda b: listener.log_received(b.decode(errors="replace"))
                ),
            )
            code = await process.wait()
        except asyncio.CancelledError:
            kill_tree(process.pid)
            raise
        self._process = self._running = None
        listener.exited(_("exit code {code}").format(code=code))


async def _pass_on(stream: asyncio.StreamReader | None, take: object) -> None:
    """Hand on what a stream brings until it ends."""
    assert stream is not None and callable(take)
    while data := await stream.read(_CHUNK):
        take(data)
