"""Arrays as JSON: the Slicer-side twin of the worker's codec (numpy and standard library only)."""

from __future__ import annotations

import base64
import binascii
import math
import zlib
from typing import Any

import numpy as np

from HideSeekLib.errors import ReplyError

DTYPES = ("uint8", "int8", "uint16", "int16", "uint32", "int32", "int64", "float32", "float64")
ENCODING = "zlib+base64"
# A hostile or broken length field must not make us allocate without bound: 4 GiB is far above any
# block or crop.
_MAX_BYTES = 1 << 32


def encode(array: np.ndarray) -> dict[str, Any]:
    """Encode an array as {"dtype", "shape", "order", "encoding", "data"}.

    array: any shape, C order and little endian on the wire; bool travels as uint8.
    zlib level 1: on CT voxels higher levels cost five times the time for a tenth of the size.
    Raises TypeError for a dtype that the protocol does not name.
    """
    array = np.asarray(array)
    if array.dtype == np.bool_:
        array = array.astype(np.uint8)
    if array.dtype.name not in DTYPES:
        raise TypeError(f"expected an array of one of {DTYPES}, got {array.dtype}")
    little = np.ascontiguousarray(array, dtype=array.dtype.newbyteorder("<"))
    packed = zlib.compress(little.tobytes(), 1)
    return {
        "dtype": array.dtype.name,
        "shape": [int(n) for n in array.shape],
        "order": "C",
        "encoding": ENCODING,
        "data": base64.b64encode(packed).decode("ascii"),
    }


def decode(message: Any) -> np.ndarray:
    """Decode what `encode` wrote into a writable array of native byte order.

    Raises ReplyError when a field is missing, unknown, or the data do not fill the shape.
    """
    if not isinstance(message, dict):
        raise ReplyError(f"expected an encoded array, got {type(message).__name__}")
    dtype, shape = message.get("dtype"), message.get("shape")
    if dtype not in DTYPES or message.get("encoding") != ENCODING or message.get("order") != "C":
        raise ReplyError(
            f"expected dtype in {DTYPES}, order 'C' and encoding '{ENCODING}', got "
            f"dtype {dtype!r}, order {message.get('order')!r}, encoding {message.get('encoding')!r}"
        )
    if not isinstance(shape, list) or not all(type(n) is int and n >= 0 for n in shape):
        raise ReplyError(f"expected a shape of whole numbers, got {shape!r}")
    kind = np.dtype(dtype)
    expected = math.prod(shape) * kind.itemsize
    if expected > _MAX_BYTES:
        raise ReplyError(f"an array of shape {shape} and type {dtype} is larger than any block")
    try:
        packed = base64.b64decode(message.get("data", ""), validate=True)
        stream = zlib.decompressobj()
        raw = stream.decompress(packed, expected + 1)
    except (binascii.Error, zlib.error, TypeError, ValueError) as error:
        raise ReplyError(f"array data cannot be decoded: {error}") from error
    if len(raw) != expected or not stream.eof:
        raise ReplyError(f"expected {expected} bytes for shape {shape} of {dtype}, got {len(raw)}")
    array = np.frombuffer(raw, dtype=kind.newbyteorder("<")).reshape(shape)
    return array.astype(kind)
