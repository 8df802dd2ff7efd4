"""Import of packages that only evaluation needs, with an error that says how to get them."""

from __future__ import annotations

import importlib
from types import ModuleType

from hideseek_backend.errors import MissingDependencyError

EVALUATION_EXTRA = "pip install 'hideseek-backend[evaluation]'"


def import_optional(name: str, feature: str, install: str = EVALUATION_EXTRA) -> ModuleType:
    """Import an optional package.

    name: dotted module name. feature: what needs it, for the message.
    install: the command that brings it.
    Raises MissingDependencyError when the package cannot be imported.
    """
    try:
        return importlib.import_module(name)
    except ImportError as error:
        raise MissingDependencyError(
            f"{feature} needs the package '{name.split('.')[0]}', which cannot be imported "
            f"({error}).",
            f"Install it with: {install}",
        ) from error
