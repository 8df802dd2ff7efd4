"""Lesions inserted into real vertebrae: here into a phantom that stands for the real one."""

from __future__ import annotations

import numpy as np
import pytest

from hideseek_backend.phantom import make_block
from hideseek_lab.training.real import insert_lesions, real_sample


@pytest.mark.parametrize(("phenotype", "value", "sign"), [("lytic", 1, -1), ("blastic", 2, 1)])
def test_inserted_lesions_change_the_image_where_the_truth_is(
    phenotype: str, value: int, sign: int
) -> None:
    block = make_block(11, phenotype="healthy", level="L2").block
    before = block.ct.data.copy()
    changed, truth = insert_lesions(block, phenotype, np.random.default_rng(4))
    difference = changed.ct.data.astype(float) - before
    assert (truth == value).sum() > 20
    assert not (truth.astype(bool) & ~block.body).any()
    assert sign * difference[truth == value].mean() > 15
    far = ~block.body
    assert np.abs(difference[far]).mean() < 2
    assert np.array_equal(block.ct.data, before)


def test_real_samples_are_reproducible() -> None:
    block = make_block(12, phenotype="healthy", level="L1").block
    first, second = (real_sample([block], 5, "x") for _ in range(2))
    assert np.array_equal(first.hu, second.hu)
    assert first.labels == second.labels
