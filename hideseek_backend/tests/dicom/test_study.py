"""A study as it comes from a scanner: which series, which voxels, which refusals."""

from __future__ import annotations

import shutil
import zipfile
from pathlib import Path

import numpy as np
import pytest
from dicom_writer import write_dicom

from hideseek_backend.cli import main
from hideseek_backend.dicom import list_series, read_study
from hideseek_backend.errors import GeometryError, HideSeekError, InputError
from hideseek_backend.volumes.reading import read_ct, read_scan

pytest.importorskip("pydicom", reason="needs the extra dicom")

ROOT = "1.2.826.0.1.3680043.2.1125"


def voxels(seed: int = 0, shape: tuple[int, int, int] = (12, 14, 8)) -> np.ndarray:
    return np.random.default_rng(seed).integers(-900, 1500, shape).astype(np.int16)


def series(
    folder: Path, number: int, description: str, kernel: str, thickness: float, **more: object
) -> np.ndarray:
    """Write one series of 8 slices; returns its voxels."""
    hu = voxels(number)
    tags = {
        "0020|0011": str(number),
        "0008|103e": description,
        "0018|1210": kernel,
        "0018|0050": str(thickness),
        "0010|0020": "PAT-4711",
        "0010|0010": "Doe^Jane",
        "0020|0052": f"{ROOT}.7",
        **more.pop("tags", {}),  # type: ignore[dict-item]
    }
    write_dicom(
        folder,
        hu,
        series=f"{ROOT}.{number}",
        step=(0.0, 0.0, thickness),
        tags=tags,
        **more,  # type: ignore[arg-type]
    )
    return hu


@pytest.fixture
def study(tmp_path: Path) -> Path:
    """A tree with a soft and two bone series, a scout and a file that is no DICOM."""
    root = tmp_path / "export"
    series(root / "a" / "s2", 2, "Abdomen 5.0", "B30f", 5.0)
    series(root / "a" / "s3", 3, "Spine 1.0", "B60s", 1.0)
    series(root / "b", 4, "Spine 3.0", "BONEPLUS", 3.0)
    scout = {"0008|0008": "ORIGINAL\\PRIMARY\\LOCALIZER"}
    series(root / "b" / "scout", 1, "Topogram", "", 1.0, tags=scout)
    (root / "README.TXT").write_text("viewer")
    return root


def test_the_thinnest_bone_kernel_is_read_and_said(study: Path) -> None:
    read = read_study(study)
    assert read.series.description == "Spine 1.0" and read.series.bone
    np.testing.assert_array_equal(read.volume.data, voxels(3))
    assert len(read.warnings) == 1 and "thinnest with a bone kernel" in read.warnings[0]
    assert "Doe" not in " ".join(read.warnings) and "4711" not in " ".join(read.warnings)
    volume, warnings = read_ct(study)
    np.testing.assert_array_equal(volume.data, read.volume.data)
    assert warnings == read.warnings


def test_a_series_is_named_by_number_or_uid(study: Path) -> None:
    listed = {one.description: one for one in list_series(study)}
    soft = listed["Abdomen 5.0"]
    assert not soft.bone and soft.count == 8 and soft.view == "axial"
    for name in (str(soft.number), soft.uid):
        np.testing.assert_array_equal(read_study(study, name).volume.data, voxels(2))
    with pytest.raises(InputError, match="scout"):
        read_study(study, listed["Topogram"].uid)
    with pytest.raises(InputError, match="Expected a series 99"):
        read_study(study, "99")


def test_the_command_lists_without_naming_the_patient(
    study: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["dicom", "list", str(study)]) == 0
    said = capsys.readouterr().out
    assert "Spine 1.0" in said and "B60s" in said and "localizer" in said
    assert "Doe" not in said and "4711" not in said


def test_a_zip_and_a_dicomdir_are_studies(study: Path, tmp_path: Path) -> None:
    packed = shutil.make_archive(str(tmp_path / "packed"), "zip", study)
    np.testing.assert_array_equal(read_study(Path(packed)).volume.data, voxels(3))
    (study / "DICOMDIR").write_bytes(b"")
    np.testing.assert_array_equal(read_study(study / "DICOMDIR").volume.data, voxels(3))


