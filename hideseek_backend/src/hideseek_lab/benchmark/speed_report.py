"""The speed benchmark's figures as tables to read."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from hideseek_lab.scoring.page import Table

_NETWORK = (
    ("vertebrae with the reference", "vertebrae_reference"),
    ("its steps that were run", "reference_steps_run"),
    ("vertebrae with fast", "vertebrae_fast"),
    ("parameters", "parameters"),
    ("reference, s a vertebra", "seconds_reference"),
    ("fast, s a vertebra", "seconds_fast"),
    ("times faster", "ratio"),
    ("reference, s of processor time", "cpu_seconds_reference"),
    ("fast, s of processor time", "cpu_seconds_fast"),
    ("times faster by processor time", "cpu_ratio"),
    ("network calls of the reference", "calls_reference"),
    ("network calls of fast", "calls_fast"),
    ("growth of memory with fast, MB", "peak_memory_mb"),
)
_AGREEMENT = (
    ("candidates", "candidates"),
    ("|ΔΔ|, 95th percentile", "delta_abs_p95"),
    ("|ΔΔ|, largest", "delta_abs_max"),
    ("decisions flipped (|Δ - τ| > 0.05)", "flips"),
    ("candidates within 0.05 of τ", "near_tau"),
    ("Dice of the kept masks", "mask_dice"),
)
_SPINE = (
    ("threads", "threads"),
    ("vertebrae", "vertebrae"),
    ("screen, s, median of five", "screen_seconds"),
    ("the same, s of processor time", "screen_cpu_seconds"),
    ("segment --slices all, s", "segment_all_seconds"),
    ("the same, s of processor time", "segment_all_cpu_seconds"),
    ("slices", "segment_all_slices"),
    ("s a slice", "segment_all_seconds_per_slice"),
    ("growth of memory, MB", "peak_memory_mb"),
)


def speed_markdown(figures: Mapping[str, Any]) -> str:
    """Return the tables of `speed.run`: one column a network."""
    networks: Mapping[str, Any] = figures["networks"]
    converged = {n: found["agreement_with_converged"] for n, found in networks.items()}
    reference = {n: found["agreement_with_reference"] for n, found in networks.items()}
    parts = [f"Measured on {_machine(figures['machine'])}."]
    if networks:
        parts += [
            _table("", _NETWORK, networks),
            _table("Agreement with a converged solve", _AGREEMENT, converged),
            _table("Agreement with the reference protocol", _AGREEMENT, reference),
        ]
    if figures.get("spine"):
        parts.append(_table("Whole spine", _SPINE, figures["spine"]))
    return "\n\n".join(parts) + "\n"


def _table(
    title: str, rows: tuple[tuple[str, str], ...], columns: Mapping[str, Mapping[str, Any]]
) -> str:
    lines = [[label, *(_cell(c.get(name)) for c in columns.values())] for label, name in rows]
    return Table([title, *columns], lines).markdown()


def _machine(machine: Mapping[str, Any]) -> str:
    gpu = f", {machine['gpu']}" if machine["gpu"] else ""
    return f"{machine['processor']}, {machine['threads']} threads, torch {machine['torch']}{gpu}"


def _cell(value: Any) -> str:
    if value is None:
        return "not measured"
    if isinstance(value, float):
        return f"{value:,.0f}" if abs(value) >= 100 else f"{value:.3g}"
    return f"{value:,}" if isinstance(value, int) else str(value)
