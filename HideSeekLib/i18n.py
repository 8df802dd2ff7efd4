"""Translation of visible strings: Slicer's own `tr` where there is Slicer, else the text as it is.

`slicer.i18n` comes with the application, not with `slicer-core`. The real function is handed on
unwrapped, because it finds its translation context from the file that calls it.
"""

from __future__ import annotations

try:
    from slicer.i18n import tr as _
except ImportError:

    def _(text: str) -> str:
        """Return the text untranslated."""
        return text


__all__ = ["_"]
