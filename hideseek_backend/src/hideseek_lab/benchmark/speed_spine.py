"""Throughput on a whole spine: screening, and every sagittal slice of every vertebra."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import torch

from hideseek_backend.attribution.options import Options
from hideseek_backend.attribution.vertebra import analyse_vertebra, screen_vertebrae
from hideseek_backend.models.store import Model
from hideseek_backend.phantom import PhantomOptions, make_phantom
from hideseek_backend.volumes.crops import VertebraBlock, cut_block
from hideseek_backend.volumes.vertebrae import load_case

SPINE_SEED = 2_000_007
LARGE_ON_CPU = 1
"""Vertebrae that a network of more than 20 M parameters analyses on a processor: hours else."""


def measure_spine(
    model: Model,
    options: Options,
    report: Callable[[str, int, int], None],
    *,
    phantom: PhantomOptions | None = None,
) -> dict[str, Any]:
    """Time `screen` and `segment --slices all` on the vertebrae of one phantom.

    Every vertebra is analysed, malignant or not, so that the figure is the most a patient can
    take. A large network on a processor takes LARGE_ON_CPU of them, and the figures say so.
    """
    blocks = spine_blocks(phantom)
    name = model.spec.name
    started = time.perf_counter()
    screen_vertebrae(model, blocks, options)
    _wait(model.device)
    screened = time.perf_counter() - started
    every = options.with_changes(slices="all", force=True)
    parameters = sum(p.numel() for p in model.dae.parameters())
    chosen = blocks[:LARGE_ON_CPU] if _large_on_cpu(parameters, model.device) else blocks
    if model.device.type == "cuda":
        torch.cuda.reset_peak_memory_stats(model.device)
    slices = 0
    started = time.perf_counter()
    for index, block in enumerate(chosen):
        report(f"{name}: whole spine", index, len(chosen))
        slices += len(analyse_vertebra(model, block, every).evidence)
    _wait(model.device)
    seconds = time.perf_counter() - started
    return {
        "vertebrae": len(blocks),
        "screen_seconds": screened,
        "segment_all_vertebrae": len(chosen),
        "segment_all_slices": slices,
        "segment_all_seconds": seconds,
        "segment_all_seconds_per_slice": seconds / max(1, slices),
        "gpu_memory_mb": _gpu_memory_mb(model.device),
    }


def spine_blocks(options: PhantomOptions | None = None) -> list[VertebraBlock]:
    """The blocks of one phantom spine, cranial first."""
    phantom = make_phantom(SPINE_SEED, options)
    case = load_case(phantom.ct, phantom.vertebrae, bodies_path=phantom.bodies, labels="verse")
    return [cut_block(case.ct, case.vertebrae, level) for level in case.vertebrae.levels]


def _large_on_cpu(parameters: int, device: torch.device) -> bool:
    return device.type == "cpu" and parameters > 20_000_000


def _gpu_memory_mb(device: torch.device) -> float | None:
    return torch.cuda.max_memory_allocated(device) / 2**20 if device.type == "cuda" else None


def _wait(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.synchronize(device)
