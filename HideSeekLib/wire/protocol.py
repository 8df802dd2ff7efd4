"""Words of the worker's language: JSON lines and the arrays inside them.

Knows neither Qt nor processes. Long work is written as generators that yield after each short
piece, because Slicer's event loop holds the interpreter lock: a Python thread would not run while
the window waits, so the panel advances these generators from a timer instead.
"""

from __future__ import annotations

import base64
import json
import zlib
from collections.abc import Generator, Iterable, Mapping
from typing import Any

import numpy as np

from HideSeekLib.wire.arrays import DTYPES, ENCODING

PROTOCOL = 1
"""Version of the worker's protocol that this client speaks."""

CHUNK_BYTES = 768 * 1024
"""Bytes handled between two yields: about 10 ms of zlib; a multiple of 3, as base64 needs."""


class ProtocolError(ValueError):
    """A line or an array does not follow the protocol; the text says what was got."""


def array_header(array: np.ndarray) -> dict[str, Any]:
    """Return the ARRAY object of `array` without its data.

    Raises ProtocolError for a dtype the protocol does not carry.
    """
    if array.dtype.name not in DTYPES:
        raise ProtocolError(f"Arrays travel as one of {DTYPES}, got {array.dtype.name}.")
    return {
        "dtype": array.dtype.name,
        "shape": [int(n) for n in array.shape],
        "order": "C",
        "encoding": ENCODING,
    }


def encode_array_steps(array: np.ndarray) -> Generator[None, None, dict[str, Any]]:
    """Encode `array` as a protocol ARRAY in short steps; the generator returns the object."""
    message = array_header(array)
    little = np.ascontiguousarray(array, dtype=array.dtype.newbyteorder("<"))
    raw = little.reshape(-1).view(np.uint8).data
    packer = zlib.compressobj(1)
    text: list[bytes] = []
    rest = b""
    for start in range(0, len(raw), CHUNK_BYTES):
        rest += packer.compress(raw[start : start + CHUNK_BYTES])
        whole = len(rest) - len(rest) % 3
        text.append(base64.b64encode(rest[:whole]))
        rest = rest[whole:]
        yield
    text.append(base64.b64encode(rest + packer.flush()))
    message["data"] = b"".join(text).decode("ascii")
    return message


def encode_line_steps(message: Mapping[str, Any]) -> Generator[None, None, bytes]:
    """Encode a message whose values may hold numpy arrays, in short steps.

    Arrays anywhere inside `message` become protocol ARRAYs. Returns the line with its newline.
    """
    plain = yield from _plain_steps(message)
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
    """Encode a message at once; for short messages."""
    return run_steps(encode_line_steps(message))


def run_steps(steps: Generator[None, None, Any]) -> Any:
    """Run a step generator to its end and return its value."""
    while True:
        try:
            next(steps)
        except StopIteration as stop:
            return stop.value


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


def _plain_steps(value: Any) -> Generator[None, None, Any]:
    if isinstance(value, np.ndarray):
        return (yield from encode_array_steps(value))
    if isinstance(value, Mapping):
        plain = {}
        for key, inner in value.items():
            plain[str(key)] = yield from _plain_steps(inner)
        return plain
    if isinstance(value, (list, tuple)):
        items = []
        for inner in value:
            items.append((yield from _plain_steps(inner)))
        return items
    if isinstance(value, np.generic):
        return value.item()
    return value
