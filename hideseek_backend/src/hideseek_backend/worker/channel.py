"""The pipe to the other side: whole lines in, whole lines out, and nothing else on it."""

from __future__ import annotations

import os
import sys
import threading
from collections.abc import Iterator, Mapping
from typing import Any

from hideseek_backend.wire.lines import encode_line
from hideseek_backend.worker.protocol import ProtocolError

MAX_LINE_BYTES = 512 << 20
_PIECE = 1 << 20


class Channel:
    """Lines on two file descriptors; `send` may be called from any thread.

    max_line: bytes a line may have; a longer one is dropped up to its end and reported.
    """

    def __init__(self, read_fd: int, write_fd: int, *, max_line: int = MAX_LINE_BYTES) -> None:
        self._read_fd = read_fd
        self._write_fd = write_fd
        self._max_line = max_line
        self._lock = threading.Lock()

    def send(self, message: Mapping[str, Any]) -> None:
        """Write one message; messages of several threads never mix.

        Raises BrokenPipeError when nobody reads any more.
        """
        data = memoryview(encode_line(message))
        with self._lock:
            while data:
                data = data[os.write(self._write_fd, data[:_PIECE]) :]

    def lines(self) -> Iterator[bytes | ProtocolError]:
        """Yield each line without its end, or the error for one too long; ends with the input."""
        pending: list[bytes] = []
        size = 0
        while piece := os.read(self._read_fd, _PIECE):
            *whole, rest = piece.split(b"\n")
            for end in whole:
                size += len(end)
                if size > self._max_line:
                    yield self._too_long(size)
                else:
                    yield b"".join([*pending, end])
                pending, size = [], 0
            size += len(rest)
            if size <= self._max_line:
                pending.append(rest)
            else:
                pending.clear()  # go on counting, hold nothing

    def _too_long(self, size: int) -> ProtocolError:
        return ProtocolError(
            f"Expected a line of at most {self._max_line} bytes, got {size}.",
            "Send fewer vertebrae in one request.",
        )


def take_standard_streams() -> tuple[int, int]:
    """Keep the protocol's pipes for the channel alone and return their descriptors (in, out).

    Afterwards a stray print, of Python or of a C library, goes to standard error, and nothing can
    read requests away.
    """
    sys.stdout.flush()
    requests, replies = os.dup(0), os.dup(1)
    os.dup2(2, 1)
    nothing = os.open(os.devnull, os.O_RDONLY)
    os.dup2(nothing, 0)
    os.close(nothing)
    sys.stdout = sys.stderr
    if sys.platform == "win32":
        import msvcrt

        for descriptor in (requests, replies):
            msvcrt.setmode(descriptor, os.O_BINARY)
    return requests, replies
