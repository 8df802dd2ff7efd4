"""Send objects and fetch a study: nothing happens but what was asked for."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from hideseek_backend.dicom import media
from hideseek_backend.dicom.needs import lenient
from hideseek_backend.errors import InputError
from hideseek_lab.network import dimse, web
from hideseek_lab.network.nodes import Node


def send(node: Node, path: Path) -> int:
    """Send every DICOM file under `path` to a node; returns how many it took."""
    with media.opened(path) as files:
        return web.store(node, files) if node.web else dimse.store(node, files)


def fetch(node: Node, accession: str, folder: Path, listen: tuple[str, int] | None = None) -> int:
    """Fetch the study of an accession number into an existing folder; returns its files.

    listen: address and port for C-MOVE; without it C-GET (or WADO-RS) is used.
    Raises InputError where there is no study, or more than one, of this number.
    """
    if not re.fullmatch(r"[^*?\\\x00-\x1f]{1,16}", accession.strip()):
        raise InputError(
            "Expected one accession number of 1 to 16 letters, without wildcards.", "Correct it."
        )
    talk: Any = web if node.web else dimse
    found = talk.find(node, accession.strip())
    if len(found) != 1:
        raise InputError(
            f"Expected one study with this accession number at {node}, got {len(found)}.",
            "Check the number; where several share it, export the study from the PACS.",
        )
    count = 0

    def saved(dataset: Any) -> None:
        nonlocal count
        count += 1
        # Numbers as names: what a study calls itself has no place in a file system.
        with lenient():
            dataset.save_as(folder / f"{count:05d}.dcm", enforce_file_format=True)

    if listen is not None and not node.web:
        dimse.move(node, found[0], listen, saved)
    else:
        talk.get(node, found[0], saved)
    if not count:
        raise InputError(
            f"The node {node} found the study but handed over nothing.",
            "It may allow C-MOVE alone: register this machine there and use --listen.",
        )
    return count
