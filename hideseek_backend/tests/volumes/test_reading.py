import gzip
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
import SimpleITK as sitk
from toy_spine import grid_affine

from hideseek_backend.errors import GeometryError, HideSeekError, InputError
from hideseek_backend.volumes.reading import read_ct, read_label_map
from hideseek_backend.volumes.volume import Volume
from hideseek_backend.volumes.writing import write_nifti

AFFINE = grid_affine((0.7, 0.9, 2.0), (10.0, -20.0, 30.0), (-1, 1, -1), (2, 0, 1))
AFFINE[:3, 3] = (12.0, -34.0, 560.0)


def image(shape: tuple[int, ...] = (8, 9, 10), dtype: type = np.int16) -> np.ndarray:
    return np.random.default_rng(0).integers(-1000, 1500, shape).astype(dtype)


def itk_image(data: np.ndarray, affine: np.ndarray = AFFINE) -> sitk.Image:
    """An ITK image (LPS) of data (I, J, K) with the RAS affine given."""
    out = sitk.GetImageFromArray(np.ascontiguousarray(data.transpose(2, 1, 0)))
    lps = np.diag([-1.0, -1.0, 1.0, 1.0]) @ affine
    spacing = np.linalg.norm(lps[:3, :3], axis=0)
    out.SetSpacing(spacing.tolist())
    out.SetDirection((lps[:3, :3] / spacing).ravel().tolist())
    out.SetOrigin(lps[:3, 3].tolist())
    return out


@pytest.mark.parametrize("name", ["ct.nii", "ct.nii.gz", "ct.nrrd", "ct.mha", "ct.mhd", "ct.nhdr"])
def test_every_format_gives_the_same_voxels_and_frame(tmp_path: Path, name: str) -> None:
    data = image()
    path = tmp_path / name
    if ".nii" in name:
        write_nifti(Volume(data, AFFINE), path)
    else:
        sitk.WriteImage(itk_image(data), str(path))
    volume, _ = read_ct(path)
    np.testing.assert_array_equal(volume.data, data)
    np.testing.assert_allclose(volume.affine, AFFINE, atol=1e-4)


def test_nifti_scale_is_applied(tmp_path: Path) -> None:
    header = nib.Nifti1Header()
    header.set_data_dtype(np.int16)
    picture = nib.Nifti1Image(image().astype(float) / 4, AFFINE, header)
    nib.save(picture, tmp_path / "ct.nii.gz")
    volume, _ = read_ct(tmp_path / "ct.nii.gz")
    np.testing.assert_allclose(volume.data, image() / 4, atol=0.05)
    assert volume.data.dtype == np.float32


def test_trailing_single_axis_is_dropped(tmp_path: Path) -> None:
    nib.save(nib.Nifti1Image(image()[..., None], AFFINE), tmp_path / "ct.nii.gz")
    assert read_ct(tmp_path / "ct.nii.gz")[0].shape == (8, 9, 10)


def test_disagreeing_qform_is_a_warning(tmp_path: Path) -> None:
    picture = nib.Nifti1Image(image(), AFFINE)
    moved = AFFINE.copy()
    moved[0, 3] += 30.0
    picture.set_qform(moved, code=1)
    picture.set_sform(AFFINE, code=1)
    nib.save(picture, tmp_path / "ct.nii.gz")
    volume, warnings = read_ct(tmp_path / "ct.nii.gz")
    np.testing.assert_allclose(volume.affine, AFFINE, atol=1e-4)
    assert "disagree" in warnings[0]


def segments(path: Path, layers: np.ndarray, table: list[dict[str, str]]) -> None:
    """Write a .seg.nrrd as Slicer does; layers (I, J, K) or (I, J, K, layers)."""
    if layers.ndim == 4:
        out = sitk.GetImageFromArray(
            np.ascontiguousarray(layers.transpose(2, 1, 0, 3)), isVector=True
        )
        reference = itk_image(layers[..., 0])
        out.CopyInformation(reference)
    else:
        out = itk_image(layers)
    for n, segment in enumerate(table):
        for key, value in segment.items():
            out.SetMetaData(f"Segment{n}_{key}", value)
    sitk.WriteImage(out, str(path), useCompression=True)


def test_named_segments(tmp_path: Path) -> None:
    data = np.zeros((8, 9, 10), np.uint8)
    data[1:3], data[4:6] = 5, 9
    segments(
        tmp_path / "spine.seg.nrrd", data,
        [{"ID": "Segment_1", "Name": "T12 vertebra", "LabelValue": "5", "Layer": "0"},
         {"ID": "vertebrae_L1", "Name": "mine", "LabelValue": "9", "Layer": "0"}],
    )  # fmt: skip
    found = read_label_map(tmp_path / "spine.seg.nrrd")
    levels = {name.level: found.volume.data == value for value, name in found.names.items()}
    np.testing.assert_array_equal(levels["T12"], data == 5)
    np.testing.assert_array_equal(levels["L1"], data == 9)
    np.testing.assert_allclose(found.volume.affine, AFFINE, atol=1e-4)
    assert found.warnings == ()


