"""Requests are read strictly, errors are typed, and lines survive any cut of the stream."""

from __future__ import annotations

import json
import os
import threading

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hideseek_backend import errors
from hideseek_backend.progress import Eta
from hideseek_backend.wire.lines import encode_line
from hideseek_backend.wire.words import CODES
from hideseek_backend.worker.channel import Channel
from hideseek_backend.worker.protocol import ProtocolError, error_reply, parse_request


def test_a_request() -> None:
    request = parse_request(b'{"id":"1","method":"segment","params":{"blocks":[]}}')
    assert (request.id, request.method, request.params) == ("1", "segment", {"blocks": []})
    assert parse_request(b'{"id":7,"method":"ping","protocol":2}').params == {}


@pytest.mark.parametrize(
    ("line", "identifier", "words"),
    [
        (b"garbage", None, "JSON object"),
        (b"\xff\xfe\x00", None, "JSON object"),
        (b"[1, 2]", None, "JSON object"),
        (b"[" * 100_000, None, "JSON object"),
        (b'{"method":"ping"}', None, "an id"),
        (b'{"id":null,"method":"ping"}', None, "an id"),
        (b'{"id":true,"method":"ping"}', None, "an id"),
        (b'{"id":"1"}', "1", "a method among"),
        (b'{"id":"1","method":"rm"}', "1", "a method among"),
        (b'{"id":"1","method":["ping"]}', "1", "a method among"),
        (b'{"id":"1","method":"ping","params":[]}', "1", "params as an object"),
        (b'{"id":"1","method":"ping","protocol":1}', "1", "protocol 2, got 1"),
    ],
)
def test_malformed_requests(line: bytes, identifier: str | None, words: str) -> None:
    with pytest.raises(ProtocolError, match=words) as caught:
        parse_request(line)
    assert caught.value.request_id == identifier
    assert error_reply(caught.value, caught.value.request_id)["code"] == "protocol"


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (errors.InputError("x"), "input"),
        (errors.GeometryError("x"), "input"),
        (errors.LabelError("x"), "input"),
        (errors.OptionError("x"), "input"),
        (errors.ModelError("x"), "model"),
        (errors.DeviceError("x"), "device"),
        (errors.OutputError("x"), "internal"),
        (errors.Cancelled(), "cancelled"),
        (MemoryError(), "device"),
        (type("OutOfMemoryError", (RuntimeError,), {})("CUDA"), "device"),
        (ZeroDivisionError("x"), "internal"),
        (errors.HideSeekError("x"), "internal"),
    ],
)
def test_every_failure_has_a_code(error: BaseException, code: str) -> None:
    reply = error_reply(error, "9")
    assert reply["code"] == code and code in CODES
    assert set(reply) == {"type", "id", "code", "message", "remedy"}


def test_lines_are_ascii_without_breaks() -> None:
    line = encode_line({"text": "Δ\n…"})
    assert line.isascii() and line.count(b"\n") == 1 and json.loads(line)["text"] == "Δ\n…"
    with pytest.raises(ValueError):
        encode_line({"p": float("nan")})


def _read_all(data: bytes, cuts: list[int], max_line: int) -> list[bytes | str]:
    read, write = os.pipe()

    def feed() -> None:
        start = 0
        for end in sorted({c % (len(data) + 1) for c in cuts} | {len(data)}):
            os.write(write, data[start:end])
            start = end
        os.close(write)

    thread = threading.Thread(target=feed)
    thread.start()
    found = [
        "too long" if isinstance(line, ProtocolError) else line
        for line in Channel(read, -1, max_line=max_line).lines()
    ]
    thread.join()
    os.close(read)
    return found


@settings(deadline=None, max_examples=40)
@given(
    st.lists(st.binary(max_size=30).map(lambda b: b.replace(b"\n", b"")), max_size=8),
    st.lists(st.integers(0, 300), max_size=6),
)
def test_lines_survive_any_cut(lines: list[bytes], cuts: list[int]) -> None:
    data = b"".join(line + b"\n" for line in lines) + b"unfinished"
    expected = ["too long" if len(line) > 20 else line for line in lines]
    assert _read_all(data, cuts, max_line=20) == expected


def test_messages_of_several_threads_never_mix() -> None:
    read, write = os.pipe()
    channel = Channel(-1, write)
    texts = [str(n) * 50_000 for n in range(6)]
    threads = [threading.Thread(target=channel.send, args=({"t": t},)) for t in texts]
    received = bytearray()

    def drain() -> None:
        while piece := os.read(read, 1 << 16):
            received.extend(piece)

    reader = threading.Thread(target=drain)
    reader.start()
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    os.close(write)
    reader.join()
    os.close(read)
    found = [json.loads(line)["t"] for line in bytes(received).splitlines()]
    assert sorted(found) == texts


def test_time_left() -> None:
    now = [0.0]
    eta = Eta(clock=lambda: now[0])
    assert eta.seconds_left(0, 100) is None
    now[0] = 10.0
    assert eta.seconds_left(25, 100) == 30.0
    now[0] = 20.0
    assert eta.seconds_left(0, 8) is None, "another count has begun"
    now[0] = 24.0
    assert eta.seconds_left(2, 8) == 12.0
