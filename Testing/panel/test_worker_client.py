"""The client without Qt: a transport in memory and a clock of our own."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest

from HideSeekLib.wire.arrays import CHUNK_BYTES, decode
from HideSeekLib.wire.lines import LineBuffer, decode_line, encode_line, encode_line_steps
from HideSeekLib.wire.version import PROTOCOL
from HideSeekLib.worker.client import WorkerClient
from HideSeekLib.worker.request import Failure, Limits, Request


class Wire:
    """A transport that only remembers; the test plays the worker."""

    def __init__(self) -> None:
        self.sent: list[dict[str, Any]] = []
        self.starts = self.kills = 0

    def start(self, client: WorkerClient) -> None:
        self.starts += 1

    def write(self, data: bytes) -> None:
        self.sent.append(json.loads(data))

    def kill(self) -> None:
        self.kills += 1


class Bench:
    """A client, its wire and its clock."""

    def __init__(self, **limits: float) -> None:
        self.wire, self.now = Wire(), 0.0
        self.client = WorkerClient(self.wire, limits=Limits(**limits), clock=lambda: self.now)
        self.ends: list[Any] = []

    def say(self, **message: Any) -> None:
        self.client.bytes_received(json.dumps(message).encode() + b"\n")
        self.client.tick()

    def hello(self, protocol: int = PROTOCOL) -> None:
        self.say(type="hello", protocol=protocol)
        self.client.tick()

    def ask(self, method: str = "segment", **params: Any) -> str:
        return self.client.submit(
            Request(
                method,
                params,
                on_result=lambda r: self.ends.append(("result", r)),
                on_failure=lambda f: self.ends.append((f.code, str(f))),
                on_vertebra=lambda v: self.ends.append(("vertebra", v["vertebra"])),
            )
        )

    def ticks(self, n: int = 10) -> None:
        for _ in range(n):
            self.client.tick()


def test_a_request_waits_for_hello_then_runs_to_its_result() -> None:
    bench = Bench()
    request = bench.ask()
    bench.ticks()
    assert bench.wire.starts == 1 and not bench.wire.sent
    bench.hello()
    bench.ticks()
    assert bench.wire.sent[-1]["id"] == request
    bench.say(type="vertebra", id=request, vertebra={"vertebra": "T12"})
    bench.say(type="result", id=request, result={"a": 1})
    assert bench.ends == [("vertebra", "T12"), ("result", {"a": 1})]
    assert bench.client.state == "ready"


def test_requests_run_one_at_a_time_in_order() -> None:
    bench = Bench()
    first, second = bench.ask(), bench.ask()
    bench.hello()
    bench.ticks()
    assert [m["id"] for m in bench.wire.sent] == [first]
    bench.say(type="error", id=first, code="input", message="bad", remedy="good")
    bench.ticks()
    assert bench.wire.sent[-1]["id"] == second
    assert bench.ends == [("input", "bad good")]


def test_a_click_does_not_wait_for_the_analysis() -> None:
    bench = Bench()
    first, second, click = bench.ask(), bench.ask(), bench.ask("body", ct=np.zeros(4, np.int16))
    bench.hello()
    bench.ticks()
    assert [m["id"] for m in bench.wire.sent] == [first, click]
    bench.say(type="result", id=click, result={"low": [0, 0, 0]})
    assert bench.ends == [("result", {"low": [0, 0, 0]})] and bench.client.state == "busy"
    other = bench.ask("report")
    bench.ticks()
    assert bench.wire.sent[-1]["id"] == other
    bench.say(type="result", id=first, result={})
    bench.ticks()
    assert bench.wire.sent[-1]["id"] == second and bench.client.busy()
    bench.client.exited("crash")
    assert [end[0] for end in bench.ends[2:]] == ["crashed", "crashed"]


def test_cancel_of_a_running_request_kills_after_the_limit() -> None:
    bench = Bench(cancel=1.5)
    request = bench.ask()
    bench.hello()
    bench.ticks()
    assert bench.client.cancel(request)
    assert bench.wire.sent[-1]["method"] == "cancel"
    assert bench.wire.sent[-1]["params"] == {"target": request}
    bench.now = 1.4
    bench.ticks()
    assert not bench.ends
    bench.now = 1.6
    bench.ticks()
    assert bench.ends[0][0] == "cancelled" and bench.wire.kills == 1
    assert bench.client.state == "stopped"


def test_cancel_of_a_waiting_request_is_at_once() -> None:
    bench = Bench()
    first, second = bench.ask(), bench.ask()
    assert bench.client.cancel(second) and bench.ends[0][0] == "cancelled"
    assert bench.client.cancel(first)
    assert not bench.client.cancel("77")


def test_a_crash_fails_the_running_request_and_the_waiting_one_goes_on() -> None:
    bench = Bench()
    bench.ask()
    second = bench.ask()
    bench.hello()
    bench.ticks()
    bench.client.exited("crash")
    assert [code for code, _ in bench.ends] == ["crashed"]
    assert bench.wire.starts == 2
    bench.hello()
    bench.ticks()
    assert bench.wire.sent[-1]["id"] == second


def test_a_worker_that_never_comes_up_fails_everything_and_is_not_started_again() -> None:
    bench = Bench()
    bench.ask()
    bench.ask()
    bench.client.exited("exit code 1")
    assert [code for code, _ in bench.ends] == ["crashed", "crashed"]
    assert bench.wire.starts == 1 and bench.client.state == "stopped"
    bench.ask()
    assert bench.wire.starts == 2  # the user may try again


def test_a_worker_that_keeps_dying_is_given_up() -> None:
    bench = Bench(restarts=2)
    for _ in range(6):
        bench.ask()
    for _ in range(3):
        bench.hello()
        bench.ticks()
        bench.client.exited("crash")
    assert bench.wire.starts == 3 and len(bench.ends) == 6


def test_results_said_before_a_crash_count() -> None:
    bench = Bench()
    request = bench.ask()
    bench.hello()
    bench.ticks()
    line = json.dumps({"type": "vertebra", "id": request, "vertebra": {"vertebra": "L1"}})
    bench.client.bytes_received(line.encode() + b"\n")
    bench.client.exited("crash")
    assert [kind for kind, _ in bench.ends] == ["vertebra", "crashed"]


def test_no_hello_and_silence_end_in_time() -> None:
    bench = Bench(hello=10)
    bench.ask()
    bench.now = 11
    bench.ticks()
    assert bench.ends[0][0] == "silent" and bench.wire.kills == 1
    bench = Bench(silence=20, ping_every=5)
    bench.ask()
    bench.hello()
    bench.ticks()
    bench.now = 6
    bench.ticks()
    assert bench.wire.sent[-1]["method"] == "ping"
    bench.say(type="result", id="99", result={})  # any word counts
    bench.now = 25
    bench.ticks()
    assert not bench.ends
    bench.now = 27
    bench.ticks()
    assert bench.ends[0][0] == "silent"


def test_another_protocol_is_refused_with_what_to_do() -> None:
    bench = Bench()
    bench.ask()
    bench.hello(protocol=PROTOCOL + 1)
    assert bench.ends[0][0] == "protocol" and "Install" in bench.ends[0][1]
    assert bench.wire.kills == 1


def test_garbage_changes_nothing() -> None:
    bench = Bench()
    notes: list[str] = []
    bench.client.on_log = notes.append
    request = bench.ask()
    bench.client.bytes_received(b'Last login: today\n{not json\n[1]\n\xff\xfe\n{"a": 1}\n\n')
    bench.hello()
    bench.ticks()
    bench.client.bytes_received(b"half a line without end ")
    bench.client.bytes_received(b"that ends\n")
    bench.say(type="result", id=request, result={})
    assert bench.ends == [("result", {})] and len(notes) == 6


def test_a_failing_callback_leaves_the_client_usable() -> None:
    bench = Bench()
    bench.client.submit(Request("screen", {}, on_result=lambda r: 1 / 0))
    second = bench.ask()
    bench.hello()
    bench.ticks()
    bench.say(type="result", id=bench.wire.sent[-1]["id"], result={})
    bench.ticks()
    bench.say(type="result", id=second, result={})
    assert bench.ends == [("result", {})]


def test_what_cannot_be_sent_fails_alone() -> None:
    bench = Bench()
    bench.ask(bad=object())
    good = bench.ask()
    bench.hello()
    bench.ticks()
    assert bench.ends[0][0] == "input"
    assert bench.wire.sent[-1]["id"] == good


def test_shutdown_asks_then_kills() -> None:
    bench = Bench(shutdown=1)
    bench.ask()
    bench.hello()
    bench.ticks()
    bench.client.shutdown()
    assert bench.wire.sent[-1]["method"] == "shutdown" and bench.ends[0][0] == "cancelled"
    bench.now = 2
    bench.ticks()
    assert bench.wire.kills == 1 and bench.client.state == "stopped"


@pytest.mark.parametrize("shape", [(0, 3, 3), (1,), (5, 6, 7), (300, 300, 12)])
def test_arrays_survive_the_chunked_encoding(shape: tuple[int, ...]) -> None:
    rng = np.random.default_rng(0)
    for dtype in ("int16", "uint8", "float32"):
        array = rng.integers(0, 200, shape).astype(dtype)
        back = decode(json.loads(encode_line({"type": "x", "a": [array]}))["a"][0])
        assert back.dtype == array.dtype and np.array_equal(back, array)


def test_encoding_yields_at_least_once_per_chunk() -> None:
    array = np.random.default_rng(0).integers(0, 255, CHUNK_BYTES * 4, dtype=np.uint8)
    steps = sum(1 for _ in encode_line_steps({"a": array}))
    assert steps >= 4


def test_fortran_order_and_views_are_sent_in_c_order() -> None:
    array = np.asfortranarray(np.arange(24, dtype=np.int16).reshape(2, 3, 4))[:, ::-1]
    back = decode(json.loads(encode_line({"a": array}))["a"])
    assert np.array_equal(back, array)


def test_line_buffer_cuts_and_limits() -> None:
    lines = LineBuffer(limit=10)
    assert list(lines.feed(b"ab")) == [] and list(lines.feed(b"c\nd\n")) == [b"abc", b"d"]
    assert list(lines.feed(b"x" * 30)) == [] and list(lines.feed(b"yy\nok\n")) == [b"ok"]
    assert lines.dropped == 1


def test_only_objects_with_a_type_are_messages() -> None:
    assert decode_line(b'{"type": "result"}') == {"type": "result"}
    for line in (b"", b"text", b"[1]", b'{"type": 1}', b'{"type"', b"\xff", b"{}"):
        assert decode_line(line) is None


def test_failure_reads_as_a_sentence() -> None:
    assert str(Failure("model", "It failed.", "Try again.")) == "It failed. Try again."
