"""Messages as lines: one JSON object a line, ASCII, arrays packed inside."""

from __future__ import annotations

import json
from collections.abc import Generator, Iterable, Mapping
from typing import Any

import numpy as np

from .arrays import CHUNK_BYTES, encode_steps, run_steps


def encode_line_steps(message: Mapping[str, Any]) -> Generator[None, None, bytes]:
    """Encode a message in short steps; numpy arrays anywhere inside it become array objects.

    The generator returns the line with its newline. Raises ValueError for a number that JSON does
    not have, WireError for an array of a type that does not travel.
    """
    plain = yield from _packed_steps(message)
    pieces: list[str] = []
    size = 0
    for piece in json.JSONEncoder(ensure_ascii=True, allow_nan=False).iterencode(plain):
        pieces.append(piece)
        size += len(piece)
        if size > CHUNK_BYTES:
            size = 0
            yield
    return "".join(pieces).encode("ascii") + b"\n"


def encode_line(message: Mapping[str, Any]) -> bytes:
    """Encode a message at once; errors are those of `encode_line_steps`."""
    line: bytes = run_steps(encode_line_steps(message))
    return line


def decode_line(line: bytes) -> dict[str, Any] | None:
    """Return the message of one line, or None where the line is not a message at all.

    Anything that is not a JSON object with a `type` is noise: a library that prints, a banner of
    `ssh`, a line cut short by a crash.
    """
    text = line.strip()
    if not text.startswith(b"{"):
        return None
    try:
        message = json.loads(text.decode("utf-8"))
    except (UnicodeDecodeError, json.JSONDecodeError, RecursionError):
        return None
    return message if isinstance(message, dict) and isinstance(message.get("type"), str) else None


class LineBuffer:
    """Cuts a stream of bytes into lines without rescanning what it has seen.

    limit: bytes a line may have; a longer one is dropped up to its newline.
    """

    def __init__(self, limit: int = 1 << 29) -> None:
        self._buffer = bytearray()
        self._searched = 0
        self._limit = limit
        self._skipping = False
        self.dropped = 0

    def feed(self, data: bytes) -> Iterable[bytes]:
        """Add bytes and yield the lines they complete."""
        self._buffer += data
        while True:
            end = self._buffer.find(b"\n", self._searched)
            if end < 0:
                self._searched = len(self._buffer)
                if len(self._buffer) > self._limit:
                    self._buffer.clear()
                    self._searched = 0
                    self._skipping = True
                return
            line = bytes(self._buffer[:end])
            del self._buffer[: end + 1]
            self._searched = 0
            if self._skipping or len(line) > self._limit:
                self._skipping = False
                self.dropped += 1
                continue
            yield line

    def clear(self) -> None:
        """Forget an unfinished line."""
        self._buffer.clear()
        self._searched = 0
        self._skipping = False


def _packed_steps(value: Any) -> Generator[None, None, Any]:
    if isinstance(value, np.ndarray):
        return (yield from encode_steps(value))
    if isinstance(value, Mapping):
        packed = {}
        for key, inner in value.items():
            packed[str(key)] = yield from _packed_steps(inner)
        return packed
    if isinstance(value, (list, tuple)):
        items = []
        for inner in value:
            items.append((yield from _packed_steps(inner)))
        return items
    if isinstance(value, np.generic):
        return value.item()
    return value
