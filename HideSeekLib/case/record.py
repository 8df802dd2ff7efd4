"""What a case remembers, as JSON: results, grid, model, provenance. No MRML.

The voxels of every candidate are part of it, kept or not, so that a reopened scene can be reviewed
without computing anything. They are stored as runs on the CT's grid: exact on any geometry.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from HideSeekLib.anatomy.grid import Grid
from HideSeekLib.case.reply import VertebraReply
from HideSeekLib.errors import SceneError
from HideSeekLib.i18n import _
from HideSeekLib.wire import arrays, levels
from HideSeekLib.wire.codec import from_plain, shared, to_plain
from HideSeekLib.wire.records import Candidate, Vertebra

FORMAT = 2


@dataclass
class Record:
    """One case's results. replies: level -> answer without its evidence arrays (those are volume
    nodes); screen: level -> what a screening told of it."""

    name: str
    grid: Grid
    model: dict[str, Any]
    options: dict[str, Any] = field(default_factory=dict)
    overrides: dict[str, str] = field(default_factory=dict)
    provenance: dict[str, Any] = field(default_factory=dict)
    replies: dict[str, VertebraReply] = field(default_factory=dict)
    screen: dict[str, Vertebra] = field(default_factory=dict)

    def levels(self) -> list[str]:
        """Levels with a result or a probability, from head to foot."""
        return sorted(self.replies.keys() | self.screen.keys(), key=levels.order)

    def candidates(self) -> list[Candidate]:
        """All candidates, vertebra by vertebra from head to foot."""
        ordered = sorted(self.replies, key=levels.order)
        return [c for level in ordered for c in self.replies[level].candidates]

    def check_inside(self, reply: VertebraReply) -> None:
        """Raise SceneError when a candidate has voxels outside the grid that was analysed."""
        for number, index in reply.voxels.items():
            if len(index) and (index.min() < 0 or (index.max(0) >= self.grid.shape).any()):
                raise SceneError(
                    _("Candidate {number} of {level} lies outside the CT analysed.").format(
                        number=number, level=reply.level
                    )
                )

    def dumps(self) -> str:
        """The record as JSON text."""
        return json.dumps(
            {
                "format": FORMAT,
                "name": self.name,
                "shape": list(self.grid.shape),
                "affine": self.grid.affine.tolist(),
                "model": self.model,
                "options": self.options,
                "overrides": self.overrides,
                "provenance": self.provenance,
                "screen": to_plain(list(self.screen.values())),
                "vertebrae": [_reply_json(r, self.grid) for r in self.replies.values()],
            },
            default=str,
        )

    @classmethod
    def loads(cls, text: str) -> Record:
        """Read what `dumps` wrote. Raises SceneError for damaged text or a later version's."""
        try:
            data = json.loads(text)
            if data["format"] != FORMAT:
                raise SceneError(
                    _(
                        "This HideSeek result has format {got}; this version reads {known}. Update "
                        "the extension."
                    ).format(got=data["format"], known=FORMAT)
                )
            i, j, k = (int(n) for n in data["shape"])
            grid = Grid((i, j, k), np.array(data["affine"], float).reshape(4, 4))
            record = cls(
                data["name"],
                grid,
                dict(data["model"]),
                dict(data["options"]),
                dict(data["overrides"]),
                dict(data["provenance"]),
            )
            for entry in data["screen"]:
                screened = from_plain(Vertebra, entry, "screen")
                record.screen[screened.level] = screened
            for entry in data["vertebrae"]:
                reply = _reply_of(entry, grid)
                record.replies[reply.level] = reply
        except (ValueError, KeyError, TypeError) as error:
            raise SceneError(
                _(
                    "A stored HideSeek result cannot be read ({error}). Run the analysis again."
                ).format(error=error)
            ) from error
        return record


def same_grid(a: Grid, b: Grid) -> bool:
    """Tell whether two grids have the same voxels (to a thousandth of a mm)."""
    return a.shape == b.shape and bool(np.allclose(a.affine, b.affine, atol=1e-3))


def encode_runs(voxels: Mapping[int, np.ndarray], grid: Grid) -> np.ndarray:
    """Runs (R, 3) int64: candidate number, first flat index (i fastest), length."""
    rows = []
    for number, index in voxels.items():
        flat = np.sort(_flat(index, grid))
        starts = np.flatnonzero(np.diff(flat, prepend=-2) != 1)
        lengths = np.diff(np.append(starts, len(flat)))
        rows.append(np.stack([np.full(len(starts), number), flat[starts], lengths], axis=1))
    return np.concatenate(rows).astype(np.int64) if rows else np.zeros((0, 3), np.int64)


def decode_runs(runs: np.ndarray, grid: Grid) -> dict[int, np.ndarray]:
    """Candidate number -> (N, 3) int32 voxel indices; the reverse of `encode_runs`.

    Raises ValueError for runs that leave the grid.
    """
    voxels = {}
    for number in np.unique(runs[:, 0]).tolist():
        own = runs[runs[:, 0] == number]
        starts, lengths = own[:, 1], own[:, 2]
        ends = np.cumsum(lengths)
        flat = np.arange(ends[-1]) + np.repeat(starts - (ends - lengths), lengths)
        if flat.min() < 0 or flat.max() >= math.prod(grid.shape):
            raise ValueError(f"voxels of candidate {number} lie outside the grid {grid.shape}")
        k, rest = np.divmod(flat, grid.shape[0] * grid.shape[1])
        j, i = np.divmod(rest, grid.shape[0])
        voxels[int(number)] = np.stack([i, j, k], axis=1).astype(np.int32)
    return voxels


def _flat(index: np.ndarray, grid: Grid) -> np.ndarray:
    i, j, k = index.astype(np.int64).T
    return np.asarray(i + grid.shape[0] * (j + grid.shape[1] * k))


def _reply_json(reply: VertebraReply, grid: Grid) -> dict[str, Any]:
    return {
        **to_plain(reply),
        "options": dict(reply.options),
        "runs": arrays.encode(encode_runs(reply.voxels, grid)),
    }


def _reply_of(entry: Mapping[str, Any], grid: Grid) -> VertebraReply:
    vertebra = from_plain(Vertebra, entry, "vertebrae")
    voxels = decode_runs(arrays.decode(entry["runs"]), grid)
    none = np.zeros((0, 3), np.int32)
    return VertebraReply(
        **shared(vertebra, Vertebra),
        voxels={c.number: voxels.get(c.number, none) for c in vertebra.candidates},
        options=dict(entry.get("options") or {}),
    )
