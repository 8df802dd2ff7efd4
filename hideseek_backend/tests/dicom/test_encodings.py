"""Studies as archives hand them over: compressed, enhanced, legacy-converted, tilted."""

from __future__ import annotations

import io
import shutil
import subprocess
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import sample_case
from dicom_case import write_result, write_study
from dicom_enhanced import write_enhanced_ct

from hideseek_backend.cli import main
from hideseek_backend.dicom import read_study
from hideseek_backend.dicom.segmentation import read_segmentation
from hideseek_backend.errors import InputError
from hideseek_backend.report.case_store import NAME, write_stored
from hideseek_backend.volumes.grids import onto_grid
from hideseek_backend.volumes.volume import Volume

pydicom = pytest.importorskip("pydicom", reason="needs the extra dicom")
highdicom = pytest.importorskip("highdicom", reason="needs the extra dicom")


@pytest.mark.parametrize(
    "command",
    [
        ["dcmcjpeg", "+e1"],  # JPEG lossless, first order
        ["dcmcjpls", "+el"],  # JPEG-LS lossless
        ["dcmcrle"],
        ["dcmconv", "+ti"],  # implicit little endian
        ["dcmconv", "+tb"],  # explicit big endian
    ],
    ids=" ".join,
)
def test_lossless_syntaxes_give_the_same_voxels(tmp_path: Path, command: list[str]) -> None:
    if shutil.which(command[0]) is None:
        pytest.skip(f"{command[0]} is absent (Debian: dcmtk)")
    write_study(tmp_path / "study")
    (tmp_path / "packed").mkdir()
    for path in (tmp_path / "study").iterdir():
        line = [*command, str(path), str(tmp_path / "packed" / path.name)]
        subprocess.run(line, check=True, capture_output=True)
    plain, packed = read_study(tmp_path / "study"), read_study(tmp_path / "packed")
    np.testing.assert_array_equal(packed.volume.data, plain.volume.data)
    np.testing.assert_array_equal(packed.volume.affine, plain.volume.affine)


@pytest.mark.parametrize("directions", ["axial", "negated column cosine", "sagittal"])
def test_a_legacy_converted_ct_is_read_and_segmented(tmp_path: Path, directions: str) -> None:
    ct = write_study(tmp_path / "study", directions, patient="Doe^Jane")
    slices = [pydicom.dcmread(path) for path in sorted((tmp_path / "study").iterdir())]
    converted = highdicom.legacy.LegacyConvertedEnhancedCTImage(
        legacy_datasets=slices,
        series_instance_uid=highdicom.UID(),
        series_number=5,
        sop_instance_uid=highdicom.UID(),
        instance_number=1,
    )
    (tmp_path / "enhanced").mkdir()
    converted.save_as(tmp_path / "enhanced" / "one.dcm")
    plain, enhanced = read_study(tmp_path / "study"), read_study(tmp_path / "enhanced")
    np.testing.assert_array_equal(enhanced.volume.data, plain.volume.data)
    np.testing.assert_allclose(enhanced.volume.affine, plain.volume.affine)

    result = write_result(tmp_path / "result", ct)
    line = ["dicom", "export", str(tmp_path / "result"), "--study", str(tmp_path / "enhanced")]
    assert main([*line, "--out", str(tmp_path / "o")]) == 0
    back, _ = onto_grid(read_segmentation(tmp_path / "o" / "seg.dcm")[0], ct)
    np.testing.assert_array_equal(back > 0, result.lesions.data > 0)


def jpeg_2000(folder: Path, packed: Path) -> None:
    """Compress a study as JPEG 2000 lossless with Pillow's OpenJPEG."""
    image_module = pytest.importorskip("PIL.Image")
    packed.mkdir()
    for path in folder.iterdir():
        slice_ = pydicom.dcmread(path)
        stored = (slice_.pixel_array.astype(np.int32) + 1024).astype(np.uint16)
        slice_.RescaleIntercept, slice_.PixelRepresentation = "-1024", 0
        stream = io.BytesIO()
        picture = image_module.fromarray(stored)
        picture.save(stream, "JPEG2000", no_jp2=True, irreversible=False)
        slice_.PixelData = pydicom.encaps.encapsulate([stream.getvalue()])
        slice_["PixelData"].is_undefined_length = True
        slice_.file_meta.TransferSyntaxUID = pydicom.uid.JPEG2000Lossless
        slice_.save_as(packed / path.name)


def test_jpeg_2000_gives_the_same_voxels(tmp_path: Path) -> None:
    write_study(tmp_path / "study")
    jpeg_2000(tmp_path / "study", tmp_path / "packed")
    plain, packed = read_study(tmp_path / "study"), read_study(tmp_path / "packed")
    np.testing.assert_array_equal(packed.volume.data, plain.volume.data)
    np.testing.assert_array_equal(packed.volume.affine, plain.volume.affine)


