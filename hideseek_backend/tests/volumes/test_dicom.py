from pathlib import Path

import numpy as np
import pytest
from dicom_writer import write_dicom
from shared_data import shared_file

from hideseek_backend.errors import GeometryError, HideSeekError, InputError
from hideseek_backend.volumes.dicom import read_series
from hideseek_backend.volumes.reading import read_ct


def ramp(shape: tuple[int, int, int] = (12, 10, 7)) -> np.ndarray:
    i, j, k = np.meshgrid(*(np.arange(n) for n in shape), indexing="ij")
    return (i + 20 * j + 300 * k - 900).astype(np.int16)


def test_series_is_read_in_place_and_in_hu(tmp_path: Path) -> None:
    hu = ramp()
    write_dicom(tmp_path, hu)
    volume, warnings = read_series(tmp_path)
    assert warnings == ()
    np.testing.assert_array_equal(volume.data, hu)
    np.testing.assert_allclose(volume.spacing, [2.0, 2.0, 2.5])
    # LPS (-40, -50, 100) is RAS (40, 50, 100).
    np.testing.assert_allclose(volume.ras((0, 0, 0)), [40.0, 50.0, 100.0], atol=1e-4)
    np.testing.assert_allclose(volume.ras((1, 2, 3)), [38.0, 46.0, 107.5], atol=1e-4)


def test_oblique_series_keeps_its_frame(tmp_path: Path) -> None:
    angle = np.radians(20.0)
    row, column = np.array([1.0, 0, 0]), np.array([0, np.cos(angle), np.sin(angle)])
    normal = np.cross(row, column)
    hu = ramp()
    write_dicom(tmp_path, hu, orientation=(*row, *column), step=tuple(2.5 * normal))
    volume, _ = read_series(tmp_path)
    np.testing.assert_array_equal(volume.data, hu)
    expected = np.array([-40.0, -50.0, 100.0]) + 2 * 2.0 * column + 3 * 2.5 * normal
    np.testing.assert_allclose(volume.ras((0, 2, 3)), expected * [-1, -1, 1], atol=1e-3)


def test_slices_from_top_to_bottom_give_the_same_image(tmp_path: Path) -> None:
    hu = ramp()
    write_dicom(tmp_path / "up", hu)
    write_dicom(tmp_path / "down", hu[:, :, ::-1], origin=(-40, -50, 115.0), step=(0, 0, -2.5))
    up, down = read_series(tmp_path / "up")[0], read_series(tmp_path / "down")[0]
    np.testing.assert_array_equal(up.data, down.data)
    np.testing.assert_allclose(up.affine, down.affine)


def test_rescale_slope_is_applied(tmp_path: Path) -> None:
    hu = ramp() // 2 * 2
    write_dicom(tmp_path, hu, slope=2.0, intercept=-1000.0)
    np.testing.assert_array_equal(read_series(tmp_path)[0].data, hu)


def test_other_files_in_the_folder_do_not_matter(tmp_path: Path) -> None:
    write_dicom(tmp_path, ramp())
    (tmp_path / "notes.txt").write_text("read me")
    assert read_series(tmp_path)[0].shape == (12, 10, 7)


def test_damaged_slice_at_the_end_is_a_warning(tmp_path: Path) -> None:
    files = write_dicom(tmp_path, ramp())
    files[-1].write_bytes(files[-1].read_bytes()[:-120])
    volume, warnings = read_series(tmp_path)
    assert volume.shape == (12, 10, 6)
    assert files[-1].name in warnings[0]


def test_real_series() -> None:
    volume, _ = read_series(shared_file("data", "totalsegmentator_dicom"))
    assert volume.shape == (512, 512, 20)
    np.testing.assert_allclose(volume.spacing, [0.9765625, 0.9765625, 2.0])
    assert volume.data.min() == -1024


def two_series(folder: Path) -> None:
    write_dicom(folder, ramp(), tags={"0008|103e": "soft"})
    write_dicom(folder, ramp(), series="1.2.3.4.5", prefix="other", tags={"0008|103e": "lung"})


def mixed_orientations(folder: Path) -> None:
    write_dicom(folder, ramp())
    write_dicom(
        folder, ramp((12, 10, 2)), orientation=(0, 1, 0, 0, 0, -1), origin=(0, 0, 50),
        step=(2.5, 0, 0), prefix="sagittal", tags={"0020|0013": "99"},
    )  # fmt: skip


def mixed_sizes(folder: Path) -> None:
    write_dicom(folder, ramp())
    write_dicom(folder, ramp((14, 10, 2)), origin=(-40, -50, 117.5), prefix="larger")


def doubled(folder: Path) -> None:
    write_dicom(folder, ramp())
    write_dicom(folder, ramp() + 1, prefix="again")


def truncated(folder: Path) -> None:
    files = write_dicom(folder, ramp())
    content = files[3].read_bytes()
    files[3].write_bytes(content[: len(content) - 120])


def missing_slice(folder: Path) -> None:
    write_dicom(folder, ramp())[3].unlink()


def uneven(folder: Path) -> None:
    z = [0.0, 2.5, 5.0, 7.1, 10.0, 12.5, 15.0]
    write_dicom(folder, ramp(), positions=[(-40.0, -50.0, value) for value in z])


def one_slice_off(folder: Path) -> None:
    positions = [(-40.0, -50.0, 2.5 * n) for n in range(7)]
    positions[3] = (-34.0, -50.0, 7.5)
    write_dicom(folder, ramp(), positions=positions)


def only_text(folder: Path) -> None:
    folder.mkdir(exist_ok=True)
    (folder / "notes.txt").write_text("no images here")


@pytest.mark.parametrize(
    ("make", "error", "message"),
    [
        (lambda f: f.mkdir(exist_ok=True), InputError, "without DICOM"),
        (only_text, InputError, "without DICOM"),
        (two_series, InputError, r"got 2: .*'(soft|lung)' with 7 files.*'(soft|lung)' with 7"),
        (lambda f: write_dicom(f, ramp(), tags={"0008|0060": "MR"}), InputError, "got MR"),
        (lambda f: write_dicom(f, ramp(), tags={"0008|0060": "PT"}), InputError, "got PT"),
        (
            lambda f: write_dicom(f, ramp(), tags={"0008|0008": "ORIGINAL\\PRIMARY\\LOCALIZER"}),
            InputError,
            "localizer",
        ),
        (lambda f: write_dicom(f, ramp((12, 10, 1))), InputError, "got 1"),
        (missing_slice, GeometryError, r"5\.00 mm after slice 3 \(1 slices missing\)"),
        (uneven, GeometryError, r"2\.10 mm after slice 3"),
        (doubled, GeometryError, "twice"),
        (lambda f: write_dicom(f, ramp(), step=(0.0, 0.9, 2.3)), GeometryError, "gantry tilt"),
        (one_slice_off, GeometryError, "off"),
        (mixed_orientations, HideSeekError, "orientation|got 2"),
        (mixed_sizes, HideSeekError, "one size|got 2"),
        (truncated, GeometryError, "1 slices missing"),
    ],
)
def test_unusable_folders_are_refused(tmp_path: Path, make, error, message) -> None:
    folder = tmp_path / "series"
    make(folder)
    with pytest.raises(error, match=message) as caught:
        read_series(folder)
    assert caught.value.remedy


def test_single_dicom_file_points_to_its_folder(tmp_path: Path) -> None:
    path = write_dicom(tmp_path, ramp())[0]
    with pytest.raises(InputError, match="folder of DICOM slices"):
        read_ct(path)
