import numpy as np
import pytest
from shared_data import shared_file
from toy_spine import ToySpine, toy_spine

from hideseek_backend.errors import GeometryError, InputError
from hideseek_backend.volumes.checks import check_bone, check_grid, check_hu
from hideseek_backend.volumes.padding import find_padding
from hideseek_backend.volumes.reading import read_ct
from hideseek_backend.volumes.volume import Volume

RNG = np.random.default_rng(0)


@pytest.fixture(scope="module")
def spine() -> ToySpine:
    return toy_spine(levels=("L1", "L2"), field_mm=(90.0, 100.0, 70.0))


def box(spacing: tuple[float, float, float], shear: float = 0.0) -> Volume:
    affine = np.diag([*spacing, 1.0])
    affine[0, 2] = shear
    return Volume(np.zeros((40, 40, 40), np.int16), affine)


def test_a_ct_passes(spine: ToySpine) -> None:
    assert check_grid(spine.ct) == ()
    assert check_hu(spine.ct) == ()
    check_bone(spine.ct, spine.labels.data)


def test_a_padded_ct_passes(spine: ToySpine) -> None:
    for value in (0, -1024, -3024):
        hu = spine.ct.data.copy()
        hu[:, :, 20:] = value
        check_hu(spine.ct.with_data(hu))


def test_three_millimetres_pass_and_more_warns() -> None:
    assert check_grid(box((1.0, 1.0, 3.0000001))) == ()
    assert "over 3 mm" in check_grid(box((1.0, 1.0, 4.0)))[0]
    assert check_grid(box((1.0, 1.0, 6.0)))


@pytest.mark.parametrize(
    ("volume", "message"),
    [
        (box((1.0, 1.0, 6.5)), "at most 6 mm"),
        (box((7.0, 1.0, 1.0)), "at most 6 mm"),
        (box((0.001, 0.001, 0.001)), "metres"),
        (box((1.0, 1.0, 2.0), shear=0.3), "shear of"),
        (Volume(np.zeros((40, 40, 4), np.int16), np.diag([1, 1, 2.0, 1])), "at least 20 mm"),
    ],
)
def test_unusable_grids_are_refused(volume: Volume, message: str) -> None:
    with pytest.raises(GeometryError, match=message) as caught:
        check_grid(volume)
    assert caught.value.remedy


def mr(hu: np.ndarray) -> np.ndarray:
    return np.abs(RNG.normal(300, 120, hu.shape)).astype(np.float32)


def nan_inside(hu: np.ndarray) -> np.ndarray:
    out = hu.astype(np.float32)
    out[5, 5, 5] = np.nan
    return out


def infinite(hu: np.ndarray) -> np.ndarray:
    out = hu.astype(np.float32)
    out[5, 5, 5] = np.inf
    return out


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (mr, "MR image"),
        (nan_inside, "1 voxels of NaN"),
        (infinite, "NaN or infinity"),
        (lambda hu: np.zeros_like(hu), "got 0 everywhere"),
        (lambda hu: np.full_like(hu, -1024), "got -1024 everywhere"),
        (lambda hu: np.clip((hu + 1000.0) / 2000.0, 0, 1), "normalised"),
        (lambda hu: np.clip(hu / 1000.0, -1, 1), "normalised"),
        (lambda hu: (hu - hu.mean()) / hu.std(), "normalised"),
        (lambda hu: np.clip((hu + 160) / 400 * 255, 0, 255).astype(np.uint8), "8-bit"),
        (lambda hu: hu.astype(np.uint16), "overflow"),
        (lambda hu: (hu.astype(np.int32) * 100).astype(np.int16), "overflow"),
        (lambda hu: hu.astype(np.int32) + 1024, "offset of -1024"),
        (lambda hu: hu - 1024, "slope or offset"),
        (lambda hu: np.where(hu < 0, 900, hu + 900) - 1000 + 1200, "no negative|fat or air"),
        (lambda hu: hu.astype(np.float32) * 100, "wrong scale"),
        (lambda hu: hu > 100, "numbers"),
        (lambda hu: hu.astype(np.complex64), "complex"),
    ],
)
def test_images_that_are_no_ct_in_hu_are_refused(spine: ToySpine, spoil, message: str) -> None:
    with pytest.raises(InputError, match=message) as caught:
        check_hu(Volume(spoil(spine.ct.data), spine.ct.affine))
    assert caught.value.remedy


def test_mask_off_the_bone_is_refused(spine: ToySpine) -> None:
    with pytest.raises(GeometryError, match="disagree in frame"):
        check_bone(spine.ct, spine.ct.data < -60)
    with pytest.raises(InputError, match="scaled wrongly"):
        check_bone(spine.ct.with_data(spine.ct.data // 4), spine.labels.data)


@pytest.mark.parametrize("value", [0, -1024, -2000, -3024])
def test_padding_is_found(spine: ToySpine, value: int) -> None:
    hu = spine.ct.data.copy()
    hu[:, :, 25:] = value
    hu[:9] = value
    found = find_padding(hu, spine.labels.data > 0)
    assert found is not None
    # A few voxels of tissue have the value 0 by chance.
    assert np.count_nonzero(found ^ (hu == value)) < 20


def test_saturated_air_and_tissue_are_no_padding(spine: ToySpine) -> None:
    hu = spine.ct.data.copy()
    assert find_padding(hu, spine.labels.data > 0) is None
    hu[:, :6] = -1024  # air behind the back, away from the vertebrae
    assert find_padding(hu, spine.bodies.data > 0) is None
    hu[20:30, 30:40, 10:20] = 0  # a constant region within the body, such as a mask-out
    assert find_padding(hu, spine.bodies.data > 0) is None


def test_tilted_padding_is_found(spine: ToySpine) -> None:
    index = np.indices(spine.ct.shape)
    tilted = index[2] > 20 + index[0] * 0.3
    hu = np.where(tilted, -2048, spine.ct.data)
    found = find_padding(hu)
    assert found is not None
    assert np.count_nonzero(found ^ tilted) < 0.01 * np.count_nonzero(tilted)


def test_real_zero_padding() -> None:
    volume, _ = read_ct(shared_file("data", "blds", "7.nii.gz"))
    found = find_padding(volume.data)
    assert found is not None
    assert found.mean() == pytest.approx(0.43, abs=0.005)
    assert check_hu(volume) == ()


@pytest.mark.parametrize(
    "parts",
    [
        ("verse014", "sub-verse014_ct.nii.gz"),
        ("totalsegmentator_example", "ct.nii.gz"),
        ("tptbox_l3", "sub-ct_label-22_ct.nii.gz"),
        ("blds", "2.nii.gz"),
    ],
)
def test_real_cts_pass(parts: tuple[str, str]) -> None:
    volume, _ = read_ct(shared_file("data", *parts))
    assert check_grid(volume) == ()
    assert check_hu(volume) == ()
    assert find_padding(volume.data) is None
