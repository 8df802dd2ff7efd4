"""Version of HideSeek, of both sides, and of the language between them."""

from __future__ import annotations

VERSION = "0.1.0"

PROTOCOL = 2
"""Changes whenever an older side would misread a message."""
