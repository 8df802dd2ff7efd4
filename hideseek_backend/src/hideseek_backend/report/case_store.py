"""case.json.gz: everything that an analysis found, so that it can be shown or exported later.

One JSON object; each vertebra is the wire's record of it, with evidence and voxels of candidates.
"""

from __future__ import annotations

import gzip
import io
import json
import zlib
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from hideseek_backend.errors import InputError
from hideseek_backend.volumes.volume import FloatArray
from hideseek_backend.wire.codec import from_plain, to_plain
from hideseek_backend.wire.errors import WireError
from hideseek_backend.wire.lines import encode_line
from hideseek_backend.wire.records import VertebraMessage
from hideseek_backend.wire.words import CASE_FILE, CASE_FORMAT
from hideseek_backend.worker.messages import vertebra_message

if TYPE_CHECKING:
    from hideseek_backend.case import CaseResult

NAME, FORMAT = CASE_FILE, CASE_FORMAT
# Names of files may name a patient; times differ from run to run.
_LEFT_OUT = ("inputs", "timings")


@dataclass(frozen=True, eq=False)
class StoredCase:
    """A case as it was stored. shape, affine: the CT's grid, index -> RAS mm."""

    shape: tuple[int, int, int]
    affine: FloatArray
    vertebrae: tuple[VertebraMessage, ...]
    options: Mapping[str, Any]
    provenance: Mapping[str, Any]


def write_stored(path: Path, result: CaseResult) -> None:
    """Write a case without its times (report.json has them): the same result, the same bytes."""
    vertebrae = [replace(v, seconds=0.0) for v in result.vertebrae]
    record = {
        "format": FORMAT,
        "grid": {"shape": result.lesions.shape, "affine": result.lesions.affine.tolist()},
        "vertebrae": [vertebra_message(v, result.options.tau) for v in vertebrae],
        "options": asdict(result.options),
        "provenance": {k: v for k, v in result.provenance.items() if k not in _LEFT_OUT},
    }
    line = encode_line(to_plain(record))
    buffer = io.BytesIO()
    # No name and no time in the gzip header: they would differ from run to run.
    with gzip.GzipFile(filename="", mode="wb", fileobj=buffer, compresslevel=6, mtime=0) as packer:
        packer.write(line)
    path.write_bytes(buffer.getvalue())


def read_stored(path: Path) -> StoredCase:
    """Read a case from its file, or from the results folder that holds it.

    Raises InputError where there is none or it is damaged.
    """
    file = path / NAME if path.is_dir() else path
    if not file.is_file():
        raise InputError(
            f"Expected results of `hideseek segment` in {path}, got no {NAME}.",
            "Give the results folder; results of an earlier version must be made again.",
        )
    try:
        with gzip.open(file) as stream:
            message = json.loads(stream.read().decode("ascii"))
    except (OSError, EOFError, ValueError, zlib.error) as error:
        raise InputError(
            f"Expected a readable case in {file.name}, but it is damaged or cut short.",
            "Copy it again, or run `hideseek segment` again.",
        ) from error
    return stored_from_message(message, file.name)


def stored_from_message(message: object, where: str) -> StoredCase:
    """Read a case from its JSON object. Raises InputError naming what is missing or wrong."""
    try:
        if not isinstance(message, Mapping) or message.get("format") != FORMAT:
            raise WireError(f"expected the format {FORMAT}")
        grid = message["grid"]
        i, j, k = (int(n) for n in grid["shape"])
        affine = np.array(grid["affine"], dtype=float).reshape(4, 4)
        vertebrae = tuple(
            from_plain(VertebraMessage, one, f"vertebrae[{n}]")
            for n, one in enumerate(message["vertebrae"])
        )
        return StoredCase(
            (i, j, k), affine, vertebrae, dict(message["options"]), dict(message["provenance"])
        )
    except (WireError, KeyError, TypeError, ValueError) as error:
        reason = f"{error} is missing" if isinstance(error, KeyError) else str(error)
        raise InputError(
            f"Expected a case of this version in {where}, but: {reason}.",
            "Run `hideseek segment` again.",
        ) from error
