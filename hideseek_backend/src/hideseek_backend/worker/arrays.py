"""Arrays inside JSON: {"dtype", "shape", "order", "encoding", "data"}.

Numpy and the standard library only.
"""

from __future__ import annotations

import base64
import binascii
import math
import zlib
from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

DTYPES = ("uint8", "int16", "uint16", "int32", "float32", "float64")
ENCODING = "zlib+base64"
MAX_BYTES = 1 << 31


def encode(array: NDArray[Any]) -> dict[str, Any]:
    """Return an array as a JSON-ready object: C order, little endian, bool as uint8.

    Raises ValueError for a dtype that does not travel.
    """
    values = np.asarray(array)
    if values.dtype == bool:
        values = values.astype(np.uint8)
    if values.dtype.name not in DTYPES:
        raise ValueError(f"expected one of {', '.join(DTYPES)}, got {values.dtype.name}")
    little = np.ascontiguousarray(values, dtype=values.dtype.newbyteorder("<"))
    # Level 1: on CT it packs nearly as small as level 6, several times faster.
    packed = zlib.compress(little.tobytes(), 1)
    return {
        "dtype": values.dtype.name,
        "shape": list(values.shape),
        "order": "C",
        "encoding": ENCODING,
        "data": base64.b64encode(packed).decode("ascii"),
    }


def decode(message: object, *, ndim: int | None = None, max_bytes: int = MAX_BYTES) -> NDArray[Any]:
    """Return the array of such an object, in native byte order and writable.

    ndim: how many dimensions it must have. max_bytes: limit of its unpacked size.
    Raises ValueError saying what was expected and got.
    """
    if not isinstance(message, Mapping):
        raise ValueError(f"expected an array object, got {type(message).__name__}")
    missing = [key for key in ("dtype", "shape", "encoding", "data") if key not in message]
    if missing:
        raise ValueError(f"expected the keys dtype, shape, encoding, data; {missing[0]} is missing")
    name, shape, data = message["dtype"], message["shape"], message["data"]
    if name not in DTYPES:
        raise ValueError(f"expected a dtype among {', '.join(DTYPES)}, got {name!r}")
    if message["encoding"] != ENCODING or message.get("order", "C") != "C":
        raise ValueError(f"expected encoding {ENCODING} in C order, got {message['encoding']!r}")
    if not isinstance(shape, list) or not all(type(n) is int and n >= 0 for n in shape):
        raise ValueError(f"expected a shape of whole numbers, got {shape!r}")
    if ndim is not None and len(shape) != ndim:
        raise ValueError(f"expected {ndim} dimensions, got shape {shape}")
    dtype = np.dtype(str(name)).newbyteorder("<")
    expected = math.prod(shape) * dtype.itemsize
    if expected > max_bytes:
        raise ValueError(f"expected at most {max_bytes} bytes, got shape {shape} of {name}")
    if not isinstance(data, str):
        raise ValueError(f"expected data as text, got {type(data).__name__}")
    raw = _unpack(data, expected)
    if len(raw) != expected:
        raise ValueError(f"expected {expected} bytes for shape {shape} of {name}, got {len(raw)}")
    return np.frombuffer(raw, dtype=dtype).reshape(shape).astype(str(name))


def _unpack(data: str, expected: int) -> bytes:
    """Unpack at most one byte more than expected: a small text may unpack to gigabytes."""
    try:
        packed = base64.b64decode(data, validate=True)
        return zlib.decompressobj().decompress(packed, expected + 1)
    except (binascii.Error, ValueError, zlib.error) as error:
        raise ValueError(f"expected {ENCODING} data, got text that does not unpack") from error