def test_a_zip_cannot_write_outside_itself(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "evil.zip", "w") as packed:
        packed.writestr("../outside.dcm", b"x")
    with pytest.raises(InputError, match="not to be trusted"):
        read_study(tmp_path / "evil.zip")
    assert not (tmp_path.parent / "outside.dcm").exists()


@pytest.mark.parametrize(
    "orientation, step",
    [
        ((1, 0, 0, 0, 1, 0), (0.0, 0.0, 2.0)),
        ((1, 0, 0, 0, -1, 0), (0.0, 0.0, 2.0)),  # negated column cosine
        ((0, 1, 0, 0, 0, -1), (2.0, 0.0, 0.0)),  # sagittal
        ((0.8, 0.6, 0, -0.6, 0.8, 0), (0.0, 0.0, -2.0)),  # turned, from head to feet
    ],
)
def test_positions_say_where_a_voxel_is(
    tmp_path: Path, orientation: tuple[float, ...], step: tuple[float, float, float]
) -> None:
    hu = voxels(5)
    write_dicom(tmp_path / "s", hu, orientation=orientation, step=step)
    volume = read_study(tmp_path / "s").volume
    row, column = np.array(orientation[:3]), np.array(orientation[3:])
    for i, j, k in ((0, 0, 0), (3, 5, 2), (11, 13, 7)):
        lps = np.array([-40.0, -50.0, 100.0]) + 2 * i * row + 2 * j * column + k * np.array(step)
        at = np.rint(volume.ijk(lps * [-1, -1, 1])).astype(int)
        assert volume.data[tuple(at)] == hu[i, j, k]


