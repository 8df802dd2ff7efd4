"""A real worker process for tests: write lines, read replies with a time limit."""

from __future__ import annotations

import json
import os
import queue
import subprocess
import sys
import threading
import time
from pathlib import Path
from types import TracebackType
from typing import Any

SOURCE = Path(__file__).resolve().parents[1] / "src"
PATIENCE = 120.0  # a loaded machine imports torch slowly


class Worker:
    """`python -m hideseek_backend.worker` with its pipes; ends with the block it is used in."""

    def __init__(self, *, preamble: str = "") -> None:
        """preamble: Python that runs in the process before the worker does, for faults."""
        command = [sys.executable, "-m", "hideseek_backend.worker"]
        if preamble:
            serve = "from hideseek_backend.worker.__main__ import main; main()"
            command = [sys.executable, "-c", f"{preamble}\n{serve}"]
        path = os.pathsep.join([str(SOURCE), os.environ.get("PYTHONPATH", "")])
        self.process = subprocess.Popen(
            command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            env={**os.environ, "PYTHONPATH": path, "OMP_NUM_THREADS": "1"},
        )
        self.log: list[bytes] = []
        self._replies: queue.Queue[dict[str, Any] | None] = queue.Queue()
        threading.Thread(target=self._read_replies, daemon=True).start()
        threading.Thread(target=self._read_log, daemon=True).start()

    def __enter__(self) -> Worker:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.process.kill()
        self.process.wait()

    def _read_replies(self) -> None:
        assert self.process.stdout is not None
        for line in self.process.stdout:
            # Anything but JSON here is a fault of the worker: fail loudly in the test.
            self._replies.put(json.loads(line))
        self._replies.put(None)

    def _read_log(self) -> None:
        assert self.process.stderr is not None
        self.log.extend(self.process.stderr)

    def write(self, data: bytes) -> None:
        """Write raw bytes to the worker's standard input."""
        assert self.process.stdin is not None
        self.process.stdin.write(data)
        self.process.stdin.flush()

    def ask(self, identifier: str | int, method: str, **params: Any) -> None:
        """Send a request."""
        message = {"id": identifier, "method": method, "params": params}
        self.write(json.dumps(message).encode() + b"\n")

    def next(self, seconds: float = PATIENCE) -> dict[str, Any] | None:
        """Return the next reply, None at the end of its output."""
        return self._replies.get(timeout=seconds)

    def until(self, *kinds: str, seconds: float = PATIENCE) -> list[dict[str, Any]]:
        """Return the replies up to the first of one of these kinds, pings and hello aside."""
        found = []
        end = time.monotonic() + seconds
        while True:
            reply = self.next(max(0.01, end - time.monotonic()))
            assert reply is not None, b"".join(self.log).decode()
            found.append(reply)
            if reply["type"] in kinds:
                return found

    def result(self, identifier: str | int, method: str, **params: Any) -> dict[str, Any]:
        """Send a request and return its result; fails on an error."""
        self.ask(identifier, method, **params)
        last = self.until("result", "error")[-1]
        assert last["type"] == "result" and last["id"] == identifier, last
        found: dict[str, Any] = last["result"]
        return found

    def error(self, identifier: str | int, method: str, **params: Any) -> dict[str, Any]:
        """Send a request that must fail and return the error."""
        self.ask(identifier, method, **params)
        last = self.until("result", "error")[-1]
        assert last["type"] == "error" and last["id"] == identifier, last
        return last

    def close_input(self) -> int:
        """Close the worker's standard input and return its exit code."""
        assert self.process.stdin is not None
        self.process.stdin.close()
        return self.process.wait(timeout=PATIENCE)
