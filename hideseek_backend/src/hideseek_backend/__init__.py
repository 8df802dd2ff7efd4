"""Lytic and blastic lesion candidates in spine CT by healthy edits and Hide-and-Seek Attribution.

Research use only: not a medical device, not cleared for diagnosis.

The names below are loaded when they are first used, so that the import itself is quick.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from hideseek_backend.wire.version import VERSION as __version__

__all__ = ["__version__", "analyse_vertebra", "load_model", "score_ct", "screen_ct", "segment_ct"]

_WHERE = {
    "analyse_vertebra": "hideseek_backend.case",
    "load_model": "hideseek_backend.models.store",
    "score_ct": "hideseek_backend.case",
    "screen_ct": "hideseek_backend.case",
    "segment_ct": "hideseek_backend.case",
}

if TYPE_CHECKING:
    from hideseek_backend.case import analyse_vertebra, score_ct, screen_ct, segment_ct
    from hideseek_backend.models.store import load_model


def __getattr__(name: str) -> Any:
    """Import one of the public names on first use (PEP 562)."""
    if name not in _WHERE:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from importlib import import_module

    value = getattr(import_module(_WHERE[name]), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted(set(globals()) | set(__all__))
