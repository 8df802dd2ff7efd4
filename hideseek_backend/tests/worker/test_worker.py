"""The real worker process with a tiny model: results, faults, cancellation, and its end."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tiny_model import write_tiny_model
from worker_process import Worker

from hideseek_backend.volumes.volume import Volume
from hideseek_backend.wire import arrays

SHAPE = (40, 48, 56)
AFFINE = np.array([[-1.2, 0, 0, 24.0], [0, 0, -1.3, 36.0], [0, 1.25, 0, -400.0], [0, 0, 0, 1.0]])


@pytest.fixture(scope="module", name="model")
def model_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_tiny_model(tmp_path_factory.mktemp("models") / "tiny")


@pytest.fixture(scope="module", name="worker")
def warm_worker(model: Path) -> Iterator[Worker]:
    """One worker for the tests that leave it well."""
    with Worker() as worker:
        hello = worker.next()
        assert hello is not None and hello["type"] == "hello"
        worker.result("load", "load_model", model=str(model), device="cpu")
        yield worker


def block(level: str, **changes: Any) -> dict[str, Any]:
    """Return a vertebra block as a client sends it: a bright cuboid in soft tissue."""
    volume = Volume(np.zeros(SHAPE, np.int16), AFFINE)
    ras = volume.ras(np.moveaxis(np.indices(SHAPE), 0, -1))
    r, a, s = np.moveaxis(ras - volume.ras((np.array(SHAPE) - 1) / 2), -1, 0)
    body = (np.abs(r) < 16) & (np.abs(a) < 14) & (np.abs(s) < 11)
    ct = np.random.default_rng(0).normal(40, 10, SHAPE)
    ct[np.abs(a) > 20] -= 140  # fat
    ct[body] += 180
    lesion = (r**2 + a**2 + s**2) < 30
    ct[lesion] += 500
    message: dict[str, Any] = {
        "level": level,
        "ct": arrays.encode(np.round(ct).astype(np.int16)),
        "affine": AFFINE.tolist(),
        "vertebra": arrays.encode(body),
        "body": arrays.encode(body),
        "origin_ijk": [7, 8, 9],
        "edges": [[False, False]] * 3,
    }
    return {**message, **changes}


def test_hello_and_info() -> None:
    with Worker() as worker:
        hello = worker.next()
        assert hello is not None
        assert (hello["type"], hello["protocol"]) == ("hello", 2)
        assert hello["pid"] == worker.process.pid and "cpu" in hello["devices"]
        assert {"backend", "python", "torch"} <= set(hello)
        info = worker.result("1", "info")
        assert info["model"] is None and info["versions"]["torch"] == hello["torch"]
        worker.result("2", "shutdown")
        assert worker.process.wait(timeout=20) == 0


def test_model_is_described(worker: Worker, model: Path) -> None:
    loaded = worker.result("m", "load_model", model=str(model), device="cpu")
    assert (loaded["name"], loaded["device"]) == ("tiny", "cpu")
    assert len(loaded["hash"]) == 64 and loaded["intensity"]["kind"] == "window"
    assert loaded["defaults"]["fast"]["invert_steps"] == 2


def click(level: str = "T12", **changes: Any) -> dict[str, Any]:
    """Return what the body about the cuboid's middle is asked with."""
    sent = {key: block(level)[key] for key in ("level", "ct", "affine")}
    middle = Volume(np.zeros(SHAPE, np.int16), AFFINE).ras((np.array(SHAPE) - 1) / 2)
    return {**sent, "point": (middle + [3.0, -2.0, 2.0]).tolist(), **changes}


def test_a_body_about_a_click_without_a_model() -> None:
    with Worker() as worker:
        assert worker.next() is not None
        found = worker.result("b", "body", **click())
        assert worker.result("i", "info")["model"] is None
    mask = arrays.decode(found["mask"])
    whole = np.zeros(SHAPE, bool)
    low = found["low"]
    whole[tuple(slice(a, a + n) for a, n in zip(low, mask.shape, strict=True))] = mask
    truth = arrays.decode(block("T12")["body"]).astype(bool)
    assert 2 * (whole & truth).sum() / (whole.sum() + truth.sum()) > 0.85
    assert mask.any(axis=(1, 2)).all() and mask.any(axis=(0, 1)).all()


@pytest.mark.parametrize(
    ("changes", "code", "words"),
    [
        ({"point": [0.0, 1.0]}, "protocol", "3 numbers"),
        ({"point": [5000.0, 0.0, 0.0]}, "input", "within the CT"),
        ({"level": "X1"}, "protocol", "level"),
        ({"ct": arrays.encode(np.zeros(SHAPE, np.int16))}, "input", "Expected bone"),
    ],
)
def test_a_click_that_cannot_be_used_is_told(
    worker: Worker, changes: dict[str, Any], code: str, words: str
) -> None:
    error = worker.error("bad", "body", **click(**changes))
    assert error["code"] == code and words in error["message"] and error["remedy"]


