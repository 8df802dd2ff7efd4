"""Blocks: one seed gives one picture, the truth fits, the classes differ as they should."""

from __future__ import annotations

import numpy as np
import pytest

from hideseek_backend.errors import OptionError
from hideseek_backend.phantom import BlockOptions, PhantomBlock, ScanOptions, make_block
from hideseek_backend.volumes.crops import crop_block

SEEDS = range(40, 56)


@pytest.fixture(scope="module")
def blocks() -> list[PhantomBlock]:
    return [make_block(seed) for seed in SEEDS]


@pytest.fixture(scope="module")
def malignant() -> dict[str, list[PhantomBlock]]:
    scan = ScanOptions(thickness_mm=(1.8, 2.4), in_plane_mm=(0.8, 1.1), p_coarse=0.0)
    wide = BlockOptions(width_mm=50.0, side_mm=44.0, scan=scan)
    return {
        name: [make_block(seed, wide, phenotype=name) for seed in range(7)]
        for name in ("lytic", "blastic", "mixed")
    }


def test_same_seed_same_voxels() -> None:
    first, second, other = make_block(7), make_block(7), make_block(8)
    assert np.array_equal(first.block.ct.data, second.block.ct.data)
    assert np.array_equal(first.truth, second.truth)
    assert first.lesions == second.lesions
    assert first.vertebra_truth == second.vertebra_truth
    assert first.block.ct.data.shape != other.block.ct.data.shape or not np.array_equal(
        first.block.ct.data, other.block.ct.data
    )


def test_ct_is_int16_in_the_range_of_ct(blocks: list[PhantomBlock]) -> None:
    for made in blocks:
        data = made.block.ct.data
        assert data.dtype == np.int16
        assert data.min() >= -1024
        assert data.max() <= 3071


def test_masks_nest(blocks: list[PhantomBlock]) -> None:
    for made in blocks:
        body, vertebra = made.block.body, made.block.vertebra
        assert body.any()
        assert not np.any(body & ~vertebra)
        assert not np.any((made.truth > 0) & ~body)


def test_affine_is_a_valid_tilted_grid(blocks: list[PhantomBlock]) -> None:
    for made in blocks:
        affine = made.block.ct.affine
        axes = affine[:3, :3] / np.linalg.norm(affine[:3, :3], axis=0)
        assert np.allclose(axes.T @ axes, np.eye(3), atol=1e-9)
        assert np.linalg.norm(np.abs(axes).max(0)) < np.sqrt(3)  # oblique


def test_table_volumes_equal_voxel_counts(malignant: dict[str, list[PhantomBlock]]) -> None:
    for made in (m for blocks in malignant.values() for m in blocks):
        voxel = made.block.ct.voxel_volume_mm3
        for value, name in ((1, "lytic"), (2, "blastic")):
            rows = [row.volume_mm3 for row in made.lesions if row.polarity == name]
            assert sum(rows) == pytest.approx(np.count_nonzero(made.truth == value) * voxel)


def test_malignant_blocks_hold_the_polarities_of_their_phenotype(
    malignant: dict[str, list[PhantomBlock]],
) -> None:
    wanted = {"lytic": {1}, "blastic": {2}, "mixed": {1, 2}}
    for name, cases in malignant.items():
        matches = [set(np.unique(m.truth)) - {0} == wanted[name] for m in cases]
        assert np.mean(matches) >= 0.9
        assert all(m.vertebra_truth.malignant for m in cases)


def test_healthy_blocks_have_no_truth() -> None:
    for seed in SEEDS[:5]:
        made = make_block(seed, phenotype="healthy")
        assert not made.truth.any()
        assert made.lesions == ()
        assert not made.vertebra_truth.malignant


def test_lesions_differ_from_the_marrow_about_them(
    malignant: dict[str, list[PhantomBlock]],
) -> None:
    contrast = {"lytic": [], "blastic": []}
    for name, value in (("lytic", 1), ("blastic", 2)):
        for made in malignant[name]:
            hu, rest = made.block.ct.data, made.block.body & (made.truth == 0)
            if np.count_nonzero(rest) > 50:
                contrast[name].append(hu[made.truth == value].mean() - np.median(hu[rest]))
    assert np.median(contrast["lytic"]) < -50
    assert np.median(contrast["blastic"]) > 100


def test_lytic_foci_are_soft_tissue(malignant: dict[str, list[PhantomBlock]]) -> None:
    means = [m.block.ct.data[m.truth == 1].mean() for m in malignant["lytic"]]
    assert 0 < np.median(means) < 130


def test_most_first_lesions_cross_the_centre(malignant: dict[str, list[PhantomBlock]]) -> None:
    crossing = [
        any(row.crosses_centre for row in made.lesions)
        for blocks in malignant.values()
        for made in blocks
    ]
    assert 0.7 <= np.mean(crossing) <= 1.0


def test_centroids_lie_in_the_lesion_bearing_body(
    malignant: dict[str, list[PhantomBlock]],
) -> None:
    for made in malignant["blastic"]:
        centre = made.block.centre_ras
        for row in made.lesions:
            assert np.linalg.norm(np.array(row.centroid_ras) - centre) < 35


def test_default_block_fills_the_central_slices_of_the_crop(blocks: list[PhantomBlock]) -> None:
    for made in blocks[:8]:
        crop = crop_block(made.block)
        middle = crop.valid[:, :, crop.central_slice - 3 : crop.central_slice + 4]
        assert middle.mean() > 0.99


def test_class_and_level_can_be_chosen() -> None:
    made = make_block(3, phenotype="mixed", level="T10")
    assert made.block.level == "T10"
    assert made.vertebra_truth.phenotype == "mixed"


def test_share_of_malignant_follows_the_option() -> None:
    small = {"width_mm": 4.0, "scan": ScanOptions(in_plane_mm=(1.1, 1.2), thickness_mm=(2.9, 3.0))}
    assert not any(
        make_block(s, BlockOptions(p_malignant=0.0, **small)).vertebra_truth.malignant
        for s in range(6)
    )
    assert all(
        make_block(s, BlockOptions(p_malignant=1.0, **small)).vertebra_truth.malignant
        for s in range(6)
    )


def test_a_choice_of_class_leaves_anatomy_and_findings_alone() -> None:
    quiet = BlockOptions(p_neighbour=0.0)
    healthy = make_block(11, quiet, phenotype="healthy")
    sick = make_block(11, quiet, phenotype="blastic")
    assert healthy.vertebra_truth.benign == sick.vertebra_truth.benign
    assert np.array_equal(healthy.block.body, sick.block.body)


@pytest.mark.parametrize(
    "options",
    [
        {"p_malignant": 1.5},
        {"p_central": -0.1},
        {"levels": ("C3",)},
        {"levels": ()},
        {"width_mm": 1.0},
    ],
)
def test_bad_block_options_are_refused(options: dict[str, object]) -> None:
    with pytest.raises(OptionError):
        BlockOptions(**options)  # type: ignore[arg-type]


def test_bad_scan_options_are_refused() -> None:
    with pytest.raises(OptionError, match="noise_hu"):
        ScanOptions(noise_hu=(60.0, 10.0))
