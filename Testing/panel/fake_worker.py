"""A scripted worker for faults only: it speaks the protocol and misbehaves on request.

Not the backend: it computes nothing. Results are made up so that a test can tell what was kept.
Usage: fake_worker.py BEHAVIOUR, where BEHAVIOUR names the fault (see `main`).
"""

from __future__ import annotations

import base64
import json
import os
import queue
import subprocess
import sys
import threading
import time
import zlib
from typing import Any

BEHAVIOUR = sys.argv[1] if len(sys.argv) > 1 else "good"
SLOW = ("slow", "ignores cancel", "many")
OUT = sys.stdout
requests: queue.Queue[dict[str, Any]] = queue.Queue()
cancelled: set[str] = set()


def say(**message: Any) -> None:
    OUT.write(json.dumps(message) + "\n")
    OUT.flush()


def array(dtype: str, shape: list[int], raw: bytes) -> dict[str, Any]:
    data = base64.b64encode(zlib.compress(raw)).decode()
    return {"dtype": dtype, "shape": shape, "order": "C", "encoding": "zlib+base64", "data": data}


def vertebra(block: dict[str, Any]) -> dict[str, Any]:
    """One lytic candidate: a few voxels in the middle of the block."""
    shape = block["ct"]["shape"]
    i, j, k = (n // 2 for n in shape)
    raw = bytearray(2 * shape[0] * shape[1] * shape[2])
    for dk in range(2):
        raw[2 * ((i * shape[1] + j) * shape[2] + k + dk)] = 1
    affine = block["affine"]
    centre = [
        sum(a * b for a, b in zip(row[:3], (i, j, k), strict=True)) + row[3] for row in affine[:3]
    ]
    number = int(block["level"][1:])
    count = {"many": 2 + number % 4, "crowd": 70}.get(BEHAVIOUR, 1)
    candidates = [
        {
            "vertebra": block["level"],
            "candidate": n + 1,
            "polarity": "blastic" if n % 3 == 2 else "lytic",
            "delta": (0.8 - 0.23 * n) % 1.0,
            "kept": n < 2,
            "p_hide": 0.2,
            "slices": [32],
            "area_px": 6 + n,
            "volume_mm3": 12.0 if not n else 90.0 / n,
            "mean_hu": 40.0 + 300 * (n % 3 == 2),
            "centroid_ras": centre,
        }
        for n in range(count)
    ]
    return {
        "vertebra": block["level"],
        "p_malignant": 0.9,
        "p_healthy_image": 0.1,
        "analysed": True,
        "reason": "",
        "phenotype": "lytic",
        "candidates": candidates,
        "evidence": None,
        "block_labels": array("uint16", shape, bytes(raw)),
        "block_origin_ijk": block["origin_ijk"],
        "body_volume_mm3": 20000.0,
        "lytic_volume_mm3": 12.0,
        "blastic_volume_mm3": 0.0,
        "warnings": [],
        "seconds": 0.1,
    }


def read() -> None:
    for line in sys.stdin:
        message = json.loads(line)
        method = message["method"]
        if BEHAVIOUR == "deaf":
            continue
        if method == "ping":
            say(type="result", id=message["id"], result={})
        elif method == "cancel":
            if BEHAVIOUR != "ignores cancel":
                cancelled.add(message["params"]["target"])
            say(type="result", id=message["id"], result={})
        elif method == "shutdown":
            os._exit(0)
        else:
            requests.put(message)
    os._exit(0)


def work(message: dict[str, Any]) -> None:
    name, request = message["method"], message["id"]
    if f"dies in {name}" == BEHAVIOUR:
        os._exit(3)
    if f"hangs in {name}" == BEHAVIOUR:
        time.sleep(600)
    if BEHAVIOUR == "garbage":
        OUT.write("Traceback: not a message\n{broken json\n\x00\xff{}\n[1, 2]\n")
        OUT.write("x" * 5000 + "\n")
        OUT.flush()
    if name == "load_model":
        if BEHAVIOUR == "bad model":
            say(
                type="error",
                id=request,
                code="model",
                message="The weights were altered.",
                remedy="Install the model again.",
            )
        else:
            say(
                type="result",
                id=request,
                result={"name": "fake", "hash": "0" * 64, "device": "cpu"},
            )
    elif name == "screen":
        found = [
            {"vertebra": b["level"], "p_malignant": 0.95 - 0.05 * n if n % 2 else 0.1, "reason": ""}
            for n, b in enumerate(message["params"]["blocks"])
        ]
        say(type="result", id=request, result={"vertebrae": found})
    elif name == "segment":
        segment(request, message["params"]["blocks"])
    elif name == "score":
        params = message["params"]
        candidate = {
            "vertebra": params["blocks"][0]["level"],
            "candidate": params["number"],
            "polarity": "blastic",
            "delta": 0.61,
            "kept": True,
            "p_hide": 0.45,
            "slices": [30, 31],
            "area_px": 12,
            "volume_mm3": 480.0,
            "mean_hu": 250.0,
            "centroid_ras": [0.0, 0.0, 0.0],
            "source": "reader",
        }
        say(type="result", id=request, result={"candidate": candidate, "warnings": ["odd"]})
    elif name == "report":
        title = message["params"]["title"]
        say(type="result", id=request, result={"html": f"<html>{title}</html>"})
    else:
        say(type="error", id=request, code="protocol", message=f"unknown method {name}", remedy="")


def segment(request: str, blocks: list[dict[str, Any]]) -> None:
    for n, block in enumerate(blocks):
        for step in range(4):
            if request in cancelled:
                say(type="error", id=request, code="cancelled", message="Cancelled.", remedy="")
                return
            say(
                type="progress",
                id=request,
                stage="edit",
                vertebra=block["level"],
                done=4 * n + step,
                total=4 * len(blocks),
                seconds_left=None,
            )
            time.sleep(0.12 if BEHAVIOUR in SLOW else 0.01)
        say(type="vertebra", id=request, vertebra=vertebra(block))
        if BEHAVIOUR == "dies after one":
            os._exit(1)
        if BEHAVIOUR == "hangs after one":
            time.sleep(600)
        if BEHAVIOUR == "malformed vertebra" and n == 0:
            say(type="vertebra", id=request, vertebra={"vertebra": block["level"], "candidates": 7})
    say(type="result", id=request, result={"provenance": {"made": "up"}, "seconds": 0.1})


def main() -> None:
    if BEHAVIOUR == "dies at once":
        sys.exit("no module named torch")
    if BEHAVIOUR == "silent":
        time.sleep(600)
    if BEHAVIOUR == "launcher":
        # PythonSlicer is a launcher: the real Python is its child.
        sys.exit(subprocess.call([sys.executable, __file__, "slow"]))
    say(
        type="hello",
        protocol=99 if BEHAVIOUR == "old" else 2,
        backend="0.1.0",
        python="3.11",
        torch="0",
        devices=["cpu"],
        pid=os.getpid(),
    )
    threading.Thread(target=read, daemon=True).start()
    while True:
        work(requests.get())


main()