def test_screen(worker: Worker) -> None:
    body = arrays.decode(block("L1")["body"])
    body[:, :, 0] = 1
    edges = [[False, False], [False, False], [True, False]]
    blocks = [block("T12"), block("L1", body=arrays.encode(body), edges=edges)]
    result = worker.result("s", "screen", blocks=blocks)
    first, second = result["vertebrae"]
    assert (first["vertebra"], second["vertebra"]) == ("T12", "L1")
    assert 0.5 < first["p_malignant"] <= 1 and first["reason"] == ""
    assert second["reason"] == "cut by the field of view"


def refused(voxels: np.ndarray) -> dict[str, Any]:
    return {"ct": arrays.encode(voxels)}


CT = arrays.decode(block("T12")["ct"])


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        (refused(np.where(CT > 150, np.float32(np.nan), CT).astype(np.float32)), "NaN"),
        (refused(CT - CT.min()), "MR image"),
        (refused((CT + 1024).astype(np.int16)), "offset of -1024"),
        (refused((CT / 100).astype(np.float32)), "normalised"),
        (refused(np.zeros(SHAPE, np.int16)), "0 everywhere"),
        ({"affine": (AFFINE @ np.diag([8.0, 1, 1, 1])).tolist()}, "at most 6 mm"),
    ],
)
def test_a_block_is_refused_as_a_file_is(
    worker: Worker, changes: dict[str, Any], words: str
) -> None:
    for method in ("screen", "segment"):
        error = worker.error("no", method, blocks=[block("T12", **changes)])
        assert error["code"] == "input" and words in error["message"]


def test_padding_at_the_body_cuts_it(worker: Worker) -> None:
    padded = CT.copy()
    padded[:, :, :22] = -2000
    result = worker.result("pad", "screen", blocks=[block("T12", **refused(padded))])
    assert result["vertebrae"][0]["reason"] == "cut by the field of view"


def test_segment_streams_each_vertebra(worker: Worker) -> None:
    worker.ask("seg", "segment", blocks=[block("T12"), block("L1")], options={"tau": 0.25})
    replies = worker.until("result", "error")
    assert replies[-1]["type"] == "result" and all(r["id"] == "seg" for r in replies)
    assert replies[-1]["result"]["provenance"]["options"]["tau"] == 0.25
    streamed = [r["vertebra"] for r in replies if r["type"] == "vertebra"]
    assert [v["vertebra"] for v in streamed] == ["T12", "L1"]
    vertebra = streamed[0]
    assert vertebra["analysed"] and vertebra["block_origin_ijk"] == [7, 8, 9]
    labels = arrays.decode(vertebra["block_labels"])
    assert labels.shape == SHAPE and labels.dtype == np.uint16
    numbers = {c["candidate"] for c in vertebra["candidates"]}
    assert set(np.unique(labels)) - {0} <= numbers
    evidence = vertebra["evidence"]
    healthy = arrays.decode(evidence["healthy"])
    assert healthy.shape == (64, 64, len(evidence["slices"])) and healthy.dtype == np.float32
    difference = arrays.decode(evidence["difference"])
    assert np.allclose(difference, healthy - arrays.decode(evidence["image"]), atol=0.01)
    assert evidence["unit"] == "HU" and arrays.decode(evidence["affine"]).shape == (4, 4)
    progress = [r for r in replies if r["type"] == "progress"]
    assert progress and all(0 <= p["done"] <= p["total"] == 200 for p in progress)
    assert {"stage", "vertebra", "seconds_left"} <= set(progress[0])


def test_a_drawn_region_is_scored(worker: Worker) -> None:
    region = np.zeros(SHAPE, np.uint8)
    region[18:22, 22:26, 26:30] = 1
    others = np.zeros(SHAPE, np.uint16)
    others[12:15, 22:26, 26:30] = 3
    params: dict[str, Any] = {"blocks": [block("T12")], "region": arrays.encode(region)}
    result = worker.result("drawn", "score", **params, others=arrays.encode(others), number=4)
    scored = result["candidate"]
    assert (scored["vertebra"], scored["candidate"], scored["source"]) == ("T12", 4, "reader")
    assert scored["volume_mm3"] == pytest.approx(64 * 1.2 * 1.25 * 1.3, rel=1e-3)
    assert scored["polarity"] in ("lytic", "blastic") and np.isfinite(scored["delta"])
    told = worker.result("told", "score", **params, polarity="lytic")["candidate"]
    assert (told["polarity"], told["candidate"]) == ("lytic", 1)
    for wrong, what in (
        ({"number": 3, "others": arrays.encode(others)}, "number"),
        ({"polarity": "sclerotic"}, "polarity"),
        ({"region": arrays.encode(region[1:])}, "region"),
        ({"region": arrays.encode(0 * region)}, "region"),
    ):
        error = worker.error(f"wrong {what} {len(wrong)}", "score", **{**params, **wrong})
        assert what in error["message"]