def test_a_tilted_gantry_is_straightened(tmp_path: Path) -> None:
    shape, angle = (24, 40, 16), np.radians(15)
    x, y, z = np.meshgrid(*(np.arange(n) for n in shape), indexing="ij")
    step = np.array([0.0, 2.0 * np.sin(angle), 2.0 * np.cos(angle)])
    # HU are a plane in space, sampled on the tilted slices.
    place = np.stack([2.0 * x, 2.0 * y + z * step[1], z * step[2]], axis=-1)
    hu = np.rint(3 * place[..., 0] + 4 * place[..., 1] + 5 * place[..., 2]).astype(np.int16)
    write_dicom(tmp_path / "s", hu, origin=(0.0, 0.0, 0.0), step=tuple(step))
    read = read_study(tmp_path / "s")
    assert read.tilt_degrees == pytest.approx(15, abs=0.1) and "tilted" in read.warnings[0]
    axes = read.volume.affine[:3, :3] / read.volume.spacing
    np.testing.assert_allclose(axes.T @ axes, np.eye(3), atol=1e-6)
    inside = np.argwhere(read.volume.data > -1000)
    at = inside[len(inside) // 2]
    lps = read.volume.ras(at) * [-1, -1, 1]
    assert read.volume.data[tuple(at)] == pytest.approx(lps @ [3, 4, 5], abs=3)


def test_bad_studies_are_refused_with_a_sentence(tmp_path: Path) -> None:
    def refused(name: str, kind: type[HideSeekError], text: str) -> None:
        with pytest.raises(kind, match=text) as caught:
            read_study(tmp_path / name)
        assert caught.value.remedy

    (tmp_path / "empty").mkdir()
    refused("empty", InputError, "without DICOM")
    refused("nowhere", InputError, "got nothing")
    series(tmp_path / "mr", 1, "T1", "", 2.0, tags={"0008|0060": "MR"})
    refused("mr", InputError, "not CT")
    series(tmp_path / "two", 1, "A", "B60s", 2.0)
    series(tmp_path / "two" / "b", 2, "B", "B60s", 2.0, tags={"0010|0020": "OTHER"})
    refused("two", InputError, "one patient")
    series(tmp_path / "gap", 1, "A", "B60s", 2.0)
    next(p for p in (tmp_path / "gap").iterdir() if "003" in p.name).unlink()
    refused("gap", InputError, "missing")
    series(tmp_path / "frames", 1, "A", "B60s", 2.0)
    write_dicom(
        tmp_path / "frames", voxels(9, (12, 14, 2)), series=f"{ROOT}.1", prefix="other",
        origin=(-40.0, -50.0, 116.0), step=(0.0, 0.0, 2.0),
        tags={"0020|0052": "1.2.3", "0008|0018": "1.2.3.4"},
    )  # fmt: skip
    refused("frames", InputError, "frames of reference")
    series(tmp_path / "cut", 1, "A", "B60s", 2.0)
    victim = sorted((tmp_path / "cut").iterdir())[2]
    victim.write_bytes(victim.read_bytes()[:-100])
    refused("cut", InputError, "cut short")
    (tmp_path / "junk").mkdir()
    (tmp_path / "junk" / "x.dcm").write_bytes(b"\0" * 128 + b"DICM" + b"\xff" * 40)
    refused("junk", InputError, "none of the DICOM files could be read")
    (tmp_path / "text.zip").write_bytes(b"PK\x03\x04 not a zip")
    refused("text.zip", InputError, "damaged")
    assert GeometryError  # gaps named with --series raise it
    with pytest.raises(InputError, match="missing"):
        read_study(tmp_path / "gap", "1")


def test_vertebrae_from_a_dicom_segmentation(study: Path, tmp_path: Path) -> None:
    """A code names the level, whatever the label says; a lesion in T12 is no vertebra."""
    pydicom = pytest.importorskip("pydicom")
    highdicom = pytest.importorskip("highdicom", reason="needs the extra dicom")
    from pydicom.sr.coding import Code

    from hideseek_backend.volumes.reading import read_label_map

    slices = [pydicom.dcmread(p) for p in sorted((study / "a" / "s3").iterdir())]
    slices.sort(key=lambda s: float(s.ImagePositionPatient[2]))
    for one in slices:
        one.PatientBirthDate, one.PatientSex, one.StudyID = "", "", "1"
        one.StudyDate = one.StudyTime = one.AccessionNumber = one.ReferringPhysicianName = ""
    mask = np.zeros((8, 14, 12, 3), dtype=np.uint8)  # slices, rows, columns, segments
    mask[2:4, 3:6, 2:5, 0] = 1
    mask[5:7, 8:12, 6:9, 1] = 1
    mask[1, 1, 1, 2] = 1
    structure = Code("123037004", "SCT", "Anatomical Structure")
    lesion = Code("49755003", "SCT", "Morphologically Abnormal Structure")

    def segment(number: int, label: str, category: Code, kind: Code, region: Code | None = None):
        return highdicom.seg.SegmentDescription(
            number, label, category, kind, highdicom.seg.SegmentAlgorithmTypeValues.MANUAL,
            anatomic_regions=[region] if region else None,
        )  # fmt: skip

    t12 = Code("23215003", "SCT", "T12 vertebra")
    made = highdicom.seg.Segmentation(
        slices, mask, highdicom.seg.SegmentationTypeValues.BINARY,
        [
            segment(1, "a bone", structure, t12),
            segment(2, "L1 vertebra", structure, Code("51282000", "SCT", "Vertebra")),
            segment(3, "T12 metastasis", lesion, Code("14799000", "SCT", "Neoplasm"), t12),
        ],
        highdicom.UID(), 9, highdicom.UID(), 1, "maker", "model", "1", "serial",
    )  # fmt: skip
    made.save_as(tmp_path / "seg.dcm")
    read = read_label_map(tmp_path / "seg.dcm")
    levels = {name.level: value for value, name in read.names.items()}
    assert levels["T12"] == 1 and levels["L1"] == 2
    assert read.names[3].level is None
    ct = read_study(study).volume
    for value, (k, j, i) in ((1, (2, 3, 2)), (2, (6, 11, 8)), (3, (1, 1, 1))):
        at = np.rint(read.volume.ijk(ct.ras((i, j, k)))).astype(int)
        assert read.volume.data[tuple(at)] == value


def test_how_a_scan_was_made_is_read_from_its_headers(tmp_path: Path) -> None:
    medium = {"0018|0010": "Ultravist 370", "0018|0060": "120", "0018|1100": "180.5"}
    series(tmp_path / "s1", 1, "Spine portal venous", "B60s", 3.0, tags=medium)
    read = read_scan(tmp_path)
    assert str(read.scan) == (
        "kernel B60s, contrast medium (venous), 3 mm slices, 120 kV, 180.5 mm field of view"
    )
    assert read.scan.bone_kernel
    series(tmp_path / "s2", 2, "Abdomen", "B30f", 5.0, tags={"0018|0010": ""})
    soft = read_scan(tmp_path, "2").scan
    assert (soft.kernel, soft.bone_kernel, soft.contrast) == ("B30f", False, None)