def test_a_compression_without_a_decoder_is_named_with_what_to_install(tmp_path: Path) -> None:
    write_study(tmp_path / "study")
    jpeg_2000(tmp_path / "study", tmp_path / "packed")
    for path in (tmp_path / "packed").iterdir():
        slice_ = pydicom.dcmread(path)
        slice_.file_meta.TransferSyntaxUID = pydicom.uid.MPEG4HP41
        slice_.save_as(path)
    with pytest.raises(InputError, match="compressed as MPEG-4") as caught:
        read_study(tmp_path / "packed")
    assert "pip install" in caught.value.remedy


@pytest.mark.parametrize("directions", ["axial", "oblique", "sagittal"])
def test_a_true_enhanced_ct_is_read_and_segmented(tmp_path: Path, directions: str) -> None:
    ct = write_study(tmp_path / "study", directions)
    (tmp_path / "enhanced").mkdir()
    path = tmp_path / "enhanced" / "one.dcm"
    order = np.random.default_rng(0).permutation(ct.shape[2])  # as it came from the scanner
    write_enhanced_ct(ct, path, order)
    if shutil.which("dciodvfy"):
        done = subprocess.run(["dciodvfy", "-new", str(path)], capture_output=True, text=True)
        errors = [x for x in (done.stdout + done.stderr).splitlines() if x.startswith("Error")]
        assert not errors
    plain, enhanced = read_study(tmp_path / "study"), read_study(tmp_path / "enhanced")
    np.testing.assert_array_equal(enhanced.volume.data, plain.volume.data)
    np.testing.assert_allclose(enhanced.volume.affine, plain.volume.affine, atol=1e-9)
    assert enhanced.series.bone, "its kernel is in the functional groups"

    result = write_result(tmp_path / "result", ct)
    line = ["dicom", "export", str(tmp_path / "result"), "--study", str(tmp_path / "enhanced")]
    assert main([*line, "--out", str(tmp_path / "o")]) == 0
    back, _ = onto_grid(read_segmentation(tmp_path / "o" / "seg.dcm")[0], ct)
    np.testing.assert_array_equal(back > 0, result.lesions.data > 0)


def test_lesions_of_a_tilted_gantry_go_back_to_its_slices(tmp_path: Path) -> None:
    write_study(tmp_path / "study")
    for path in (tmp_path / "study").iterdir():
        slice_ = pydicom.dcmread(path)
        x, y, z = (float(v) for v in slice_.ImagePositionPatient)
        # Each slice a little further back, as a gantry tilted by 4 degrees leaves them.
        slice_.ImagePositionPatient = [x, round(y + (z + 300) * np.tan(np.radians(4)), 6), z]
        slice_.save_as(path)
    study = read_study(tmp_path / "study")
    assert study.tilt_degrees == pytest.approx(4, abs=0.1)
    assert study.volume.shape[1] > 40
    # The sample case's lesions on the straightened grid.
    case = sample_case.sample_case()
    lesions = np.zeros(study.volume.shape, np.uint8)
    write = replace(case, lesions=Volume(lesions, study.volume.affine))
    (tmp_path / "result").mkdir()
    write_stored(tmp_path / "result" / NAME, write)
    line = ["dicom", "export", str(tmp_path / "result"), "--study", str(tmp_path / "study")]
    assert main([*line, "--out", str(tmp_path / "o"), "--levels-checked"]) == 0
    seg = pydicom.dcmread(tmp_path / "o" / "seg.dcm")
    slices = {
        s.SOPInstanceUID: s for s in (pydicom.dcmread(p) for p in (tmp_path / "study").iterdir())
    }
    labels = {v.level: v.block_labels for v in case.vertebrae if v.block_labels is not None}
    origins = {v.level: v.block_origin_ijk for v in case.vertebrae}
    pixels = seg.pixel_array
    for n, frame in enumerate(seg.PerFrameFunctionalGroupsSequence):
        source = frame.DerivationImageSequence[0].SourceImageSequence[0].ReferencedSOPInstanceUID
        place = [float(v) for v in frame.PlanePositionSequence[0].ImagePositionPatient]
        slice_ = slices[source]
        # The slice's own position, digit by digit.
        assert place == [float(v) for v in slice_.ImagePositionPatient]
        item = seg.SegmentSequence[
            frame.SegmentIdentificationSequence[0].ReferencedSegmentNumber - 1
        ]
        level, _polarity, number = item.TrackingID.split()
        spacing = [float(v) for v in slice_.PixelSpacing]
        for row, column in np.argwhere(pixels[n]):
            lps = [place[0] + column * spacing[1], place[1] + row * spacing[0], place[2]]
            ijk = study.volume.ijk([-lps[0], -lps[1], lps[2]]) - origins[level]
            near = labels[level][tuple(np.rint(ijk).astype(int))]
            assert near == int(number)
    assert pixels.any()