def test_a_missing_body_is_split_off_by_geometry(worker: Worker) -> None:
    result = worker.result("geo", "segment", blocks=[block("L2", body=None)])
    assert result["seconds"] >= 0


def test_an_empty_body_is_reported_not_fatal(worker: Worker) -> None:
    empty = arrays.encode(np.zeros(SHAPE, np.uint8))
    worker.ask("e", "segment", blocks=[block("T9", body=empty), block("T10")])
    replies = worker.until("result", "error")
    streamed = {
        r["vertebra"]["vertebra"]: r["vertebra"] for r in replies if r["type"] == "vertebra"
    }
    assert not streamed["T9"]["analysed"] and "no body" in streamed["T9"]["reason"]
    assert streamed["T9"]["p_malignant"] is None and streamed["T10"]["analysed"]


def test_a_report_of_vertebrae_sent_along(worker: Worker) -> None:
    worker.ask("r1", "segment", blocks=[block("T12")])
    replies = worker.until("result", "error")
    streamed = [r["vertebra"] for r in replies if r["type"] == "vertebra"]
    streamed[0]["candidates"][0]["decision"] = "accept"
    page = worker.result(
        "r3",
        "report",
        vertebrae=streamed,
        title="Case 7",
        provenance=replies[-1]["result"]["provenance"],
        options={},
    )["html"]
    assert "Case 7" in page and "accepted" in page and page.startswith("<!DOCTYPE html>")


@pytest.mark.parametrize(
    ("changes", "code", "words"),
    [
        ({"blocks": []}, "protocol", "at least one"),
        ({"blocks": [block("T12"), block("T12")]}, "protocol", "each level once"),
        ({"blocks": [block("X1")]}, "protocol", "level"),
        ({"blocks": [block("T12", edges=[True])]}, "protocol", "two flags"),
        ({"blocks": [block("T12", affine=[[1, 2], [3, 4]])]}, "protocol", "16 numbers"),
        ({"blocks": [block("T12", affine=np.zeros((4, 4)).tolist())]}, "input", "affine"),
        ({"blocks": [block("T12", ct={"dtype": "int16"})]}, "protocol", "ct"),
        (
            {"blocks": [block("T12", body=arrays.encode(np.zeros((2, 2, 2), np.uint8)))]},
            "protocol",
            "shape of the CT",
        ),
        ({"blocks": [block("T12")], "options": {"tau": "high"}}, "input", "tau"),
        ({"blocks": [block("T12")], "options": {"taux": 1}}, "input", "taux"),
        ({"blocks": [block("T12")], "options": [1]}, "protocol", "options"),
    ],
)
def test_malformed_requests_end_with_a_typed_error(
    worker: Worker, changes: dict[str, Any], code: str, words: str
) -> None:
    error = worker.error("bad", "segment", **changes)
    assert error["code"] == code and words in error["message"] and error["remedy"]
    assert worker.result("after", "ping") == {"busy": False}


def test_models_and_devices_that_are_not_there(worker: Worker, tmp_path: Path) -> None:
    assert worker.error("m1", "load_model", model=str(tmp_path))["code"] == "model"
    assert worker.error("m2", "load_model", model=5)["code"] == "protocol"
    import torch

    if not torch.cuda.is_available():
        assert worker.error("m3", "load_model", device="cuda")["code"] == "device"
    # The model that was loaded before is still there.
    assert worker.result("m4", "info")["model"]["name"] == "tiny"


def test_reports_without_vertebrae_are_refused(worker: Worker) -> None:
    assert worker.error("x1", "report")["code"] == "protocol"
    assert worker.error("x2", "report", vertebrae=[{"level": "T12"}])["code"] == "protocol"


def test_garbage_does_not_hurt(worker: Worker) -> None:
    worker.write(b'\xff\x00garbage\n\n   \n[]\n{"id":"q","method":"fly"}\n')
    replies = [worker.next() for _ in range(3)]
    assert [r["id"] for r in replies if r] == [None, None, "q"]
    assert {r["code"] for r in replies if r} == {"protocol"}
    assert worker.result("ok", "ping") == {"busy": False}


