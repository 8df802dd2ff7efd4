"""Training slices with vertebra-level labels, in shards on disk. No masks are kept.

A shard is an .npz: hu (N, 8, 64, 64) int16 sagittal slices, axes (posterior, superior); labels
(N, 3) float32 in the order of `loop.LABELS`; source (N,) text. There are two kinds: "phantom" and
"real" shards hold the five central slices, three of them twice; "wide" ones hold eight spread
evenly from one side of the body to the other, of phantoms that are drawn in their whole width and
more often diseased at the sides. No shard shows the side of a real body.

Every slice has its vertebra's label. For a healthy vertebra that is certain. For a malignant one it
is not, since the slice may miss the lesions: what a classifier learns from such labels is the
probability that the vertebra is malignant, given this slice.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from hideseek_backend.attribution.vertebra import crossing_slices
from hideseek_backend.errors import InputError
from hideseek_backend.files import whole_file
from hideseek_backend.volumes.crops import CENTRE_INDEX, VertebraBlock, crop_block
from hideseek_lab.training.loop import Batch

CENTRAL = 5
SLICES = 8
WIDE_MM = 52.0
"""Width of the blocks of wide shards: a little more than the crop's 51.2 mm."""
WIDE_CENTRAL = 0.6
"""Share of their malignant vertebrae with a lesion that crosses the middle."""
PHENOTYPE_LABELS = {
    "healthy": (0.0, 0.0, 0.0),
    "lytic": (1.0, 1.0, 0.0),
    "blastic": (1.0, 0.0, 1.0),
    "mixed": (1.0, 1.0, 1.0),
}


@dataclass(frozen=True)
class Sample:
    """One vertebra for training: slices hu (8, 64, 64) int16 and its vertebra-level labels (3,)."""

    hu: NDArray[np.int16]
    labels: tuple[float, float, float]
    source: str