def test_overlapping_layers(tmp_path: Path) -> None:
    data = np.zeros((8, 9, 10, 2), np.uint8)
    data[1:4, ..., 0] = 1  # T12
    data[6:8, ..., 0] = 2  # L2
    data[3:6, ..., 1] = 1  # L1, one plane shared with T12
    segments(
        tmp_path / "spine.seg.nrrd", data,
        [{"ID": "s1", "Name": "T12", "LabelValue": "1", "Layer": "0"},
         {"ID": "s2", "Name": "L2", "LabelValue": "2", "Layer": "0"},
         {"ID": "s3", "Name": "L1", "LabelValue": "1", "Layer": "1"}],
    )  # fmt: skip
    found = read_label_map(tmp_path / "spine.seg.nrrd")
    counts = {
        name.level: int((found.volume.data == value).sum()) for value, name in found.names.items()
    }
    assert counts == {"T12": 270, "L2": 180, "L1": 180}
    assert "90 voxels" in found.warnings[0]


def test_segment_over_everything_takes_nothing_from_vertebrae(tmp_path: Path) -> None:
    data = np.zeros((8, 9, 10, 2), np.uint8)
    data[..., 0] = 1
    data[2:4, ..., 1] = 1
    segments(
        tmp_path / "spine.seg.nrrd", data,
        [{"ID": "s1", "Name": "whole spine", "LabelValue": "1", "Layer": "0"},
         {"ID": "s2", "Name": "L2", "LabelValue": "1", "Layer": "1"}],
    )  # fmt: skip
    found = read_label_map(tmp_path / "spine.seg.nrrd")
    value = next(value for value, name in found.names.items() if name.level == "L2")
    assert int((found.volume.data == value).sum()) == 180


@pytest.mark.parametrize("key", ["Layer", "LabelValue"])
def test_a_damaged_number_in_the_header_says_so(tmp_path: Path, key: str) -> None:
    data = np.ones((8, 9, 10), np.uint8)
    segment = {"ID": "s1", "Name": "L2", "LabelValue": "1", "Layer": "0", key: "1e"}
    segments(tmp_path / "spine.seg.nrrd", data, [segment])
    with pytest.raises(InputError, match=f"whole number for Segment0_{key}"):
        read_label_map(tmp_path / "spine.seg.nrrd")


def test_totalsegmentator_label_table(tmp_path: Path) -> None:
    data = np.zeros((8, 9, 10), np.uint8)
    data[2:4], data[5:7] = 31, 32
    picture = nib.Nifti1Image(data, AFFINE)
    text = (
        '<?xml version="1.0"?><CaretExtension><VolumeInformation Index="0"><LabelTable>\n'
        '<Label Key="31" Red="0" Alpha="1"><![CDATA[vertebrae_L1]]></Label>\n'
        '<Label Key="32" Red="0" Alpha="1"><![CDATA[vertebrae_T12]]></Label>\n'
        "</LabelTable></VolumeInformation></CaretExtension>"
    )
    picture.header.extensions.append(nib.nifti1.Nifti1Extension(0, text.encode()))
    nib.save(picture, tmp_path / "total.nii.gz")
    found = read_label_map(tmp_path / "total.nii.gz")
    assert {value: name.level for value, name in found.names.items()} == {31: "L1", 32: "T12"}


def test_folder_of_single_masks(tmp_path: Path) -> None:
    for n, name in enumerate(("vertebrae_T12", "vertebrae_L1", "liver")):
        data = np.zeros((8, 9, 10), np.uint8)
        data[2 * n : 2 * n + 2] = 1
        write_nifti(Volume(data, AFFINE), tmp_path / f"{name}.nii.gz")
    found = read_label_map(tmp_path)
    assert sorted(str(name.level) for name in found.names.values()) == ["L1", "T12"]
    assert int((found.volume.data > 0).sum()) == 4 * 90


def test_float_labels_that_are_whole_are_read(tmp_path: Path) -> None:
    data = np.zeros((8, 9, 10), np.float32)
    data[2:4] = 20.0
    write_nifti(Volume(data, AFFINE), tmp_path / "mask.nii.gz")
    assert read_label_map(tmp_path / "mask.nii.gz").volume.data.dtype.kind == "i"


def save(data: np.ndarray, name: str):
    def make(folder: Path) -> Path:
        nib.save(nib.Nifti1Image(data, AFFINE), folder / name)
        return folder / name

    return make


