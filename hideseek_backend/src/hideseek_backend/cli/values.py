"""Values of options, checked while the command line is parsed."""

from __future__ import annotations

import json
import math
import re
from argparse import ArgumentTypeError
from collections.abc import Callable
from typing import Any

from hideseek_backend.wire.levels import LEVELS, VARIANTS, parse_level
from hideseek_backend.wire.words import DEVICES


def number(low: float, high: float = math.inf, *, above: bool = False) -> Callable[[str], float]:
    """Return a type for a number from `low` to `high`; above: `low` itself is not one."""
    least = f"above {low:g}" if above else f"from {low:g}"
    wanted = least if math.isinf(high) else f"{least} to {high:g}"

    def parse(text: str) -> float:
        try:
            value = float(text)
        except ValueError:
            value = math.nan
        if not low <= value <= high or math.isinf(value) or (above and value == low):
            raise ArgumentTypeError(f"expected a number {wanted}, got '{text}'")
        return value

    return parse


def whole(low: int, high: int) -> Callable[[str], int]:
    """Return a type for a whole number from `low` to `high`."""

    def parse(text: str) -> int:
        if re.fullmatch(r"[+-]?\d+", text.strip()) is None or not low <= int(text) <= high:
            raise ArgumentTypeError(f"expected a whole number from {low} to {high}, got '{text}'")
        return int(text)

    return parse


def device(text: str) -> str:
    """Parse a device as `choose_device` takes it: one of DEVICES, or a card such as "cuda:1".

    Raises ArgumentTypeError for another.
    """
    if text not in DEVICES and re.fullmatch(r"cuda:\d+", text) is None:
        raise ArgumentTypeError(f"expected {', '.join(DEVICES)} or cuda:N, got '{text}'")
    return text


def levels(text: str) -> tuple[str, ...]:
    """Parse "T12,L1" or "T10-L2,L4" into level names.

    Raises ArgumentTypeError naming the first unknown level.
    """
    found: list[str] = []
    for item in filter(None, (part.strip() for part in text.split(","))):
        low, dash, high = item.partition("-")
        first = _one_level(low)
        if not dash:
            found.append(first)
            continue
        last = _one_level(high)
        start, end = LEVELS.index(first), LEVELS.index(last)
        if start > end:
            raise ArgumentTypeError(f"expected a range from cranial to caudal, got '{item}'")
        between = LEVELS[start : end + 1]
        found.extend(n for n in between if n not in VARIANTS or n in (first, last))
    if not found:
        raise ArgumentTypeError("expected at least one level, as T12,L1")
    return tuple(dict.fromkeys(found))


def point(text: str) -> tuple[str, tuple[float, float, float]]:
    """Parse "T12=R,A,S" into a level and a point in mm.

    Raises ArgumentTypeError for an unknown level or anything but three finite numbers.
    """
    name, _, place = text.partition("=")
    try:
        r, a, s = (float(part) for part in place.split(","))
    except ValueError:
        r = a = s = math.nan
    if not all(map(math.isfinite, (r, a, s))):
        raise ArgumentTypeError(f"expected LEVEL=R,A,S in mm, as T12=-3.5,40,-812, got '{text}'")
    return _one_level(name), (r, a, s)


def setting(text: str) -> tuple[str, Any]:
    """Parse "name=value" into a name and a JSON value; plain words stay words."""
    name, equals, value = text.partition("=")
    if not equals or not name.strip().isidentifier():
        raise ArgumentTypeError(f"expected name=value, as peak_fraction=0.3, got '{text}'")
    try:
        return name.strip(), json.loads(value)
    except ValueError:
        return name.strip(), value.strip()


def _one_level(text: str) -> str:
    level = parse_level(text)
    if level is None:
        raise ArgumentTypeError(
            f"unknown level '{text.strip()}': expected C1 to C7, T1 to T13 or L1 to L6, "
            "separated by commas, as T12,L1"
        )
    return level
