"""Throughput on a whole spine: screening, and every sagittal slice of every vertebra."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import numpy as np
import torch

from hideseek_backend.attribution.options import Options
from hideseek_backend.attribution.vertebra import analyse_vertebra, screen_vertebrae
from hideseek_backend.models.store import Model
from hideseek_backend.phantom import PhantomOptions, make_phantom
from hideseek_backend.volumes.crops import VertebraBlock, cut_block
from hideseek_backend.volumes.vertebrae import load_case
from hideseek_lab.benchmark.memory import peak_memory

SPINE_SEED = 2_000_007
_SCREENS = 5


def measure_spine(
    model: Model,
    options: Options,
    report: Callable[[str, int, int], None],
    *,
    phantom: PhantomOptions | None = None,
    threads: int | None = None,
) -> dict[str, Any]:
    """Time `screen` and `segment --slices all` on the vertebrae of one phantom.

    Every vertebra is analysed, malignant or not, so that the figure is the most a patient can
    take. threads: torch's while this is measured.
    """
    before = torch.get_num_threads()
    torch.set_num_threads(threads or before)
    try:
        return _measured(model, options, report, phantom)
    finally:
        torch.set_num_threads(before)


def _measured(
    model: Model,
    options: Options,
    report: Callable[[str, int, int], None],
    phantom: PhantomOptions | None,
) -> dict[str, Any]:
    blocks = spine_blocks(phantom)
    name = model.spec.name
    screen_vertebrae(model, blocks, options)  # once for what is made at first use
    screens = []
    for _ in range(_SCREENS):
        started, cpu = time.perf_counter(), time.process_time()
        screen_vertebrae(model, blocks, options)
        _wait(model.device)
        screens.append((time.perf_counter() - started, time.process_time() - cpu))
    screened, screened_cpu = np.median(screens, axis=0).tolist()
    every = options.with_changes(slices="all", force=True)
    slices = 0
    started, cpu = time.perf_counter(), time.process_time()
    with peak_memory(model.device) as peak:
        for index, block in enumerate(blocks):
            report(f"{name}: whole spine", index, len(blocks))
            slices += len(analyse_vertebra(model, block, every).evidence)
        _wait(model.device)
    seconds, cpu = time.perf_counter() - started, time.process_time() - cpu
    return {
        "vertebrae": len(blocks),
        "screen_seconds": screened,
        "screen_cpu_seconds": screened_cpu,
        "threads": torch.get_num_threads(),
        "segment_all_slices": slices,
        "segment_all_seconds": seconds,
        "segment_all_cpu_seconds": cpu,
        "segment_all_seconds_per_slice": seconds / max(1, slices),
        "peak_memory_mb": peak.mb,
    }


def spine_blocks(options: PhantomOptions | None = None) -> list[VertebraBlock]:
    """The blocks of one phantom spine, cranial first."""
    phantom = make_phantom(SPINE_SEED, options)
    case = load_case(phantom.ct, phantom.vertebrae, bodies_path=phantom.bodies, labels="verse")
    return [cut_block(case.ct, case.vertebrae, level) for level in case.vertebrae.levels]


def _wait(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.synchronize(device)
