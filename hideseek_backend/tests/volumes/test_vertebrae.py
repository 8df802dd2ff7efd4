import time
from pathlib import Path

import numpy as np
import pytest
from dicom_writer import write_dicom
from shared_data import shared_file
from toy_spine import ToySpine, grid_affine, toy_spine

from hideseek_backend.errors import GeometryError, HideSeekError, InputError, LabelError
from hideseek_backend.volumes.crops import crop_block, cut_block
from hideseek_backend.volumes.vertebrae import Vertebrae, body_voxels, load_case
from hideseek_backend.volumes.volume import Volume
from hideseek_backend.volumes.writing import write_nifti


@pytest.fixture(scope="module")
def spine() -> ToySpine:
    return toy_spine()


def dice(a: np.ndarray, b: np.ndarray) -> float:
    return 2 * np.count_nonzero(a & b) / (np.count_nonzero(a) + np.count_nonzero(b))


def test_case_from_files(tmp_path: Path, spine: ToySpine) -> None:
    for name in ("ct", "labels", "bodies"):
        write_nifti(getattr(spine, name), tmp_path / f"{name}.nii.gz")
    case = load_case(
        tmp_path / "ct.nii.gz", tmp_path / "labels.nii.gz",
        bodies_path=tmp_path / "bodies.nii.gz", labels="verse",
    )  # fmt: skip
    assert case.vertebrae.levels == {"L1": 20, "L2": 21, "L3": 22}
    assert list(case.vertebrae.levels) == ["L1", "L2", "L3"]
    assert (case.vertebrae.scheme, case.vertebrae.body_source) == ("verse", "given")
    assert case.warnings == ()
    np.testing.assert_array_equal(case.vertebrae.labels, spine.labels.data)
    np.testing.assert_array_equal(case.vertebrae.bodies, spine.bodies.data)


def test_dicom_ct_with_nifti_mask(tmp_path: Path) -> None:
    spine = toy_spine(affine=grid_affine((1.5, 1.5, 2.0), flips=(-1, -1, 1)))
    corner = spine.ct.affine[:3, 3] * [-1, -1, 1]
    write_dicom(
        tmp_path / "dicom", spine.ct.data, spacing=(1.5, 1.5), origin=tuple(corner),
        step=(0, 0, 2.0),
    )  # fmt: skip
    write_nifti(spine.labels, tmp_path / "labels.nii.gz")
    case = load_case(tmp_path / "dicom", tmp_path / "labels.nii.gz", labels="verse")
    np.testing.assert_array_equal(case.ct.data, spine.ct.data)
    np.testing.assert_array_equal(case.vertebrae.labels, spine.labels.data)
    assert case.warnings == ()


def test_other_schemes_are_renumbered(spine: ToySpine) -> None:
    data = spine.labels.data.astype(int)
    renumbered = np.select([data == 20, data == 21, data == 22], [31, 30, 29], 0)
    mask = spine.labels.with_data(renumbered)
    case = load_case(spine.ct, mask, bodies_path=spine.bodies, labels="totalsegmentator")
    np.testing.assert_array_equal(case.vertebrae.labels, spine.labels.data)
    with pytest.raises(LabelError, match="fit 2"):
        load_case(spine.ct, mask)


def test_mask_on_another_grid_is_resampled_with_a_warning(spine: ToySpine) -> None:
    other = toy_spine(affine=grid_affine((1.0, 1.2, 1.1), (12.0, 5.0, -20.0)))
    case = load_case(spine.ct, other.labels, bodies_path=other.bodies, labels="verse")
    assert any("another grid" in text for text in case.warnings)
    assert dice(case.vertebrae.labels == 21, spine.labels.data == 21) > 0.93
    centre = spine.ct.ras(np.argwhere(case.vertebrae.bodies == 21)).mean(axis=0)
    expected = spine.ct.ras(np.argwhere(spine.bodies.data == 21)).mean(axis=0)
    np.testing.assert_allclose(centre, expected, atol=0.5)


def test_cropped_or_flipped_mask_on_the_same_voxels_is_no_warning(spine: ToySpine) -> None:
    part = spine.labels.box((2, 3, 4), np.array(spine.labels.shape) - 1)
    flip = np.diag([-1.0, 1.0, 1.0, 1.0])
    flip[0, 3] = part.shape[0] - 1
    flipped = Volume(part.data[::-1], part.affine @ flip)
    case = load_case(spine.ct, flipped, bodies_path=spine.bodies, labels="verse")
    assert case.warnings == ()
    np.testing.assert_array_equal(case.vertebrae.labels == 21, spine.labels.data == 21)


