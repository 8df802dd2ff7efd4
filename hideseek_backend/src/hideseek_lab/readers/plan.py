"""Blinded orders of reading."""

from __future__ import annotations

import random
from collections.abc import Sequence
from typing import Any

from hideseek_backend.wire.worklist import ARMS, FORMAT


def make_plan(names: Sequence[str], readers: Sequence[str], seed: int) -> dict[str, Any]:
    """Draw each reader's order: every case once with and once without the tool.

    A case's two readings lie in two halves, each half in an order of its own, and which arm comes
    first is drawn for each case: neither memory nor practice favours an arm. The seed is kept.
    """
    orders = {}
    for reader in readers:
        draw = random.Random(f"{seed} {reader}")
        first = {case: draw.choice(ARMS) for case in names}
        halves = []
        for half in range(2):
            order = list(names)
            draw.shuffle(order)
            halves += [(c, first[c] if not half else ARMS[first[c] == ARMS[0]]) for c in order]
        orders[reader] = halves
    return {"format": FORMAT, "seed": seed, "readers": orders}
