"""What Slicer's DICOM database knows of a CT that was loaded from it."""

from __future__ import annotations

from typing import Any

import slicer

from HideSeekLib.wire.acquisition import TAGS, Acquisition, acquired


def instances(ct_node: Any) -> tuple[Any, list[str]]:
    """The database and the uids of a CT's slices; (None, []) for a CT from elsewhere."""
    uids = (ct_node.GetAttribute("DICOM.instanceUIDs") or "").split()
    application = getattr(slicer, "app", None)  # absent in a browser, which has no such database
    database = application.dicomDatabase() if uids and application is not None else None
    return (database, uids) if database is not None else (None, [])


def acquisition(ct_node: Any) -> Acquisition | None:
    """How a CT was made, by the headers of its first slice; None for a CT from elsewhere."""
    database, uids = instances(ct_node)
    if database is None or not database.fileForInstance(uids[0]):
        return None
    found = {name: str(database.instanceValue(uids[0], tag) or "") for name, tag in TAGS.items()}
    # The database gives "" for what is absent and for what is empty alike: it says nothing then.
    return acquired(**found)
