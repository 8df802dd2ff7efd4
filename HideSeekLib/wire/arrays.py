"""Arrays inside JSON: {"dtype", "shape", "order", "encoding", "data"}.

Encoding is also to be had in short steps, because Slicer's event loop holds the interpreter lock:
a Python thread would not run while the window waits, so the panel advances a generator instead.
"""

from __future__ import annotations

import base64
import binascii
import math
import zlib
from collections.abc import Generator, Mapping
from typing import Any

import numpy as np

from .errors import WireError

DTYPES = ("uint8", "int8", "uint16", "int16", "uint32", "int32", "int64", "float32", "float64")
ENCODING = "zlib+base64"
# A broken or hostile length must not make us allocate without bound: far above any block.
MAX_BYTES = 1 << 31
CHUNK_BYTES = 768 * 1024
"""Bytes handled between two steps: about 10 ms of zlib; a multiple of 3, as base64 needs."""


def run_steps(steps: Generator[None, None, Any]) -> Any:
    """Run a step generator to its end and return its value."""
    while True:
        try:
            next(steps)
        except StopIteration as stop:
            return stop.value


def encode(array: np.ndarray) -> dict[str, Any]:
    """Return an array of any shape as a JSON-ready object: C order, little endian, bool as uint8.

    Raises WireError for a dtype that does not travel.
    """
    message: dict[str, Any] = run_steps(encode_steps(array))
    return message


def encode_steps(array: np.ndarray) -> Generator[None, None, dict[str, Any]]:
    """As `encode`, in short steps; the generator returns the object."""
    array = np.asarray(array)
    if array.dtype == np.bool_:
        array = array.astype(np.uint8)
    if array.dtype.name not in DTYPES:
        raise WireError(f"expected an array of {', '.join(DTYPES)}, got {array.dtype.name}")
    little = np.ascontiguousarray(array, dtype=array.dtype.newbyteorder("<"))
    raw = little.reshape(-1).view(np.uint8).data
    # Level 1: on CT voxels higher levels cost five times the time for a tenth of the size.
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
    return {
        "dtype": array.dtype.name,
        "shape": [int(n) for n in array.shape],
        "order": "C",
        "encoding": ENCODING,
        "data": b"".join(text).decode("ascii"),
    }


def decode(message: object, *, ndim: int | None = None, max_bytes: int = MAX_BYTES) -> np.ndarray:
    """Return the array of such an object, in native byte order and writable.

    ndim: how many dimensions it must have. max_bytes: limit of its unpacked size.
    Raises WireError saying what was expected and got.
    """
    if not isinstance(message, Mapping):
        raise WireError(f"expected an encoded array, got {type(message).__name__}")
    name, shape, data = (message.get(key) for key in ("dtype", "shape", "data"))
    if name not in DTYPES:
        raise WireError(f"expected a dtype among {', '.join(DTYPES)}, got {name!r}")
    if message.get("encoding") != ENCODING or message.get("order", "C") != "C":
        raise WireError(f"expected encoding {ENCODING} in C order, got {message.get('encoding')!r}")
    if not isinstance(shape, list) or not all(type(n) is int and n >= 0 for n in shape):
        raise WireError(f"expected a shape of whole numbers, got {shape!r:.60}")
    if ndim is not None and len(shape) != ndim:
        raise WireError(f"expected {ndim} dimensions, got shape {shape}")
    dtype = np.dtype(str(name))
    expected = math.prod(shape) * dtype.itemsize
    if expected > max_bytes:
        raise WireError(f"expected at most {max_bytes} bytes, got shape {shape} of {name}")
    if not isinstance(data, str):
        raise WireError(f"expected data as text, got {type(data).__name__}")
    raw = _unpack(data, expected)
    if len(raw) != expected:
        raise WireError(f"expected {expected} bytes for shape {shape} of {name}, got {len(raw)}")
    return np.frombuffer(raw, dtype=dtype.newbyteorder("<")).reshape(shape).astype(dtype)


def _unpack(data: str, expected: int) -> bytes:
    """Unpack at most one byte more than expected: a small text may unpack to gigabytes."""
    try:
        packed = base64.b64decode(data, validate=True)
        stream = zlib.decompressobj()
        raw = stream.decompress(packed, expected + 1)
    except (binascii.Error, ValueError, zlib.error) as error:
        raise WireError(f"expected {ENCODING} data, got text that does not unpack") from error
    if len(raw) == expected and not stream.eof:
        raise WireError(f"expected whole {ENCODING} data, got a stream that was cut off")
    return raw