def test_thick_slices_warn(tmp_path: Path) -> None:
    spine = toy_spine(affine=grid_affine((1.5, 1.5, 4.0)))
    case = load_case(spine.ct, spine.labels, bodies_path=spine.bodies, labels="verse")
    assert "over 3 mm" in case.warnings[0]


def test_level_missing_from_the_body_mask_is_split_off(spine: ToySpine) -> None:
    bodies = np.where(spine.bodies.data == 21, 0, spine.bodies.data)
    case = load_case(
        spine.ct, spine.labels, bodies_path=spine.bodies.with_data(bodies), labels="verse"
    )
    assert "no body of L2" in case.warnings[0]
    assert dice(case.vertebrae.bodies == 21, spine.bodies.data == 21) > 0.9
    np.testing.assert_array_equal(case.vertebrae.bodies == 20, spine.bodies.data == 20)


def test_crumbs_of_a_level_are_left_out(spine: ToySpine) -> None:
    labels = spine.labels.data.copy()
    labels[30:33, 40:43, -4:-1] = 19
    case = load_case(spine.ct, spine.labels.with_data(labels), bodies_path=spine.bodies,
                     labels="verse")  # fmt: skip
    assert "T12" not in case.vertebrae.levels
    assert "T12 (" in case.warnings[0]


@pytest.mark.parametrize(
    ("values", "bodies"),
    [
        ((41, 49, 50), (49, 50)),
        ((41, 50), (50,)),
        ((1, 2), (1,)),
        ((1,), (1,)),
        ((19, 20), (19, 20)),
        ((1, 2, 3), (1, 2, 3)),
        ((255,), (255,)),
    ],
)
def test_which_labels_are_bodies(values: tuple[int, ...], bodies: tuple[int, ...]) -> None:
    labels = np.zeros((4, 4, 4), np.int16)
    labels.ravel()[: len(values)] = values
    np.testing.assert_array_equal(body_voxels(labels), np.isin(labels, bodies))


def test_choose_levels(spine: ToySpine) -> None:
    vertebrae = Vertebrae(
        spine.labels.data, spine.bodies.data, {"L1": 20, "L2": 21, "L3": 22}, "verse"
    )
    with pytest.raises(LabelError, match="T4"):
        vertebrae.bounds("T4")


def shifted(volume: Volume, by: tuple[float, float, float]) -> Volume:
    affine = volume.affine.copy()
    affine[:3, 3] += by
    return Volume(volume.data, affine)


@pytest.mark.parametrize(
    ("spoil", "error", "message"),
    [
        (lambda s: {"vertebrae_path": shifted(s.labels, (500, 0, 0))}, GeometryError, "overlap"),
        (lambda s: {"vertebrae_path": shifted(s.labels, (0, 45, 0))}, GeometryError, "disagree"),
        (lambda s: {"vertebrae_path": shifted(s.labels, (30, 0, 0))}, GeometryError, "disagree"),
        (
            lambda s: {"bodies_path": shifted(s.bodies, (0, 0, 400))}, GeometryError, "overlap",
        ),
        (
            lambda s: {"bodies_path": s.bodies.with_data(np.zeros_like(s.bodies.data))},
            InputError, "without labels",
        ),
        (
            lambda s: {"bodies_path": s.bodies.with_data((s.bodies.data > 0) * np.uint8(2))},
            InputError, "only discs",
        ),
        (
            lambda s: {"bodies_path": s.bodies.with_data(
                ((s.labels.data == 0) & (s.ct.data > 40)).astype(np.uint8))},
            InputError, "none within",
        ),
        (
            lambda s: {"vertebrae_path": s.labels.with_data(np.zeros_like(s.labels.data))},
            LabelError, "without labels",
        ),
        (lambda s: {"vertebrae_path": s.ct}, InputError, "Give CT first"),
        (
            lambda s: {"vertebrae_path": s.labels.with_data(s.labels.data / 3.0)},
            InputError, "fractions",
        ),
        (lambda s: {"ct_path": s.labels}, InputError, "normalised"),
        (lambda s: {"labels": "verse3"}, LabelError, "neither a scheme nor a file"),
        (lambda s: {"labels": "totalsegmentator"}, LabelError, "got 20, 21, 22"),
        (lambda s: {"ct_path": "nowhere.nii.gz"}, InputError, "got nothing"),
        (lambda s: {"vertebrae_path": "nowhere.nii.gz"}, InputError, "got nothing"),
    ],
)  # fmt: skip
def test_cases_that_do_not_fit_are_refused(spine: ToySpine, spoil, error, message: str) -> None:
    given = {"ct_path": spine.ct, "vertebrae_path": spine.labels, "bodies_path": spine.bodies,
             "labels": "verse", **spoil(spine)}  # fmt: skip
    with pytest.raises(error, match=message) as caught:
        load_case(**given)
    assert isinstance(caught.value, HideSeekError)
    assert caught.value.remedy


