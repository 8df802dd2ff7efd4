"""Numbers that a model brings with it, checked once."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

from hideseek_backend.errors import ModelError


def stored_array(
    value: ArrayLike, shape: tuple[int, ...], what: str, do: str, *, positive: bool = False
) -> NDArray[np.float64]:
    """Return a read-only float64 copy of a model's numbers.

    what: their owner and name, as "classifier's mean"; do: what to do about others.
    Raises ModelError where the shape is another, or a number is not finite (or not above 0).
    """
    array = np.array(value, dtype=np.float64)
    usable = np.isfinite(array).all() and (not positive or (array > 0).all())
    if array.shape != shape or not usable:
        kind = "positive" if positive else "finite"
        raise ModelError(f"Expected {shape} {kind} numbers as the {what}, got {array.shape}.", do)
    array.setflags(write=False)
    return array
