"""The benchmark's vertebrae: the five central sagittal slices of phantom blocks, by fixed seeds.

Splits never share a seed. The test split is for reporting only: nothing is fitted, tuned or
chosen on it.
"""

from __future__ import annotations

from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hideseek_backend.errors import InputError, OptionError
from hideseek_backend.files import whole_file
from hideseek_backend.progress import Progress, ProgressCallback
from hideseek_backend.volumes.crops import CENTRE_INDEX, VertebraBlock, crop_block, crop_mask
from hideseek_lab.scoring.instances import BLASTIC, LYTIC

#: first seed of each split; the phantom's ranges, the upper end is the next one's start
SPLITS: dict[str, int] = {"train": 0, "validation": 1_000_000, "test": 2_000_000}
SPLIT_SIZE = 1_000_000
#: the benchmark's seeds start here within a split, away from the first ones, which demos use
OFFSET = 100_000
SHARD = 50
CENTRAL_SLICES = 5
MIDDLE = CENTRAL_SLICES // 2
#: a malignant vertebra takes part when its truth crosses the central slice by so many pixels
MIN_TRUTH_PX = 5


@dataclass(frozen=True, eq=False)
class SliceSet:
    """N vertebrae, five central sagittal slices each, axes (posterior, superior), 0.8 mm.

    hu: (N, 5, 64, 64) int16 HU. valid, body: bool, same shape. truth: uint8, same shape, 1 lytic,
    2 blastic, inside the body. phenotype: (N,) of the vertebra: "healthy", "lytic", "blastic" or
    "mixed". level, source: (N,) text.
    """

    hu: NDArray[np.int16]
    valid: NDArray[np.bool_]
    body: NDArray[np.bool_]
    truth: NDArray[np.uint8]
    phenotype: NDArray[np.str_]
    level: NDArray[np.str_]
    source: NDArray[np.str_]

    def __len__(self) -> int:
        return len(self.hu)

    def take(self, index: NDArray[Any]) -> SliceSet:
        """The vertebrae of an index or mask."""
        return SliceSet(*(getattr(self, field.name)[index] for field in fields(self)))

    @property
    def malignant(self) -> NDArray[np.bool_]:
        """(N,) the vertebra is malignant, wherever its lesions are."""
        return np.asarray(self.phenotype != "healthy")

    @property
    def slice_phenotype(self) -> NDArray[np.str_]:
        """(N,) what the central slice shows; a polarity of under 5 px counts as absent."""
        central = self.truth[:, MIDDLE].reshape(len(self), -1)
        lytic = (central == LYTIC).sum(axis=1) >= MIN_TRUTH_PX
        blastic = (central == BLASTIC).sum(axis=1) >= MIN_TRUTH_PX
        names = np.array(["healthy", "lytic", "blastic", "mixed"])
        return names[lytic.astype(int) + 2 * blastic.astype(int)]


@dataclass(frozen=True, eq=False)
class Split:
    """The vertebrae that a figure is about.

    vertebrae: malignant ones whose truth crosses the central slice, and healthy ones.
    excluded: malignant vertebrae left out because it does not.
    """

    name: str
    vertebrae: SliceSet
    excluded: int


def load_split(
    name: str,
    malignant: int,
    healthy: int,
    cache: Path,
    progress: ProgressCallback | None = None,
) -> Split:
    """Return the split's first vertebrae in seed order, rendering what is not cached yet.

    malignant, healthy: how many of each. Raises OptionError for an unknown split.
    """
    return load_range(name, _first_seed(name) + OFFSET, malignant, healthy, cache, progress)


