"""The one error of this folder."""

from __future__ import annotations


class WireError(ValueError):
    """What was sent is not what was agreed; the text says where, what was expected and got."""
