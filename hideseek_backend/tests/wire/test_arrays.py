"""Arrays travel unchanged, and malformed ones are refused with what was expected."""

from __future__ import annotations

import base64
import json
import zlib

import numpy as np
import pytest

from hideseek_backend.wire import arrays


@pytest.mark.parametrize("dtype", arrays.DTYPES)
@pytest.mark.parametrize("shape", [(3, 4, 5), (0, 2, 2), (7,), ()])
def test_round_trip_through_json(dtype: str, shape: tuple[int, ...]) -> None:
    array = np.random.default_rng(1).uniform(0, 200, shape).astype(dtype)
    back = arrays.decode(json.loads(json.dumps(arrays.encode(array))))
    assert back.dtype == array.dtype and np.array_equal(back, array)
    assert back.flags.writeable or back.size == 0


def test_layout_and_byte_order_do_not_matter() -> None:
    array = np.arange(24, dtype=">i2").reshape(2, 3, 4).T[::-1]
    assert np.array_equal(arrays.decode(arrays.encode(array)), array)
    assert arrays.encode(np.array([True, False]))["dtype"] == "uint8"


def test_agrees_with_the_documented_bytes() -> None:
    data = base64.b64encode(zlib.compress(b"\x01\x00\xff\xff")).decode()
    message = {"dtype": "int16", "shape": [2], "order": "C", "encoding": "zlib+base64"}
    assert arrays.decode({**message, "data": data}).tolist() == [1, -1]


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"dtype": "object"}, "dtype among"),
        ({"dtype": "complex64"}, "dtype among"),
        ({"encoding": "raw"}, "encoding"),
        ({"order": "F"}, "C order"),
        ({"shape": [2, -1]}, "whole numbers"),
        ({"shape": "2"}, "whole numbers"),
        ({"shape": [True]}, "whole numbers"),
        ({"shape": [3]}, "got 4"),
        ({"shape": [1 << 40]}, "at most"),
        ({"data": "!!!"}, "does not unpack"),
        ({"data": base64.b64encode(b"junk").decode()}, "does not unpack"),
        ({"data": 5}, "data as text"),
        ({"data": ""}, "got 0"),
        ({"data": arrays.encode(np.zeros(2, np.int16))["data"][:-8]}, "unpack|cut off|got"),
    ],
)
def test_malformed_arrays_are_refused(change: dict[str, object], words: str) -> None:
    message = {**arrays.encode(np.zeros(2, np.int16)), **change}
    with pytest.raises(ValueError, match=words):
        arrays.decode(message)


def test_missing_keys_and_wrong_kinds_are_refused() -> None:
    for message in (None, [], {"dtype": "int16"}):
        with pytest.raises(ValueError, match="expected"):
            arrays.decode(message)
    with pytest.raises(ValueError, match="3 dimensions"):
        arrays.decode(arrays.encode(np.zeros(2)), ndim=3)
    with pytest.raises(ValueError, match="expected an array of"):
        arrays.encode(np.zeros(2, np.complex64))


def test_a_small_text_that_unpacks_to_much_is_refused_early() -> None:
    bomb = base64.b64encode(zlib.compress(bytes(50_000_000), 9)).decode()
    message = {"dtype": "uint8", "shape": [8], "encoding": "zlib+base64", "data": bomb}
    with pytest.raises(ValueError, match="expected 8 bytes"):
        arrays.decode(message)
