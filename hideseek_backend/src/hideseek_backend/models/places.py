"""Where models lie: with the package, installed for this user, or in a folder of one's own."""

from __future__ import annotations

import os
import re
import sys
from pathlib import Path

from hideseek_backend.errors import ModelError

BUNDLED = "bundled"
ENVIRONMENT = "HIDESEEK_MODELS"
SPEC_FILE = "spec.json"
WEIGHTS_FILE = "weights.safetensors"
CARD_FILE = "MODEL_CARD.md"

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")


def bundled_folder() -> Path:
    """The model that comes with the package."""
    return Path(__file__).parent / "bundled"


def models_folder() -> Path:
    """Where `hideseek models install` puts models: HIDESEEK_MODELS, or this user's data folder."""
    chosen = os.environ.get(ENVIRONMENT)
    if chosen:
        return Path(chosen).expanduser()
    if sys.platform == "win32":
        base = Path(os.environ.get("LOCALAPPDATA") or Path.home() / "AppData" / "Local")
        return base / "HideSeek" / "models"
    if sys.platform == "darwin":
        return Path.home() / "Library" / "Application Support" / "HideSeek" / "models"
    base = Path(os.environ.get("XDG_DATA_HOME") or Path.home() / ".local" / "share")
    return base / "hideseek" / "models"


def check_name(name: str) -> str:
    """Return `name` if it may name a model (and so a folder); raises ModelError otherwise."""
    if name == BUNDLED or not _NAME.fullmatch(name):
        raise ModelError(
            f"{name!r} cannot name a model.",
            f"Use letters, digits, dots, dashes and underscores; {BUNDLED!r} is taken.",
        )
    return name


def find_folder(name_or_folder: str | os.PathLike[str]) -> Path:
    """Return the folder of a model given as "bundled", an installed name, or a path.

    Raises ModelError saying which models there are.
    """
    given = os.fspath(name_or_folder)
    if given == BUNDLED:
        folder = bundled_folder()
    elif _NAME.fullmatch(given) and (models_folder() / given / SPEC_FILE).is_file():
        folder = models_folder() / given
    else:
        folder = Path(given).expanduser()
    if (folder / SPEC_FILE).is_file():
        return folder
    known = ", ".join(available()) or "none"
    raise ModelError(
        f"No model {given!r}: there is no {SPEC_FILE} in {folder}.",
        f"Models at hand: {known}. See `hideseek models list` and `hideseek models install`.",
    )


def available() -> dict[str, Path]:
    """Return {name: folder} of the bundled and the installed models, in that order."""
    found = {BUNDLED: bundled_folder()} if (bundled_folder() / SPEC_FILE).is_file() else {}
    folder = models_folder()
    if folder.is_dir():
        for entry in sorted(folder.iterdir()):
            if (entry / SPEC_FILE).is_file():
                found[entry.name] = entry
    return found
