"""Slices of the vertebrae of a manifest, with the labels that somebody gave them.

A case becomes one shard: hu (N, 64, 64) int16, every sagittal slice that crosses a body, axes
(posterior, superior); first (V + 1,), where each vertebra's slices begin; labels (V, 3) as
`loop.LABELS`, NaN where nobody has said; level and patient (V,) text. No mask is kept.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from hideseek_backend.attribution.vertebra import crossing_slices
from hideseek_backend.errors import HideSeekError, InputError
from hideseek_backend.files import whole_file
from hideseek_backend.volumes.crops import crop_block, cut_block
from hideseek_backend.volumes.vertebrae import load_case
from hideseek_lab.manifest.check import Checked
from hideseek_lab.manifest.rows import LEFT_OUT

_NAN = float("nan")
LABEL_VALUES = {
    "healthy": (0.0, 0.0, 0.0),
    "malignant": (1.0, _NAN, _NAN),
    "lytic": (1.0, 1.0, 0.0),
    "blastic": (1.0, 0.0, 1.0),
    "mixed": (1.0, 1.0, 1.0),
    "unknown": (_NAN, _NAN, _NAN),
}
CENTRAL = 5
"""Slices about the middle whose label is as good as the vertebra's (paper, section 3)."""


@dataclass(frozen=True, eq=False)
class Vertebra:
    """All slices hu (S, 64, 64) of a body, from left to right, and its labels (3,)."""

    hu: NDArray[np.int16]
    labels: NDArray[np.float32]
    patient: str
    level: str

    @property
    def central(self) -> NDArray[np.int16]:
        """The five slices about the middle, or all where there are fewer."""
        start = max(0, (len(self.hu) - CENTRAL) // 2)
        return self.hu[start : start + CENTRAL]


class VertebraSet:
    """Vertebrae that batches are drawn from; stands where a `dataset.ShardSet` may."""

    def __init__(self, vertebrae: Sequence[Vertebra]) -> None:
        self.vertebrae = list(vertebrae)

    def __len__(self) -> int:
        return len(self.vertebrae)

    def refresh(self) -> None:
        """Nothing comes after the check."""

    def draw(
        self, index: int, rng: np.random.Generator, bag: int = 1
    ) -> tuple[NDArray[np.int16], Tensor]:
        """Return `bag` slices (bag, 64, 64) of a vertebra, one from each part of its width."""
        own = self.vertebrae[index]
        places = (np.arange(bag) + rng.random(bag)) / bag * len(own.hu)
        return own.hu[rng.permutation(places.astype(int))], torch.from_numpy(own.labels)


def shard_name(checked: Checked) -> str:
    """The shard's file: it changes with what goes into it."""
    case = checked.case
    files = [p for p in (case.ct, case.vertebrae, case.bodies) if p is not None]
    said = [str((p, p.stat().st_size, p.stat().st_mtime_ns)) for p in files]
    said += [case.scheme, str(sorted(checked.labels.items()))]
    return f"manifest-{case.name}-{hashlib.sha256(''.join(said).encode()).hexdigest()[:12]}.npz"


def write_case_shard(checked: Checked, folder: Path) -> str:
    """Write a case's shard where it is not there; return why it cannot be used, "" where it can."""
    path = folder / shard_name(checked)
    if path.exists():
        return ""
    case = checked.case
    wanted = {lv: label for lv, label in checked.labels.items() if label not in LEFT_OUT}
    try:
        loaded = load_case(
            case.ct, case.vertebrae or "", bodies_path=case.bodies, labels=case.scheme or None
        )
        parts, labels, levels = [], [], []
        for level, label in wanted.items():
            if level not in loaded.vertebrae.levels:
                continue
            block = cut_block(loaded.ct, loaded.vertebrae, level)
            crop = crop_block(block)
            crossing = crossing_slices(crop)
            if block.cut or not crossing:
                continue
            parts.append(np.moveaxis(crop.hu[:, :, crossing], 2, 0).round().astype(np.int16))
            labels.append(LABEL_VALUES[label])
            levels.append(level)
    except HideSeekError as error:
        return error.message
    if not parts:
        return "no whole vertebra with a label to train on"
    with whole_file(path) as part:
        np.savez(
            part,
            hu=np.concatenate(parts),
            first=np.cumsum([0, *map(len, parts)]),
            labels=np.array(labels, dtype=np.float32),
            level=np.array(levels),
            patient=np.array([case.patient] * len(levels)),
        )
    return ""


def write_shards(
    checked: Sequence[Checked], folder: Path, report: Callable[[str], None]
) -> list[str]:
    """Write the shards of all usable cases; return what was left out, and why."""
    left = []
    for number, one in enumerate(checked, 1):
        problem = one.problem or write_case_shard(one, folder)
        if problem:
            left.append(f"{one.case.name}: {problem}")
        report(f"{number} of {len(checked)} cases read")
    return left


def read_shards(checked: Sequence[Checked], folder: Path) -> list[Vertebra]:
    """Read the vertebrae of these cases."""
    vertebrae = []
    for path in (folder / shard_name(one) for one in checked if not one.problem):
        if not path.exists():
            continue
        with np.load(path, allow_pickle=False) as shard:
            hu, first = shard["hu"], shard["first"]
            vertebrae += [
                Vertebra(hu[first[v] : first[v + 1]], labels, str(patient), str(level))
                for v, (labels, patient, level) in enumerate(
                    zip(shard["labels"], shard["patient"], shard["level"], strict=True)
                )
            ]
    return vertebrae


def training_sets(vertebrae: Sequence[Vertebra]) -> list[tuple[VertebraSet, float]]:
    """Part vertebrae into healthy, malignant and unlabelled ones, with their shares of a batch.

    The labelled classes are drawn alike; without labels as often as they are among all.
    Raises InputError where one class is too rare to learn and to fit.
    """
    kinds = {
        "healthy": [v for v in vertebrae if v.labels[0] == 0],
        "malignant": [v for v in vertebrae if v.labels[0] == 1],
        "unlabelled": [v for v in vertebrae if np.isnan(v.labels[0])],
    }
    for name in ("healthy", "malignant"):
        if len(kinds[name]) < 2:
            raise InputError(
                f"Expected healthy and malignant vertebrae to train on, got {len(kinds[name])} "
                f"{name} of {len(vertebrae)}.",
                "Look at `hideseek train --manifest FILE --check`.",
            )
    free = len(kinds["unlabelled"]) / len(vertebrae)
    shares = {"healthy": (1 - free) / 2, "malignant": (1 - free) / 2, "unlabelled": free}
    return [(VertebraSet(kinds[name]), share) for name, share in shares.items() if share > 0]