def rgb(folder: Path) -> Path:
    data = np.zeros((8, 9, 10), dtype=[("R", "u1"), ("G", "u1"), ("B", "u1")])
    return save(data, "rgb.nii.gz")(folder)


def rgb_nrrd(folder: Path) -> Path:
    data = np.zeros((10, 9, 8, 3), np.uint8)
    sitk.WriteImage(sitk.GetImageFromArray(data, isVector=True), str(folder / "rgb.nrrd"))
    return folder / "rgb.nrrd"


def time_series_mha(folder: Path) -> Path:
    frames = [sitk.GetImageFromArray(image()) for _ in range(3)]
    sitk.WriteImage(sitk.JoinSeries(frames), str(folder / "series.mha"))
    return folder / "series.mha"


def cut_short(name: str, keep: float = 0.6):
    def make(folder: Path) -> Path:
        path = folder / name
        if ".nii" in name:
            write_nifti(Volume(image((30, 30, 30)), AFFINE), path)
        else:
            sitk.WriteImage(itk_image(image((30, 30, 30))), str(path))
        content = path.read_bytes()
        path.write_bytes(content[: int(len(content) * keep)])
        return path

    return make


def content(name: str, data: bytes):
    def make(folder: Path) -> Path:
        (folder / name).write_bytes(data)
        return folder / name

    return make


def no_forms(folder: Path) -> Path:
    picture = nib.Nifti1Image(image(), None)
    picture.set_qform(None, code=0)
    picture.set_sform(None, code=0)
    nib.save(picture, folder / "nowhere.nii.gz")
    return folder / "nowhere.nii.gz"


def nrrd_without_space(folder: Path) -> Path:
    head = "NRRD0004\ntype: short\ndimension: 3\nsizes: 8 9 10\nencoding: raw\nendian: little\n\n"
    (folder / "plain.nrrd").write_bytes(head.encode() + image().tobytes())
    return folder / "plain.nrrd"


def header_without_data(folder: Path) -> Path:
    sitk.WriteImage(itk_image(image()), str(folder / "lost.mhd"))
    (folder / "lost.raw").unlink()
    return folder / "lost.mhd"


@pytest.mark.parametrize(
    ("make", "error", "message"),
    [
        (lambda f: f / "absent.nii.gz", InputError, "got nothing"),
        (content("empty.nii.gz", b""), InputError, "empty file"),
        (content("text.nii.gz", b"this is no image at all"), InputError, "corrupt"),
        (content("text.nii", b"x" * 400), InputError, "corrupt"),
        (content("gz.nii.gz", gzip.compress(b"no header here")), InputError, "corrupt"),
        (content("ct.nrrd", b"NRRD0004\nnonsense"), InputError, "corrupt"),
        (content("ct.png", b"\x89PNG...."), InputError, "NIfTI .* got ct.png"),
        (content("ct.npy", b"\x93NUMPY"), InputError, "got ct.npy"),
        (cut_short("ct.nii.gz"), InputError, "cut short"),
        (cut_short("ct.nii"), InputError, "cut short"),
        (cut_short("ct.nrrd"), InputError, "cut short"),
        (cut_short("ct.mha"), InputError, "cut short"),
        (cut_short("ct.nii.gz", 0.01), InputError, "cut short"),
        (header_without_data, InputError, "corrupt"),
        (save(image((6, 6, 6, 4)), "time.nii.gz"), InputError, "time series"),
        (save(image((20, 20)), "flat.nii.gz"), InputError, "2D"),
        (save(image((20, 20, 1)), "slice.nii.gz"), InputError, "single slice"),
        (save(image().astype(np.complex64), "mr.nii.gz"), InputError, "complex"),
        (rgb, InputError, "colour"),
        (rgb_nrrd, HideSeekError, "colour|space"),
        (time_series_mha, InputError, "4D"),
        (no_forms, GeometryError, "neither sform nor qform"),
        (nrrd_without_space, GeometryError, "space"),
    ],
)
def test_unreadable_images_are_refused(tmp_path: Path, make, error, message) -> None:
    path = make(tmp_path)
    with pytest.raises(error, match=message) as caught:
        read_ct(path)
    assert caught.value.remedy


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (save(image(), "ct.nii.gz"), "got -"),
        (save(image().astype(np.float32) / 7, "prob.nii.gz"), "fractions"),
        (save(np.full((5, 5, 5), np.nan, np.float32), "nan.nii.gz"), "fractions"),
        (lambda f: f, "named after vertebrae"),
        (rgb, "colour"),
    ],
)
def test_masks_of_something_else_are_refused(tmp_path: Path, make, message) -> None:
    with pytest.raises(InputError, match=message):
        read_label_map(make(tmp_path))
