"""Readers of known agreement, to prove what the study's figures recover."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from hideseek_backend.wire.worklist import ARMS, Reading

HEALTHY, LESION = "healthy", "lytic"


def simulated_readers(
    truth: Mapping[tuple[str, str], str],
    kappas: Mapping[str, float],
    *,
    volume_noise: float = 0.2,
    seconds: Mapping[str, float] | None = None,
    seed: int = 1,
) -> list[Reading]:
    """Two readers whose labels agree with a κ of `kappas[arm]` in expectation.

    truth: (case, level) -> healthy or lytic. With probability √κ a reader says the truth, else a
    label drawn at the truth's own frequency: two such readers agree beyond chance by κ exactly.
    volume_noise: sd of the log of a reader's volumes. seconds: mean time a case by arm.
    """
    rng = np.random.default_rng(seed)
    share = sum(label != HEALTHY for label in truth.values()) / len(truth)
    times = seconds or {"with": 100.0, "without": 140.0}
    sizes = {key: float(rng.lognormal(7.5, 0.8)) for key in sorted(truth)}
    cases = sorted({case for case, _level in truth})
    found = []
    for reader in ("A", "B"):
        for arm in ARMS:
            for case in cases:
                levels = [lv for c, lv in sorted(truth) if c == case]
                labels = [_said(rng, truth[case, lv], np.sqrt(kappas[arm]), share) for lv in levels]
                volumes = [
                    sizes[case, lv] * float(np.exp(rng.normal(0, volume_noise)))
                    if truth[case, lv] != HEALTHY else 0.0
                    for lv in levels
                ]  # fmt: skip
                found.append(
                    Reading(reader, case, arm, float(times[arm] * rng.lognormal(0, 0.3)), True,
                            _paired(levels, labels), _paired(levels, volumes), seed=seed)
                )  # fmt: skip
    return found


def _paired(levels: Sequence[str], values: Sequence[Any]) -> tuple[tuple[str, Any], ...]:
    return tuple(zip(levels, values, strict=True))


def _said(rng: np.random.Generator, truth: str, knows: float, share: float) -> str:
    if rng.random() < knows:
        return truth
    return LESION if rng.random() < share else HEALTHY
