"""A worker that dies, hangs, babbles or refuses: the panel stays usable and keeps what came.

The `core` fixture fails a test from whose slots an exception escaped.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Any

import pytest
from harness import PanelBench, runs, spin, usable, wait

from HideSeekLib.worker.process_tree import descendants


@pytest.mark.parametrize(
    "behaviour", ["dies at once", "dies in load_model", "dies in segment", "dies after one"]
)
def test_a_worker_that_dies(make: Callable[..., PanelBench], behaviour: str) -> None:
    bench = make(behaviour)
    bench.analyse_all()
    bench.finish()
    assert "stopped unexpectedly" in bench.status()
    if behaviour == "dies after one":
        assert "Kept what was finished: T11" in bench.status()
        assert bench.panel.review.table.shown() == ["T11:1"]
    usable(bench)


@pytest.mark.parametrize(
    "behaviour", ["hangs in load_model", "hangs in segment", "hangs after one"]
)
def test_cancel_stops_within_two_seconds(make: Callable[..., PanelBench], behaviour: str) -> None:
    bench = make(behaviour)
    bench.analyse_all()
    analysis = bench.board.analysis
    wait(
        lambda: (
            analysis.job is not None
            and bench.panel.work.client.state == "busy"
            and {
                "hangs in load_model": analysis.job.state == "model",
                "hangs in segment": analysis.job.state == "running",
                "hangs after one": bool(analysis.job.finished),
            }[behaviour]
        )
    )
    pid = bench.transports[-1].process_id()
    bench.click("cancelButton")
    assert bench.finish(2.5) < 2.2
    assert bench.status().startswith("Cancelled")
    spin(0.2)
    assert not os.path.exists(f"/proc/{pid}")
    if behaviour == "hangs after one":
        assert bench.panel.review.table.shown() == ["T11:1"]
    usable(bench)


def test_a_polite_worker_survives_cancel(make: Callable[..., PanelBench]) -> None:
    bench = make("slow")
    bench.analyse_all()
    wait(lambda: bench.board.analysis.job and bench.board.analysis.job.finished)
    pid = bench.transports[-1].process_id()
    bench.click("cancelButton")
    assert bench.finish(2.5) < 2.0
    assert "Kept what was finished: T11" in bench.status()
    assert os.path.exists(f"/proc/{pid}") and bench.panel.work.client.state == "ready"


@pytest.mark.parametrize("stage", ["waiting", "starting", "cutting"])
def test_cancel_before_anythingruns(make: Callable[..., PanelBench], stage: str) -> None:
    bench = make("good")
    bench.analyse_all()
    analysis = bench.board.analysis
    if stage == "starting":
        wait(lambda: bench.panel.work.client.state == "starting")
    elif stage == "cutting":
        wait(lambda: analysis.job is not None and analysis.job.state == "cutting")
    bench.click("cancelButton")
    assert bench.finish(2.5) < 2.2
    assert bench.status().startswith("Cancelled")
    usable(bench)


def test_the_launcher_and_its_child_are_killed(make: Callable[..., PanelBench]) -> None:
    bench = make("launcher")
    bench.analyse_all()
    wait(lambda: bench.board.analysis.job and bench.board.analysis.job.state == "running")
    root = bench.transports[-1].process_id()
    family = [root, *descendants(root)]
    assert len(family) == 2
    bench.panel.work.client.kill()
    wait(lambda: not any(runs(pid) for pid in family), 3)


def test_garbage_on_stdout(make: Callable[..., PanelBench]) -> None:
    bench = make("garbage")
    bench.analyse_all()
    bench.finish()
    assert "Done" in bench.status() and bench.ui.candidatesTable.rowCount == 3
    assert "Traceback: not a message" in bench.ui.logText.toPlainText()


def test_a_worker_that_never_says_hello(make: Callable[..., PanelBench]) -> None:
    bench = make("silent", hello=0.5)
    bench.analyse_all()
    bench.finish()
    assert "did not start" in bench.status()
    usable(bench)


def test_a_worker_that_stops_answering(make: Callable[..., PanelBench]) -> None:
    bench = make("deaf", silence=0.6, ping_every=0.2)
    bench.analyse_all()
    bench.finish()
    assert "said nothing" in bench.status()
    usable(bench)


def test_a_model_that_fails_to_load(make: Callable[..., PanelBench]) -> None:
    bench = make("bad model")
    bench.analyse_all()
    bench.finish()
    assert "The weights were altered. Install the model again." in bench.status()
    assert bench.panel.work.client.state == "ready"  # the process itself is fine
    usable(bench)


def test_another_protocol(make: Callable[..., PanelBench]) -> None:
    bench = make("old")
    bench.analyse_all()
    bench.finish()
    assert "protocol 99" in bench.status()
    usable(bench)


def test_a_malformed_vertebra_ends_the_job_and_keeps_what_came(
    make: Callable[..., PanelBench],
) -> None:
    bench = make("malformed vertebra")
    bench.analyse_all()
    bench.finish()
    assert "⚠" in bench.status() and "T11" in bench.status()
    assert bench.panel.review.table.shown() == ["T11:1"]
    usable(bench)


def test_two_analyses_and_the_worker_dies_in_the_first(make: Callable[..., PanelBench]) -> None:
    bench = make("dies after one")
    bench.board.start_job("segment", ("T11", "T12"))
    bench.board.start_job("segment", ("L1",))
    bench.finish()
    assert {"T11:1", "L1:1"} <= set(bench.panel.review.table.shown())


def test_a_python_that_does_not_exist(core: Any) -> None:
    from HideSeekLib.worker.process import QProcessTransport
    from HideSeekLib.worker.settings import BackendSettings

    bench = PanelBench()
    bench.panel.work._make_transport = lambda settings: QProcessTransport(settings)
    bench.board.settings = BackendSettings(python="/nowhere/python")
    bench.board.restart_backend()
    bench.analyse_all()
    bench.finish()
    assert "not found" in bench.status()
    bench.board.settings = BackendSettings(prefix="ssh 'unclosed")
    bench.board.restart_backend()
    bench.analyse_all()
    bench.finish()
    assert "prefix cannot be read" in bench.status()
    bench.close()