def sample_slices(block: VertebraBlock, rng: np.random.Generator) -> NDArray[np.int16]:
    """Resample the five central sagittal slices, three of them (drawn, perhaps alike) once more."""
    centre = crop_block(block, [CENTRE_INDEX]).central_slice
    central = [centre + d for d in range(-(CENTRAL // 2), CENTRAL // 2 + 1)]
    again = rng.choice(central, SLICES - CENTRAL) - central[0]
    hu = np.moveaxis(crop_block(block, central).hu, 2, 0).round().astype(np.int16)
    return np.concatenate([hu, hu[again]])


def spread_slices(block: VertebraBlock, rng: np.random.Generator) -> NDArray[np.int16]:
    """Resample eight sagittal slices, one from each eighth of the body's width."""
    whole = crop_block(block)
    crossing = np.array(crossing_slices(whole) or [whole.central_slice])
    position = (np.arange(SLICES) + rng.random(SLICES)) / SLICES
    wanted = crossing[(position * len(crossing)).astype(int)]
    return np.moveaxis(whole.hu[:, :, wanted], 2, 0).round().astype(np.int16)


def phantom_sample(seed: int, *, wide: bool = False) -> Sample:
    """Make the phantom vertebra of this seed and its training slices."""
    from hideseek_backend.phantom import BlockOptions, make_block

    rng = np.random.default_rng([seed, 7])
    if wide:
        made = make_block(seed, BlockOptions(width_mm=WIDE_MM, p_central=WIDE_CENTRAL))
        hu = spread_slices(made.block, rng)
    else:
        made = make_block(seed)
        hu = sample_slices(made.block, rng)
    return Sample(hu, PHENOTYPE_LABELS[made.vertebra_truth.phenotype], f"phantom:{seed}")


def write_shard(path: Path, samples: Iterable[Sample]) -> None:
    """Write samples to one shard, whole or not at all."""
    held = list(samples)
    with whole_file(path) as part:
        np.savez(
            part,
            hu=np.stack([s.hu for s in held]),
            labels=np.array([s.labels for s in held], dtype=np.float32),
            source=np.array([s.source for s in held]),
        )


def write_phantom_shards(
    folder: Path,
    first_seed: int,
    shards: int,
    *,
    per_shard: int = 500,
    start: int = 0,
    wide: bool = False,
    report: Callable[[str], None] = print,
) -> None:
    """Write phantom shards start … start + shards − 1 that are not there yet."""
    kind = "wide" if wide else "phantom"
    for index in range(start, start + shards):
        path = folder / f"{kind}-{first_seed + index * per_shard:07d}.npz"
        if path.exists():
            continue
        seeds = range(first_seed + index * per_shard, first_seed + (index + 1) * per_shard)
        write_shard(path, (phantom_sample(seed, wide=wide) for seed in seeds))
        report(f"wrote {path}")


class ShardSet:
    """The shards of a folder in memory, growing as new ones appear on disk.

    healthy_only: leave malignant vertebrae out. leave_out: cases of "real-CASE-NUMBER.npz" shards
    that are not read, for they are on another side of a split.
    """

    def __init__(
        self,
        folder: Path,
        pattern: str = "*.npz",
        *,
        healthy_only: bool = False,
        leave_out: Collection[str] = (),
    ) -> None:
        self.folder, self.pattern, self.healthy_only = folder, pattern, healthy_only
        self.leave_out = frozenset(leave_out)
        self._read: set[Path] = set()
        self.hu: list[NDArray[np.int16]] = []
        self.labels: list[NDArray[np.float32]] = []
        self.refresh()
        if not self.hu:
            raise InputError(
                f"No training shards ({pattern}) in {folder}.",
                "hideseek train writes them into RUN/data before it trains: give its --run.",
            )

    def refresh(self) -> None:
        """Read the shards that are new since the last call."""
        for path in sorted(self.folder.glob(self.pattern)):
            if path in self._read or path.name.startswith("."):  # one being written
                continue
            if path.stem.removeprefix("real-").rpartition("-")[0] in self.leave_out:
                continue
            with np.load(path, allow_pickle=False) as shard:
                labels = shard["labels"]
                keep = labels[:, 0] == 0 if self.healthy_only else np.ones(len(labels), bool)
                self.hu.extend(shard["hu"][keep])
                self.labels.extend(labels[keep])
            self._read.add(path)

    def __len__(self) -> int:
        return len(self.hu)

    def draw(
        self, index: int, rng: np.random.Generator, bag: int = 1
    ) -> tuple[NDArray[np.int16], Tensor]:
        """Return `bag` slices (bag, 64, 64) of vertebra `index` and the vertebra's labels."""
        chosen = (
            rng.choice(SLICES, size=bag, replace=False) if bag > 1 else rng.integers(SLICES, size=1)
        )
        return self.hu[index][chosen], torch.from_numpy(self.labels[index])


def batches(
    sets: list[tuple[ShardSet, float]],
    batch: int,
    to_intensity: Callable[[NDArray[np.float32]], Tensor],
    *,
    seed: int,
    bag: int = 1,
    refresh_every: int = 200,
) -> Callable[[int], Iterator[Batch]]:
    """Return the `batches` argument of `loop.train`: each vertebra's set is drawn by its weight.

    batch: slices; bag: slices of one vertebra, next to each other.
    """
    weights = np.array([w for _, w in sets], dtype=float)
    weights /= weights.sum()

    def iterate(step: int) -> Iterator[Batch]:
        while True:
            if step % refresh_every == 0:
                for shards, _ in sets:
                    shards.refresh()
            rng = np.random.default_rng([seed, step])
            chosen = rng.choice(len(sets), size=batch // bag, p=weights)
            drawn = [sets[c][0].draw(int(rng.integers(len(sets[c][0]))), rng, bag) for c in chosen]
            hu = np.concatenate([d[0] for d in drawn]).astype(np.float32)
            yield Batch(to_intensity(hu)[:, None], torch.stack([d[1] for d in drawn]))
            step += 1

    return iterate
