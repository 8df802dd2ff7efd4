"""Studies as they should not be: each gets a sentence and what to do, and names no patient."""

from __future__ import annotations

import os
import shutil
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from dicom_case import write_result, write_study

from hideseek_backend.cli import main
from hideseek_backend.dicom import list_series, media, read_study
from hideseek_backend.errors import HideSeekError
from hideseek_backend.volumes.reading import read_label_map

pydicom = pytest.importorskip("pydicom", reason="needs the extra dicom")

Change = Callable[[Any, int], None]


@pytest.fixture(scope="module", name="good")
def good_study(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("good") / "study"
    write_study(folder)
    return folder


def edited(change: Change, *, only: int | None = None) -> Callable[[Path], None]:
    """Return a maker that changes every slice, or one of them."""

    def make(folder: Path) -> None:
        for number, path in enumerate(sorted(folder.iterdir())):
            if only is None or number == only:
                dataset = pydicom.dcmread(path)
                change(dataset, number)
                dataset.save_as(path)

    return make


def put(**values: Any) -> Change:
    """Return a change that sets attributes as they are, without a check."""

    def change(dataset: Any, _number: int) -> None:
        for name, value in values.items():
            setattr(dataset, name, value)

    return change


def without(*names: str) -> Change:
    def change(dataset: Any, _number: int) -> None:
        for name in names:
            delattr(dataset, name)

    return change


def raw(name: str, value: bytes) -> Change:
    """Return a change that stores bytes which are no value of their VR."""

    def change(dataset: Any, _number: int) -> None:
        element = dataset[name]
        tag = pydicom.dataelem.RawDataElement(element.tag, "DS", len(value), value, 0, False, True)
        dataset._dict[element.tag] = tag

    return change


def cut(keep: int, only: int | None = None) -> Callable[[Path], None]:
    def make(folder: Path) -> None:
        for number, path in enumerate(sorted(folder.iterdir())):
            if only is None or number == only:
                path.write_bytes(path.read_bytes()[:keep])

    return make


def removed(*numbers: int) -> Callable[[Path], None]:
    def make(folder: Path) -> None:
        files = sorted(folder.iterdir())
        for number in numbers:
            files[number].unlink()

    return make


def moved(dataset: Any, number: int) -> None:
    if number == 20:
        x, y, z = (float(v) for v in dataset.ImagePositionPatient)
        dataset.ImagePositionPatient = [x + 9, y, z]


def half(name: str, value: Any) -> Change:
    def change(dataset: Any, number: int) -> None:
        if number % 2:
            setattr(dataset, name, value)

    return change


def two_patients(dataset: Any, number: int) -> None:
    if number >= 25:
        dataset.PatientID, dataset.PatientName = "OTHER-1", "Roe^Richard"
        dataset.SeriesInstanceUID += ".2"


def mixed_patients(dataset: Any, number: int) -> None:
    if number == 7:
        dataset.PatientID = "OTHER-1"


def again(folder: Path) -> None:
    for number, path in enumerate(sorted(folder.iterdir())):
        dataset = pydicom.dcmread(path)
        dataset.SOPInstanceUID += ".1"
        dataset.save_as(folder / f"again{number}.dcm")


def emptied(folder: Path) -> None:
    for path in folder.iterdir():
        path.write_bytes(b"")


def nothing(folder: Path) -> None:
    shutil.rmtree(folder)
    folder.mkdir()


def noise(folder: Path) -> None:
    for path in folder.iterdir():
        path.write_bytes(b"\0" * 128 + b"DICM" + os.urandom(4000))


def texts(folder: Path) -> None:
    nothing(folder)
    for number in range(30):
        (folder / f"{number}.txt").write_text("no image")


def wrong_rows(dataset: Any, number: int) -> None:
    if number == 3:
        dataset.Rows = 4000


def compressed_oddly(dataset: Any, _number: int) -> None:
    dataset.PixelData = pydicom.encaps.encapsulate([os.urandom(800)])
    dataset["PixelData"].VR = "OB"
    dataset.file_meta.TransferSyntaxUID = "1.2.840.10008.1.2.4.103"  # MPEG-4


MAKERS: dict[str, tuple[Callable[[Path], None], str]] = {
    "no folder": (shutil.rmtree, "got nothing"),
    "empty folder": (nothing, "without DICOM"),
    "only texts": (texts, "30 other files"),
    "empty files": (emptied, "without DICOM"),
    "noise after the preamble": (noise, "none of the DICOM files could be read"),
    "cut within the header": (cut(300), "none of the DICOM|lack them"),
    "cut at the preamble": (cut(132), "none of the DICOM"),
    "one slice cut short": (cut(2000, only=10), "cut short"),
    "all slices cut short": (cut(2500), "cut short"),
    "one slice missing": (removed(10), r"1 slices missing"),
    "three missing": (removed(10, 11, 30), r"3 slices missing"),
    "all but one missing": (removed(*range(1, 50)), "slices|too few"),
    "all but three missing": (removed(*range(3, 50)), "too few"),
    "every slice twice": (again, "twice"),
    "one slice moved": (edited(moved), "off"),
    "two patients": (edited(two_patients), "Expected one patient"),
    "a slice of another patient": (edited(mixed_patients), "patients"),
    "mixed frames of reference": (edited(half("FrameOfReferenceUID", "1.2.3")), "frames of ref"),
    "mixed spacing": (edited(half("PixelSpacing", [1, 1])), "one size and spacing"),
    "mixed orientation": (
        edited(half("ImageOrientationPatient", [0, 1, 0, 0, 0, -1])), "one orientation"
    ),
    "no position": (edited(without("ImagePositionPatient")), "50 of 50 slices lack"),
    "no position in one": (edited(without("ImagePositionPatient"), only=4), "1 of 50 slices lack"),
    "no orientation": (edited(without("ImageOrientationPatient")), "lack them"),
    "no spacing": (edited(without("PixelSpacing")), "lack them"),
    "two values of a position": (edited(put(ImagePositionPatient=[1, 2])), "lack them"),
    "words as a position": (edited(raw("ImagePositionPatient", b"a\\b\\c ")), "lack them"),
    "words as a spacing": (edited(raw("PixelSpacing", b"wide")), "lack them"),
    "spacing of zero": (edited(put(PixelSpacing=[0, 0])), "lack them"),
    "negative spacing": (edited(put(PixelSpacing=[-1, 1])), "lack them"),
    "axes not of unit length": (
        edited(put(ImageOrientationPatient=[2, 0, 0, 0, 1, 0])), "lack them"
    ),
    "axes not at right angles": (
        edited(put(ImageOrientationPatient=[1, 0, 0, 1, 0, 0])), "lack them"
    ),
    "all slices at one place": (edited(put(ImagePositionPatient=[0, 0, 0])), "twice"),
    "MR": (edited(put(Modality="MR")), "modality MR"),
    "no modality": (edited(put(Modality="")), "modality unknown"),
    "PET beside CT in one series": (edited(half("Modality", "PT")), "modality"),
    "a scout": (edited(put(ImageType=["ORIGINAL", "PRIMARY", "LOCALIZER"])), "localizer"),
    "colour": (edited(put(SamplesPerPixel=3, PhotometricInterpretation="RGB")), "colour"),
    "electron density": (edited(put(RescaleType="ED")), "rescale type ED"),
    "no rows": (edited(put(Rows=0)), "no images|lack"),
    "more rows than pixels": (edited(wrong_rows), "cut short"),
    "no pixels": (edited(without("PixelData")), "cut short"),
    "unknown compression": (
        edited(compressed_oddly), "is compressed as"
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", MAKERS)
def test_a_malformed_study_is_refused_with_a_sentence(
    good: Path, tmp_path: Path, name: str, capsys: pytest.CaptureFixture
) -> None:
    make, message = MAKERS[name]
    folder = tmp_path / "study"
    shutil.copytree(good, folder)
    make(folder)
    with pytest.raises(HideSeekError, match=message) as caught:
        read_study(folder)
    assert caught.value.remedy
    said = str(caught.value) + "".join(capsys.readouterr())
    assert not [word for word in ("Doe", "Jane", "ACC77", "Roe", "OTHER-1") if word in said]


def packed(path: Path, name: str, link: bool = False) -> Path:
    with zipfile.ZipFile(path, "w") as archive:
        info = zipfile.ZipInfo(name)
        if link:
            info.external_attr = 0o120777 << 16
        archive.writestr(info, b"/etc/passwd")
    return path


@pytest.mark.parametrize("name", ["../out.dcm", "/tmp/out.dcm", "a/../../out.dcm", "C:\\out.dcm"])
def test_a_zip_does_not_slip_out(tmp_path: Path, name: str) -> None:
    before = set(tmp_path.parent.iterdir())
    with pytest.raises(HideSeekError, match="outside itself"):
        read_study(packed(tmp_path / "evil.zip", name))
    assert set(tmp_path.parent.iterdir()) == before


def test_a_zip_with_a_link_is_refused(tmp_path: Path) -> None:
    with pytest.raises(HideSeekError, match="a link"):
        read_study(packed(tmp_path / "evil.zip", "ct.dcm", link=True))


def test_a_zip_cut_short_is_refused(good: Path, tmp_path: Path) -> None:
    whole = Path(shutil.make_archive(str(tmp_path / "study"), "zip", good))
    whole.write_bytes(whole.read_bytes()[:-4000])
    with pytest.raises(HideSeekError, match="damaged or cut short"):
        read_study(whole)


def test_a_bomb_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(media, "MAX_UNPACKED_BYTES", 1 << 20)
    with zipfile.ZipFile(tmp_path / "b.zip", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("ct.dcm", bytes(1 << 21))
    with pytest.raises(HideSeekError, match="unpacks to"):
        read_study(tmp_path / "b.zip")


def test_twenty_thousand_files_are_no_study(tmp_path: Path) -> None:
    for number in range(media.MAX_FILES + 1):
        (tmp_path / f"{number}").touch()
    with pytest.raises(HideSeekError, match="more than 20,000 files"):
        read_study(tmp_path)


def test_what_is_no_dicom_between_the_slices_does_not_matter(good: Path, tmp_path: Path) -> None:
    folder = tmp_path / "study"
    shutil.copytree(good, folder)
    (folder / "AUTORUN.INF").write_text("[autorun]")
    (folder / "viewer").mkdir()
    (folder / "viewer" / "viewer.exe").write_bytes(os.urandom(5000))
    (folder / "link").symlink_to("/")
    assert read_study(folder).volume.shape == (30, 40, 50)
    assert len(list_series(folder)) == 1


def test_a_file_that_is_no_segmentation_is_no_mask(good: Path) -> None:
    with pytest.raises(HideSeekError) as caught:
        read_label_map(next(good.iterdir()))
    assert caught.value.remedy


def test_a_damaged_segmentation_is_refused(good: Path, tmp_path: Path) -> None:
    ct = write_study(tmp_path / "study")
    write_result(tmp_path / "result", ct)
    line = ["dicom", "export", str(tmp_path / "result"), "--study", str(tmp_path / "study")]
    assert main([*line, "--out", str(tmp_path / "o")]) == 0
    seg = tmp_path / "o" / "seg.dcm"
    seg.write_bytes(seg.read_bytes()[:-2000])
    with pytest.raises(HideSeekError, match="readable DICOM segmentation") as caught:
        read_label_map(seg)
    assert "Doe" not in str(caught.value)
