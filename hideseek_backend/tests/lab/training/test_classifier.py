"""What the classifier is fitted on."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch

from hideseek_lab.training import dataset
from hideseek_lab.training.classifier import (
    WIDE_SLICES,
    central_slices,
    fitting_slices,
    sideways_parts,
)

HEALTHY, LYTIC = (0.0, 0.0, 0.0), (1.0, 1.0, 0.0)


def _shards(folder: Path, labels: list[tuple[float, float, float]]) -> dataset.ShardSet:
    """Vertebra v's slice k holds 10 v + k everywhere."""
    planes = np.arange(dataset.SLICES, dtype=np.int16)[:, None, None]
    full = np.ones((1, 64, 64), np.int16)
    dataset.write_shard(
        folder / "a.npz",
        [dataset.Sample((10 * v + planes) * full, own, "made") for v, own in enumerate(labels)],
    )
    return dataset.ShardSet(folder)


def test_central_slices_are_one_of_the_first_five_of_each(tmp_path: Path) -> None:
    hu, labels = central_slices(_shards(tmp_path, [HEALTHY, LYTIC] * 20), 30, 0)
    assert hu.shape == (30, 64, 64) and labels.shape == (30, 3)
    vertebra, k = np.divmod(hu[:, 0, 0], 10)
    assert vertebra.tolist() == list(range(30)) and set(k.tolist()) == {0, 1, 2, 3, 4}


def test_slices_of_wide_shards_come_after_the_central_ones(tmp_path: Path) -> None:
    central = _shards(tmp_path / "central", [HEALTHY, LYTIC])
    wide = _shards(tmp_path / "wide", [LYTIC, HEALTHY, HEALTHY])
    hu, labels, middle = fitting_slices(central, wide, 5, 0)
    assert len(hu) == len(labels) == len(middle) == 2 + 3 * WIDE_SLICES
    assert middle.tolist() == [True] * 2 + [False] * 6
    assert labels[:, 0].tolist() == [0, 1, 1, 1, 0, 0, 0, 0]
    assert len(np.unique(hu[2:, 0, 0])) == 3 * WIDE_SLICES
    assert fitting_slices(central, None, 5, 0)[2].all()


class _Mean:
    """An encoder whose latent is the mean of the picture."""

    def encode(self, images: torch.Tensor) -> torch.Tensor:
        return images.mean(dim=(2, 3))


def test_latents_are_ordered_from_the_middle_to_the_side(tmp_path: Path) -> None:
    wide = _shards(tmp_path, [HEALTHY, LYTIC, HEALTHY])
    z = sideways_parts(_Mean(), wide, torch.from_numpy)  # type: ignore[arg-type]
    assert z.shape == (4, 4, 1)
    # Slices 3 and 4 of vertebrae 0 and 2 are in the middle, 0 and 7 at the sides.
    assert sorted(z[0, :, 0].tolist()) == [3, 4, 23, 24]
    assert sorted(z[3, :, 0].tolist()) == [0, 7, 20, 27]
