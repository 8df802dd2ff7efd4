"""Shards of slices with vertebra-level labels."""

from __future__ import annotations

from itertools import islice
from pathlib import Path

import numpy as np
import pytest
import torch

from hideseek_backend.errors import InputError
from hideseek_backend.phantom import BlockOptions, make_block
from hideseek_backend.volumes.crops import crop_block
from hideseek_lab.training import dataset


def _sample(value: int, labels: tuple[float, float, float]) -> dataset.Sample:
    return dataset.Sample(np.full((8, 64, 64), value, np.int16), labels, "made")


def test_a_phantom_sample_holds_slices_of_bone() -> None:
    sample = dataset.phantom_sample(3)
    assert sample.hu.shape == (dataset.SLICES, 64, 64)
    assert sample.hu.dtype == np.int16
    assert sample.hu[2, 24:40, 24:40].mean() > 60  # the middle of a body
    assert sample.labels in dataset.PHENOTYPE_LABELS.values()


def test_a_wide_sample_runs_from_side_to_side() -> None:
    sample = dataset.phantom_sample(50_001, wide=True)
    assert sample.hu.shape == (dataset.SLICES, 64, 64)
    made = make_block(50_001, BlockOptions(width_mm=dataset.WIDE_MM, p_central=0.6))
    crop = crop_block(made.block)
    shown = [int(np.abs(crop.hu - hu[:, :, None]).sum(axis=(0, 1)).argmin()) for hu in sample.hu]
    areas = np.count_nonzero(crop.body, axis=(0, 1))
    assert shown == sorted(shown)
    assert areas[shown].min() >= 40
    assert shown[0] < np.flatnonzero(areas)[0] + 9 and shown[-1] > np.flatnonzero(areas)[-1] - 9


def test_every_slice_carries_its_vertebra_s_label(tmp_path: Path) -> None:
    dataset.write_shard(tmp_path / "a.npz", [_sample(5, (1.0, 1.0, 0.0))])
    shards = dataset.ShardSet(tmp_path)
    rng = np.random.default_rng(0)
    assert all(shards.draw(0, rng)[1].tolist() == [1.0, 1.0, 0.0] for _ in range(32))


def test_a_growing_folder_is_noticed(tmp_path: Path) -> None:
    dataset.write_shard(tmp_path / "a.npz", [_sample(1, (0.0, 0.0, 0.0))])
    shards = dataset.ShardSet(tmp_path)
    dataset.write_shard(tmp_path / "b.npz", [_sample(2, (0.0, 0.0, 0.0))])
    shards.refresh()
    assert len(shards) == 2


def test_healthy_only_leaves_malignant_vertebrae_out(tmp_path: Path) -> None:
    labels = [(0.0, 0.0, 0.0), (1.0, 0.0, 1.0), (0.0, 0.0, 0.0)]
    dataset.write_shard(tmp_path / "a.npz", [_sample(k, own) for k, own in enumerate(labels)])
    shards = dataset.ShardSet(tmp_path, healthy_only=True)
    assert [int(hu[0, 0, 0]) for hu in shards.hu] == [0, 2]


def test_no_shards_is_told(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="No training shards"):
        dataset.ShardSet(tmp_path)


def test_batches_continue_at_a_step(tmp_path: Path) -> None:
    dataset.write_shard(tmp_path / "a.npz", [_sample(k, (0.0, 0.0, 0.0)) for k in range(20)])
    shards = dataset.ShardSet(tmp_path)
    make = dataset.batches([(shards, 1.0)], 4, torch.from_numpy, seed=1)
    whole = [b.images for b in islice(make(0), 5)]
    late = [b.images for b in islice(make(3), 2)]
    assert torch.equal(whole[3], late[0])
    assert torch.equal(whole[4], late[1])
