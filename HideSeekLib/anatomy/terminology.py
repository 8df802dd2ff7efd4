"""Our terminologies in Slicer's selector."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import slicer

from HideSeekLib.wire.codes import LESION_CONTEXT

RESOURCES = Path(__file__).resolve().parent.parent / "Resources"


def register(logic: Any) -> bool:
    """Load our two contexts into Slicer's terminologies logic, so that its selector shows them.

    Returns True when both were loaded.
    """
    lesions = logic.LoadTerminologyFromFile(str(RESOURCES / "HideSeekLesions.term.json"))
    regions = logic.LoadRegionContextFromFile(str(RESOURCES / "HideSeekVertebrae.region.json"))
    return bool(lesions) and bool(regions)


def register_in_slicer() -> bool:
    """Load our contexts into Slicer once; False where it has no terminologies module."""
    module = getattr(getattr(slicer, "modules", None), "terminologies", None)
    if module is None:
        return False
    logic = module.logic()
    return bool(logic.IsTerminologyContextLoaded(LESION_CONTEXT)) or register(logic)
