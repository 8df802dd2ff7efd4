"""The vertebra levels, in their anatomical order."""

from __future__ import annotations

LEVELS: tuple[str, ...] = (
    *(f"C{n}" for n in range(1, 8)),
    *(f"T{n}" for n in range(1, 14)),
    *(f"L{n}" for n in range(1, 7)),
)
"""Every level this package knows, from cranial to caudal; T13 and L6 are variants."""