def load_range(
    name: str,
    first: int,
    malignant: int,
    healthy: int,
    cache: Path,
    progress: ProgressCallback | None = None,
) -> Split:
    """As `load_split`, of the seeds from `first` on; name: for the reader only."""
    parts: list[SliceSet] = []
    have = {True: 0, False: 0}
    excluded = shard = 0
    while have[True] < malignant or have[False] < healthy:
        vertebrae = load_shard(first + shard * SHARD, cache)
        shard += 1
        crosses = vertebrae.slice_phenotype != "healthy"
        keep = np.zeros(len(vertebrae), dtype=bool)
        for position in range(len(vertebrae)):
            kind = bool(vertebrae.malignant[position])
            wanted = malignant if kind else healthy
            if have[kind] >= wanted:
                continue
            if kind and not crosses[position]:
                excluded += 1
                continue
            have[kind] += 1
            keep[position] = True
        parts.append(vertebrae.take(keep))
        if progress is not None:
            done = min(have[True], malignant) + min(have[False], healthy)
            progress(Progress(f"phantoms: {name}", None, done, malignant + healthy))
    return Split(name, join(parts), excluded)


def load_seeds(
    name: str, count: int, cache: Path, progress: ProgressCallback | None = None
) -> SliceSet:
    """Return the split's first `count` vertebrae as they come, for training (label and all)."""
    first = _first_seed(name) + OFFSET
    parts = []
    for start in range(0, count, SHARD):
        parts.append(load_shard(first + start, cache))
        if progress is not None:
            progress(Progress(f"phantoms: {name}", None, min(start + SHARD, count), count))
    return join(parts).take(np.arange(count))


def load_shard(first_seed: int, cache: Path) -> SliceSet:
    """Read the vertebrae of SHARD seeds from the cache, or render and store them."""
    from hideseek_backend.phantom import PHANTOM_VERSION, make_block

    path = cache / f"phantom-v{PHANTOM_VERSION}" / f"{first_seed:07d}-{SHARD}.npz"
    if path.is_file():
        return read_set(path)
    parts = []
    for seed in range(first_seed, first_seed + SHARD):
        made = make_block(seed)
        parts.append(
            slices_of(made.block, made.truth, made.vertebra_truth.phenotype, f"phantom:{seed}")
        )
    vertebrae = join(parts)
    write_set(path, vertebrae)
    return vertebrae


def slices_of(
    block: VertebraBlock, truth: NDArray[np.uint8], phenotype: str, source: str
) -> SliceSet:
    """Resample one block and its truth (on the block's grid) to five central slices."""
    centre = crop_block(block, [CENTRE_INDEX]).central_slice
    wanted = range(centre - MIDDLE, centre + MIDDLE + 1)
    crop = crop_block(block, wanted)
    label = np.zeros(crop.hu.shape, dtype=np.uint8)
    for value in (LYTIC, BLASTIC):
        label[crop_mask(block, truth == value, wanted) & crop.body] = value
    return SliceSet(
        hu=_slices_first(np.clip(np.rint(crop.hu), -32768, 32767).astype(np.int16)),
        valid=_slices_first(crop.valid),
        body=_slices_first(crop.body),
        truth=_slices_first(label),
        phenotype=np.array([phenotype]),
        level=np.array([block.level]),
        source=np.array([source]),
    )


def join(parts: list[SliceSet]) -> SliceSet:
    """Concatenate sets. Raises InputError for none."""
    if not parts:
        raise InputError("There are no vertebrae to join.", "Ask for at least one vertebra.")
    return SliceSet(
        *(np.concatenate([getattr(part, f.name) for part in parts]) for f in fields(SliceSet))
    )


def write_set(path: Path, vertebrae: SliceSet) -> None:
    """Store a set as .npz, whole or not at all."""
    with whole_file(path) as part:
        np.savez_compressed(part, **{f.name: getattr(vertebrae, f.name) for f in fields(vertebrae)})


def read_set(path: Path) -> SliceSet:
    """Read what `write_set` stored."""
    with np.load(path, allow_pickle=False) as stored:
        return SliceSet(*(stored[field.name] for field in fields(SliceSet)))


def _slices_first(array: NDArray[Any]) -> NDArray[Any]:
    return np.moveaxis(array, 2, 0)[None].copy()


def _first_seed(name: str) -> int:
    if name not in SPLITS:
        raise OptionError(
            f"Unknown split {name!r}; expected one of {', '.join(SPLITS)}.", "Choose one of them."
        )
    return SPLITS[name]
