"""The benchmark's splits: fixed seeds, a fixed rule for the central slice, a cache."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from hideseek_backend.errors import OptionError
from hideseek_lab.benchmark import dataset
from hideseek_lab.benchmark.dataset import (
    MIDDLE,
    MIN_TRUTH_PX,
    SliceSet,
    join,
    load_seeds,
    load_split,
    read_set,
    write_set,
)

from .conftest import drawn_set


@pytest.fixture
def small_shards(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(dataset, "SHARD", 2)


def test_splits_do_not_overlap() -> None:
    starts = sorted(dataset.SPLITS.values())
    assert starts == [0, 1_000_000, 2_000_000]
    assert dataset.OFFSET + 50_000 < dataset.SPLIT_SIZE


@pytest.mark.usefixtures("small_shards")
def test_phantom_vertebrae_are_cached_and_the_same_again(tmp_path: Path) -> None:
    first = load_seeds("test", 2, tmp_path)
    assert first.hu.shape == (2, 5, 64, 64)
    assert first.source.tolist() == ["phantom:2100000", "phantom:2100001"]
    [file] = list(tmp_path.rglob("*.npz"))
    stamp = file.stat().st_mtime_ns
    again = load_seeds("test", 2, tmp_path)
    assert file.stat().st_mtime_ns == stamp
    np.testing.assert_array_equal(first.hu, again.hu)
    assert first.body[:, MIDDLE].sum(axis=(1, 2)).min() > 200
    assert not (first.truth.astype(bool) & ~first.body).any()
    marrow = np.median(first.hu[first.body])
    assert 0 < marrow < 600
    # a malignant vertebra has truth, a healthy one has none
    shown = first.truth.any(axis=(1, 2, 3))
    assert not shown[~first.malignant].any()


def test_split_takes_crossing_lesions_only(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def shard(first_seed: int, cache: Path) -> SliceSet:
        vertebrae = drawn_set(8, seed=first_seed)
        flat = vertebrae.truth[1, MIDDLE].reshape(-1)  # a lytic one with too little to count
        flat[np.flatnonzero(flat)[MIN_TRUTH_PX - 1 :]] = 0
        return vertebrae

    monkeypatch.setattr(dataset, "load_shard", shard)
    split = load_split("validation", 7, 3, tmp_path)
    assert int(split.vertebrae.malignant.sum()) == 7
    assert int((~split.vertebrae.malignant).sum()) == 3
    assert split.excluded == 2
    crossing = split.vertebrae.slice_phenotype[split.vertebrae.malignant]
    assert "healthy" not in crossing
    with pytest.raises(OptionError, match="Unknown split"):
        load_split("holdout", 1, 1, tmp_path)


def test_sets_survive_the_disk(tmp_path: Path, vertebrae: SliceSet) -> None:
    write_set(tmp_path / "set.npz", vertebrae)
    stored = read_set(tmp_path / "set.npz")
    np.testing.assert_array_equal(stored.truth, vertebrae.truth)
    assert stored.phenotype.tolist() == vertebrae.phenotype.tolist()
    assert len(join([stored, vertebrae])) == 2 * len(vertebrae)
    assert [path.name for path in tmp_path.iterdir()] == ["set.npz"]


def test_slice_phenotype_ignores_a_few_pixels(vertebrae: SliceSet) -> None:
    assert vertebrae.slice_phenotype.tolist() == vertebrae.phenotype.tolist()
    vertebrae.truth[1, MIDDLE, 30, 30:33] = 2
    assert vertebrae.slice_phenotype[1] == "lytic"