def test_mask_with_lps_taken_for_ras_is_told(spine: ToySpine) -> None:
    turned = Volume(spine.labels.data, np.diag([-1.0, -1.0, 1.0, 1.0]) @ spine.labels.affine)
    with pytest.raises(GeometryError, match="disagree in frame"):
        load_case(spine.ct, turned, bodies_path=turned, labels="verse")


def test_sparse_bodies_between_dense_arches_are_taken(spine: ToySpine) -> None:
    """A mask of bodies alone has bright neighbours; they do not make it a mask out of frame."""
    bodies = spine.bodies.data > 0
    dense = (spine.labels.data > 0) & ~bodies
    hu = np.where(bodies, 150, np.where(dense, 900, spine.ct.data)).astype(np.int16)
    case = load_case(spine.ct.with_data(hu), spine.bodies, bodies_path=spine.bodies, labels="verse")
    assert case.vertebrae.levels


def test_tiny_vertebrae_alone_are_refused(spine: ToySpine) -> None:
    labels = np.zeros_like(spine.labels.data)
    labels[20:23, 20:23, 20:23] = 20
    with pytest.raises(LabelError, match="vertebra's size"):
        load_case(spine.ct, spine.labels.with_data(labels), labels="verse")


REAL = {
    "verse014": ("sub-verse014_ct.nii.gz", "sub-verse014_seg-vert_msk.nii.gz", None),
    "totalsegmentator_example": ("ct.nii.gz", "total.nii.gz", "vertebrae_body.nii.gz"),
    "tptbox_l3": (
        "sub-ct_label-22_ct.nii.gz",
        "sub-ct_seg-vert_label-22_msk.nii.gz",
        "sub-ct_seg-subreg_label-22_msk.nii.gz",
    ),
}


@pytest.mark.parametrize(
    ("folder", "scheme", "levels", "whole"),
    [
        ("verse014", "verse", "L1 L2 L3 L4 L5", "L1 L2 L3 L4 L5"),
        ("totalsegmentator_example", "names", "T11 T12 L1 L2 L3 L4 L5", "L1 L2 L3 L4 L5"),
        ("tptbox_l3", "verse", "L2 L3 L4", "L3"),
    ],
)
def test_real_cases(folder: str, scheme: str, levels: str, whole: str) -> None:
    ct, mask, bodies = (
        None if name is None else shared_file("data", folder, name) for name in REAL[folder]
    )
    assert ct is not None
    assert mask is not None
    case = load_case(ct, mask, bodies_path=bodies)
    assert case.vertebrae.scheme == scheme
    assert list(case.vertebrae.levels) == levels.split()
    blocks = {level: cut_block(case.ct, case.vertebrae, level) for level in levels.split()}
    assert [level for level, block in blocks.items() if not block.cut] == whole.split()
    for level in whole.split():
        crop = crop_block(blocks[level], [32])
        assert crop.valid.all()
        assert 60 < crop.hu[crop.body].mean() < 450


def test_stray_voxels_are_left_out_before_anything_is_split() -> None:
    spine = toy_spine(field_mm=(160.0, 160.0, 200.0))
    rng = np.random.default_rng(0)
    scattered = spine.labels.data.copy()
    where = tuple(rng.integers(0, n, 2000) for n in scattered.shape)
    scattered[where] = rng.choice([19, 20, 21, 22], 2000)
    started = time.perf_counter()
    mask = spine.labels.with_data(scattered)
    case = load_case(spine.ct, mask, labels="verse", levels=("L2",))
    assert time.perf_counter() - started < 2.0
    assert list(case.vertebrae.levels) == ["L1", "L2", "L3"]
    assert any("Stray voxels" in text and "L2" in text for text in case.warnings)
    clean = load_case(spine.ct, spine.labels, labels="verse", levels=("L2",))
    assert set(np.unique(case.vertebrae.bodies)) == {0, 21}
    body, wanted = case.vertebrae.bodies == 21, clean.vertebrae.bodies == 21
    assert dice(body, wanted) > 0.99


def test_huge_labels_of_other_structures_cost_nothing(spine: ToySpine) -> None:
    data = spine.labels.data.astype(np.int64)
    data[0, 0, 0] = 2**31 - 1
    case = load_case(
        spine.ct, spine.labels.with_data(data), bodies_path=spine.bodies, labels="verse"
    )
    assert np.count_nonzero(case.vertebrae.labels) == np.count_nonzero(spine.labels.data)
