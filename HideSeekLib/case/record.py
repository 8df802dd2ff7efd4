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
from HideSeekLib.errors import SceneError
from HideSeekLib.i18n import _
from HideSeekLib.wire import arrays, levels
from HideSeekLib.wire.results import Candidate, VertebraReply, parse_vertebra

FORMAT = 1


@dataclass
class Record:
    """One case's results. replies: level -> answer without its evidence arrays (those are volume
    nodes); screen: level -> (P(malignant), reason) of a screening."""

    name: str
    grid: Grid
    model: dict[str, Any]
    options: dict[str, Any] = field(default_factory=dict)
    overrides: dict[str, str] = field(default_factory=dict)
    provenance: dict[str, Any] = field(default_factory=dict)
    replies: dict[str, VertebraReply] = field(default_factory=dict)
    screen: dict[str, tuple[float, str]] = field(default_factory=dict)

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
                "screen": {lv: [_finite(p), reason] for lv, (p, reason) in self.screen.items()},
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
            record.screen = {
                lv: (math.nan if p is None else float(p), str(reason))
                for lv, (p, reason) in data["screen"].items()
            }
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


def _finite(value: float | None) -> float | None:
    """JSON has no NaN: null stands for it, as on the wire."""
    return None if value is None or not math.isfinite(value) else value


def _reply_json(reply: VertebraReply, grid: Grid) -> dict[str, Any]:
    return {
        "level": reply.level,
        "p_malignant": _finite(reply.p_malignant),
        "p_healthy_image": _finite(reply.p_healthy_image),
        "analysed": reply.analysed,
        "reason": reply.reason,
        "phenotype": reply.phenotype,
        "body_volume_mm3": _finite(reply.body_volume_mm3),
        "lytic_volume_mm3": _finite(reply.lytic_volume_mm3),
        "blastic_volume_mm3": _finite(reply.blastic_volume_mm3),
        "warnings": list(reply.warnings),
        "seconds": reply.seconds,
        "options": dict(reply.options),
        "candidates": [
            {
                "candidate": c.number,
                "polarity": c.polarity,
                "delta": _finite(c.delta),
                "kept": c.kept,
                "p_hide": _finite(c.p_hide),
                "slices": list(c.slices),
                "area_px": c.area_px,
                "volume_mm3": c.volume_mm3,
                "mean_hu": _finite(c.mean_hu),
                "centroid_ras": list(c.centroid_ras),
            }
            for c in reply.candidates
        ],
        "runs": arrays.encode(encode_runs(reply.voxels, grid)),
    }


def _reply_of(entry: Mapping[str, Any], grid: Grid) -> VertebraReply:
    reply = parse_vertebra(dict(entry), entry.get("options"))
    voxels = decode_runs(arrays.decode(entry["runs"]), grid)
    none = np.zeros((0, 3), np.int32)
    everyone = {c.number: voxels.get(c.number, none) for c in reply.candidates}
    return VertebraReply(**{**reply.__dict__, "voxels": everyone})
