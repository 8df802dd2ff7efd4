"""Lesions inserted into real vertebrae: here into a phantom that stands for the real one."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from hideseek_backend.attribution.vertebra import crossing_slices
from hideseek_backend.cli import main as cli
from hideseek_backend.phantom import make_block
from hideseek_backend.volumes.crops import crop_block
from hideseek_backend.volumes.reading import read_ct
from hideseek_backend.volumes.writing import write_nifti
from hideseek_lab.insertion.level_sets import grow_lesions
from hideseek_lab.insertion.lookalikes import WEIGHTS, insert_named
from hideseek_lab.insertion.site import make_site
from hideseek_lab.training.real import (
    RealVertebra,
    crossing_planes,
    insert_lesions,
    real_sample,
)


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


def _vertebra(seed: int = 12) -> RealVertebra:
    block = make_block(seed, phenotype="healthy", level="L1").block
    return RealVertebra("stand-in", block, make_site(block.ct, block.body), ())


def test_real_samples_are_reproducible() -> None:
    first, second = (real_sample([_vertebra()], 5) for _ in range(2))
    assert np.array_equal(first.hu, second.hu)
    assert first.labels == second.labels


def test_planes_of_the_mask_are_those_of_the_crop() -> None:
    block = _vertebra().block
    fast, whole = set(crossing_planes(block).tolist()), set(crossing_slices(crop_block(block)))
    assert len(fast ^ whole) <= 2


@pytest.mark.parametrize("name", sorted(WEIGHTS))
def test_look_alikes_stay_near_the_body_and_leave_the_scan_s_copy_alone(name: str) -> None:
    vertebra = _vertebra()
    before = vertebra.hu
    shown = insert_named(vertebra.hu, vertebra.site, [name], np.random.default_rng(2))
    changed = np.abs(shown.hu - before) > 1
    assert np.array_equal(vertebra.hu, before)
    outside = np.ones(before.shape, bool)
    outside[vertebra.site.where] = False
    assert not changed[outside].any()
    if name != "null":
        assert changed.any()


def test_the_second_generator_grows_to_the_volume_asked() -> None:
    block = _vertebra().block
    for phenotype, sign in (("lytic", -1), ("blastic", 1)):
        hu, truth = grow_lesions(block, phenotype, 14.0, np.random.default_rng(1))
        volume = np.count_nonzero(truth) * block.ct.voxel_volume_mm3
        assert 0.4 < volume / (np.pi / 6 * 14.0**3) < 1.1  # less what the cortex keeps
        difference = hu - block.ct.data
        assert sign * difference[truth > 0].mean() > 15
        assert not (truth.astype(bool) & ~block.body).any()


def test_a_whole_case_gets_its_lesions_where_they_were_asked_for(tmp_path: Path) -> None:
    block = make_block(13, phenotype="healthy", level="L2").block
    bodies = block.ct.with_data(np.where(block.body, 21, 0).astype(np.uint8))
    write_nifti(block.ct, tmp_path / "ct.nii.gz")
    write_nifti(bodies, tmp_path / "bodies.nii.gz")
    (tmp_path / "case.json").write_text(json.dumps({"levels": ["L2"]}))
    command = ["data", "insert", str(tmp_path), "--at", "L2=blastic", "--out"]
    assert cli([*command, str(tmp_path / "made")]) == 0
    truth, _ = read_ct(tmp_path / "made" / "truth.nii.gz")
    ct, _ = read_ct(tmp_path / "made" / "ct.nii.gz")
    marked = truth.data == 2
    assert marked.sum() > 20 and (bodies.data[marked] > 0).all()
    assert (ct.data[marked] - block.ct.data[marked].astype(float)).mean() > 50
    assert (ct.data == block.ct.data).mean() > 0.5
    command[4] = "L9=blastic"
    assert cli([*command, str(tmp_path / "other")]) != 0
