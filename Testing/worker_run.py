"""Talk to the real worker without Qt: one request after the other, for the demo and for tests."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from types import TracebackType
from typing import Any

ROOT = Path(__file__).resolve().parent.parent


class WorkerFailed(RuntimeError):
    """The worker answered with an error, or ended."""


class Worker:
    """`python -m hideseek_backend.worker` as a child process; a context manager that ends it."""

    def __init__(self, python: str = sys.executable) -> None:
        source = str(ROOT / "hideseek_backend" / "src")
        path = os.pathsep.join(p for p in (source, os.environ.get("PYTHONPATH", "")) if p)
        self._process = subprocess.Popen(
            [python, "-m", "hideseek_backend.worker"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            env={**os.environ, "PYTHONPATH": path},
        )
        self._number = 0
        self.hello = self._read()

    def __enter__(self) -> Worker:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        stdin = self._process.stdin
        if stdin is not None:
            stdin.close()
        try:
            self._process.wait(10)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()

    def _read(self) -> dict[str, Any]:
        stdout = self._process.stdout
        line = stdout.readline() if stdout is not None else b""
        if not line:
            raise WorkerFailed(f"the worker ended with {self._process.wait()}")
        message: dict[str, Any] = json.loads(line)
        return message

    def ask(
        self,
        method: str,
        params: Mapping[str, Any] | None = None,
        on_vertebra: Callable[[dict[str, Any]], None] | None = None,
        on_progress: Callable[[dict[str, Any]], None] | None = None,
    ) -> dict[str, Any]:
        """Send a request and return its result; vertebrae and progress go to the callbacks.

        Raises WorkerFailed with the worker's own words for an error.
        """
        self._number += 1
        request = {"id": str(self._number), "method": method, "params": dict(params or {})}
        stdin = self._process.stdin
        if stdin is None:
            raise WorkerFailed("the worker has no input")
        stdin.write(json.dumps(request).encode("utf-8") + b"\n")
        stdin.flush()
        while True:
            message = self._read()
            if message.get("id") != request["id"]:
                continue
            kind = message.get("type")
            if kind == "result":
                result: dict[str, Any] = message["result"]
                return result
            if kind == "error":
                raise WorkerFailed(f"{message.get('message')} {message.get('remedy') or ''}")
            if kind == "vertebra" and on_vertebra is not None:
                on_vertebra(message["vertebra"])
            if kind == "progress" and on_progress is not None:
                on_progress(message)


def analyse(
    worker: Worker,
    ct: Any,
    vertebrae: Any,
    *,
    bodies: Any = None,
    model: str = "bundled",
    options: Mapping[str, Any] | None = None,
    levels: Iterable[str] | None = None,
    say: Callable[[str], None] = lambda text: None,
) -> Any:
    """Load the model, screen every level, analyse those that are suspicious; returns the Case.

    The same calls in the same order as the panel makes them.
    """
    from HideSeekLib.anatomy.blocks import iter_blocks
    from HideSeekLib.case import case as scene

    options = dict(options or {})
    loaded = worker.ask("load_model", {"model": model, "device": "auto"})
    say(f"model {loaded.get('name')} on {loaded.get('device')}")
    blocks = {
        block.level: block.to_json() for block in iter_blocks(ct, vertebrae, body_node=bodies)
    }
    case = scene.begin_run(
        ct, vertebrae, model=loaded, options=options, levels=list(blocks), body_node=bodies
    )
    screen = worker.ask("screen", {"options": options, "blocks": list(blocks.values())})
    case.set_screen(screen["vertebrae"])
    wanted = set(levels) if levels is not None else _suspicious(screen["vertebrae"])
    say(f"screened {len(blocks)} levels; to analyse: {', '.join(sorted(wanted)) or 'none'}")
    chosen = [block for level, block in blocks.items() if level in wanted]
    if chosen:

        def take(vertebra: dict[str, Any]) -> None:
            case.add_vertebra(vertebra, options)
            say(f"{vertebra['vertebra']}: {len(vertebra['candidates'])} candidates")

        result = worker.ask("segment", {"options": options, "blocks": chosen}, take)
        case.finish(result["provenance"])
    return case


def _suspicious(vertebrae: Iterable[Mapping[str, Any]]) -> set[str]:
    return {
        v["vertebra"]
        for v in vertebrae
        if v.get("p_malignant") is not None and v["p_malignant"] >= 0.5
    }
