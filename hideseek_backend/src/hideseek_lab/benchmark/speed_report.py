"""The speed benchmark's figures as a table to read."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

_ROWS = (
    ("vertebrae (reference / fast)", "{vertebrae_reference} / {vertebrae_fast}"),
    ("parameters", "{millions:.1f} M"),
    ("reference, s a vertebra", "{seconds_reference}"),
    ("fast, s a vertebra", "{seconds_fast}"),
    ("times faster", "{ratio}"),
    ("network calls (reference / fast)", "{calls_reference:.0f} / {calls_fast:.0f}"),
    ("memory of fast, MB", "{peak_memory_mb:.0f}"),
)


def speed_markdown(figures: Mapping[str, Any]) -> str:
    """Return the tables of `speed.run`: one column a network."""
    networks: Mapping[str, Any] = figures["networks"]
    lines = [
        f"Measured on {_machine(figures['machine'])}.",
        "",
        _row("", networks),
        _rule(networks),
    ]
    shown = [{**n, "millions": n["parameters"] / 1e6} for n in networks.values()]
    for title, pattern in _ROWS:
        lines.append(_row(title, [_filled(pattern, network) for network in shown]))
    for title, key in (
        ("a converged solve", "agreement_with_converged"),
        ("the reference protocol", "agreement_with_reference"),
    ):
        lines += ["", f"Agreement with {title}", "", _row("", networks), _rule(networks)]
        found = [network[key] for network in networks.values()]
        for label, name in _AGREEMENT:
            lines.append(_row(label, [_number(f.get(name)) for f in found]))
    spines = figures.get("spine") or {}
    if spines:
        lines += ["", "Whole spine", "", _row("", spines), _rule(spines)]
        for label, name in _SPINE:
            lines.append(_row(label, [_number(s[name]) for s in spines.values()]))
    return "\n".join(lines) + "\n"


_AGREEMENT = (
    ("candidates", "candidates"),
    ("|ΔΔ|, 95th percentile", "delta_abs_p95"),
    ("|ΔΔ|, largest", "delta_abs_max"),
    ("decisions flipped (|Δ - τ| > 0.05)", "flips"),
    ("candidates within 0.05 of τ", "near_tau"),
    ("Dice of the kept masks", "mask_dice"),
)

_SPINE = (
    ("vertebrae", "vertebrae"),
    ("screen, s", "screen_seconds"),
    ("vertebrae segmented, all slices", "segment_all_vertebrae"),
    ("slices", "segment_all_slices"),
    ("segment, s", "segment_all_seconds"),
    ("s a slice", "segment_all_seconds_per_slice"),
)


def _machine(machine: Mapping[str, Any]) -> str:
    gpu = f", {machine['gpu']}" if machine["gpu"] else ""
    return f"{machine['processor']}, {machine['threads']} threads, torch {machine['torch']}{gpu}"


def _filled(pattern: str, network: Mapping[str, Any]) -> str:
    values = {k: _number(v) if k in _ROUNDED else v for k, v in network.items()}
    if any(v is None for k, v in values.items() if "{" + k in pattern):
        return "not measured"
    return pattern.format(**values)


_ROUNDED = ("seconds_reference", "seconds_fast", "ratio")


def _number(value: float | int | None) -> str:
    if value is None:
        return "not measured"
    return str(value) if isinstance(value, int) else f"{value:.3g}"


def _row(title: str, cells: Any) -> str:
    return "| " + " | ".join([title, *cells]) + " |"


def _rule(columns: Any) -> str:
    return "|" + "---|" * (len(columns) + 1)
