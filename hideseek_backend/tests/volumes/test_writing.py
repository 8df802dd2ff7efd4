import os
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
from toy_spine import grid_affine

from hideseek_backend.errors import OutputError
from hideseek_backend.files import whole_file
from hideseek_backend.volumes import writing
from hideseek_backend.volumes.reading import read_label_map
from hideseek_backend.volumes.volume import Volume
from hideseek_backend.volumes.writing import check_writable, write_nifti


def volume() -> Volume:
    affine = grid_affine((0.5, 0.7, 2.0), (5.0, 10.0, -30.0), (1, -1, 1))
    affine[:3, 3] = (-20.0, 31.0, 800.0)
    return Volume(np.arange(60, dtype=np.uint8).reshape(3, 4, 5), affine)


@pytest.mark.parametrize("name", ["mask.nii", "mask.nii.gz"])
def test_labels_come_back_on_the_same_grid(tmp_path: Path, name: str) -> None:
    path = write_nifti(volume(), tmp_path / "deep" / name)
    image = nib.load(path)
    assert image.get_data_dtype() == np.uint8
    for form, code in (image.get_qform(coded=True), image.get_sform(coded=True)):
        assert code == 1
        np.testing.assert_allclose(form, volume().affine, atol=1e-4)
    assert image.header.get_xyzt_units()[0] == "mm"
    np.testing.assert_array_equal(read_label_map(path).volume.data, volume().data)
    assert os.listdir(path.parent) == [name]


def test_bool_and_wide_integers_are_storable(tmp_path: Path) -> None:
    mask = volume().with_data(volume().data > 3)
    assert nib.load(write_nifti(mask, tmp_path / "a.nii.gz")).get_data_dtype() == np.uint8
    wide = volume().with_data(volume().data.astype(np.int64))
    assert nib.load(write_nifti(wide, tmp_path / "b.nii.gz")).get_data_dtype() == np.int32
    small = write_nifti(wide, tmp_path / "c.nii.gz", dtype=np.int16)
    assert nib.load(small).get_data_dtype() == np.int16


@pytest.mark.parametrize("failure", [OSError(28, "No space left on device"), KeyboardInterrupt()])
def test_failure_leaves_the_old_file_and_nothing_else(tmp_path: Path, failure) -> None:
    path = tmp_path / "result.txt"
    path.write_text("old")

    expected = OutputError if isinstance(failure, OSError) else KeyboardInterrupt
    with pytest.raises(expected), whole_file(path) as part:
        part.write_text("half", encoding="utf-8")
        raise failure
    assert path.read_text(encoding="utf-8") == "old"
    assert os.listdir(tmp_path) == ["result.txt"]


def test_full_disk_is_told_with_a_remedy(tmp_path: Path, monkeypatch) -> None:
    def full(*_args: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(writing.nib, "save", full)
    with pytest.raises(OutputError, match="No space left") as caught:
        write_nifti(volume(), tmp_path / "a.nii.gz")
    assert "room" in caught.value.remedy
    assert os.listdir(tmp_path) == []


def test_folder_in_the_way(tmp_path: Path) -> None:
    (tmp_path / "a.nii.gz").mkdir()
    with pytest.raises(OutputError, match="folder of this name"):
        write_nifti(volume(), tmp_path / "a.nii.gz")


def test_file_in_place_of_the_folder(tmp_path: Path) -> None:
    (tmp_path / "out").write_text("a file")
    with pytest.raises(OutputError):
        write_nifti(volume(), tmp_path / "out" / "a.nii.gz")
    with pytest.raises(OutputError):
        check_writable(tmp_path / "out")


def test_read_only_folder(tmp_path: Path) -> None:
    folder = tmp_path / "locked"
    folder.mkdir()
    folder.chmod(0o500)
    if os.access(folder, os.W_OK):
        pytest.skip("this user may write anywhere (root)")
    with pytest.raises(OutputError, match="denied"):
        check_writable(folder)


def test_check_writable_makes_the_folder_and_leaves_it_empty(tmp_path: Path) -> None:
    folder = check_writable(tmp_path / "a" / "b")
    assert os.listdir(folder) == []


def test_too_little_room(tmp_path: Path) -> None:
    with pytest.raises(OutputError, match="MB are needed"):
        check_writable(tmp_path, needed_bytes=10**18)