def slow_worker(seconds: float) -> Worker:
    """Return a worker whose network takes `seconds` a call, cancelled or not."""
    return Worker(
        preamble=f"""
import time
from hideseek_backend.dae.autoencoder import DiffusionAutoencoder as D
real = D.encode
def encode(self, *args, **kwargs):
    print("a stray print of a library")
    time.sleep({seconds})
    return real(self, *args, **kwargs)
D.encode = encode
"""
    )


def test_a_click_is_answered_while_an_analysis_runs(model: Path) -> None:
    with slow_worker(2.0) as worker:
        worker.next()
        worker.result("l", "load_model", model=str(model), device="cpu")
        worker.ask("job", "segment", blocks=[block(f"T{n}") for n in range(1, 9)])
        worker.ask("click", "body", **click())
        found = worker.until("result", "error")[-1]
        assert (found["id"], found["type"]) == ("click", "result") and "low" in found["result"]
        worker.ask("p", "ping")
        assert worker.until("result")[-1]["result"] == {"busy": True}


@pytest.mark.parametrize("seconds", [0.3, 6.0])
def test_cancel_ends_a_job_within_two_seconds(model: Path, seconds: float) -> None:
    with slow_worker(seconds) as worker:
        worker.next()
        worker.result("l", "load_model", model=str(model), device="cpu")
        worker.ask("job", "segment", blocks=[block(f"T{n}") for n in range(1, 9)])
        worker.ask("waiting", "segment", blocks=[block("L1")])
        worker.ask("p", "ping")
        assert [r for r in worker.until("result") if r["id"] == "p"][0]["result"]["busy"]
        time.sleep(0.5)
        start = time.monotonic()
        worker.ask("c1", "cancel", target="waiting")
        worker.ask("c2", "cancel", target="job")
        ended: dict[str, str] = {}
        acknowledged: set[str] = set()
        # The acknowledgements may come before or after the jobs' own ends.
        while set(ended) != {"job", "waiting"} or acknowledged != {"c1", "c2"}:
            reply = worker.next(10)
            assert reply is not None
            if reply["type"] == "error":
                ended[reply["id"]] = reply["code"]
            elif reply["type"] == "result":
                acknowledged.add(reply["id"])
        assert time.monotonic() - start < 2.0
        assert set(ended.values()) == {"cancelled"}
        assert worker.result("c3", "cancel", target="job") == {"state": "unknown"}
        # It goes on serving, and says nothing more about what was cancelled.
        worker.ask("next", "screen", blocks=[block("L1")])
        replies = worker.until("result", "error")
        assert replies[-1]["id"] == "next" and {r["id"] for r in replies} == {"next"}
        assert b"a stray print of a library" in b"".join(worker.log)


def test_the_worker_ends_with_its_parent_even_while_it_computes(model: Path) -> None:
    with slow_worker(30.0) as worker:
        worker.next()
        worker.result("l", "load_model", model=str(model), device="cpu")
        worker.ask("job", "screen", blocks=[block("T12")])
        time.sleep(0.5)
        start = time.monotonic()
        assert worker.close_input() == 0
        assert time.monotonic() - start < 3.0


def test_an_id_in_use_is_refused(model: Path) -> None:
    with slow_worker(1.0) as worker:
        worker.next()
        worker.result("l", "load_model", model=str(model), device="cpu")
        worker.ask("same", "screen", blocks=[block("T12")])
        worker.ask("same", "screen", blocks=[block("T12")])
        error = worker.until("error")[-1]
        assert error["code"] == "protocol" and "id" in error["message"]


def test_a_fault_inside_ends_one_request_only(model: Path) -> None:
    preamble = (
        "import hideseek_backend.dae.autoencoder as a\n"
        "def broken(self, *args, **kwargs): raise ZeroDivisionError('a fault')\n"
        "a.DiffusionAutoencoder.encode = broken"
    )
    with Worker(preamble=preamble) as worker:
        worker.next()
        worker.result("l", "load_model", model=str(model), device="cpu")
        error = worker.error("f", "screen", blocks=[block("T12")])
        assert error["code"] == "internal" and "a fault" in error["message"]
        assert worker.result("p", "ping") == {"busy": False}


def test_a_broken_torch_is_told_in_the_hello() -> None:
    preamble = "import sys; sys.modules['torch'] = None"
    with Worker(preamble=preamble) as worker:
        hello = worker.next()
        assert hello is not None and hello["torch"] is None and hello["devices"] == []
        assert "torch cannot be imported" in hello["problem"]
        assert worker.error("1", "load_model")["code"] in ("internal", "model")
