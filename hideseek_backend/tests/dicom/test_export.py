"""A result as SEG, SR and key images: what independent readers find in them."""

from __future__ import annotations

import gzip
import json
import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from dicom_case import DIRECTIONS, write_result, write_study

from hideseek_backend.cli import main
from hideseek_backend.dicom import read_study
from hideseek_backend.dicom.ct_series import write_ct_series
from hideseek_backend.dicom.lesions import check_levels, exported_lesions, label_map
from hideseek_backend.dicom.segmentation import read_segmentation
from hideseek_backend.report.case_store import read_stored
from hideseek_backend.volumes.grids import onto_grid
from hideseek_backend.volumes.reading import read_label_map
from hideseek_backend.volumes.volume import Volume
from hideseek_backend.volumes.writing import write_nifti
from hideseek_backend.wire.levels import VERSE_VALUES

pydicom = pytest.importorskip("pydicom", reason="needs the extra dicom")
highdicom = pytest.importorskip("highdicom", reason="needs the extra dicom")


def export(root: Path, *more: str, directions: str = "axial") -> Path:
    """Write study and result and export them; returns the folder of the objects."""
    if not (root / "study").exists():
        ct = write_study(root / "study", directions)
        write_result(root / "result", ct)
    line = ["dicom", "export", str(root / "result"), "--study", str(root / "study")]
    assert main([*line, "--out", str(root / "objects"), *more]) == 0
    return root / "objects"


def expected(root: Path) -> np.ndarray:
    """Segment numbers on the CT's grid as the stored case has them."""
    case = read_stored(root / "result")
    return label_map(case, exported_lesions(case, {}, "1.2.3")).data


@pytest.mark.parametrize("directions", DIRECTIONS)
def test_segments_lie_where_the_candidates_are(tmp_path: Path, directions: str) -> None:
    objects = export(tmp_path, directions=directions)
    ct = read_study(tmp_path / "study").volume
    volume, _names = read_segmentation(objects / "seg.dcm")
    case = read_stored(tmp_path / "result")
    # To the grid of the result, by their places alone: highdicom knows nothing of our order.
    grid = Volume(np.zeros(case.shape, np.int16), case.affine)
    back, _ = onto_grid(volume, grid)
    np.testing.assert_array_equal(back, expected(tmp_path))
    assert sorted(np.unique(back)) == [0, 1, 2, 3, 4]
    assert sorted(ct.shape) == sorted(case.shape)


def test_segments_say_what_they_are(tmp_path: Path) -> None:
    (tmp_path / "d.json").write_text('{"T12:1": "accept", "T12:2": "reject"}')
    objects = export(tmp_path, "--decisions", str(tmp_path / "d.json"), "--rejected")
    seg = pydicom.dcmread(objects / "seg.dcm")
    assert seg.SegmentationType == "BINARY"
    by_label = {item.SegmentLabel: item for item in seg.SegmentSequence}
    assert set(by_label) == {
        "T12 lytic 1",
        "T12 blastic 2 (rejected)",
        "L1 lytic 1 (not reviewed)",
        "L1 blastic 2 (not reviewed)",
    }
    accepted, waiting = by_label["T12 lytic 1"], by_label["L1 lytic 1 (not reviewed)"]
    kind = accepted.SegmentedPropertyTypeCodeSequence[0]
    assert (kind.CodeValue, kind.CodeMeaning) == ("14799000", "Neoplasm, Secondary")
    assert kind.SegmentedPropertyTypeModifierCodeSequence[0].CodeValue == "LYTIC"
    assert waiting.SegmentedPropertyTypeCodeSequence[0].CodeMeaning == "Lesion"
    assert accepted.SegmentAlgorithmType == "SEMIAUTOMATIC"
    assert waiting.SegmentAlgorithmType == "AUTOMATIC"
    assert accepted.AnatomicRegionSequence[0].CodeMeaning == "T12 vertebra"
    assert seg.CodingSchemeIdentificationSequence[0].CodingSchemeDesignator == "99HIDESEEK"
    ct = pydicom.dcmread(next((tmp_path / "study").glob("*.dcm")))
    assert (seg.FrameOfReferenceUID, seg.StudyInstanceUID) == (
        ct.FrameOfReferenceUID,
        ct.StudyInstanceUID,
    )


def test_tracking_uids_stay_over_exports_and_verdicts(tmp_path: Path) -> None:
    def tracked(folder: Path) -> list[str]:
        seg = pydicom.dcmread(folder / "seg.dcm")
        return [item.TrackingUID for item in seg.SegmentSequence]

    first = tracked(export(tmp_path))
    (tmp_path / "d.json").write_text('{"T12:1": "accept"}')
    again = export(tmp_path, "--decisions", str(tmp_path / "d.json"), "--overwrite")
    assert tracked(again) == first
    assert len(set(first)) == 4


def test_report_holds_the_numbers_of_the_case(tmp_path: Path) -> None:
    objects = export(tmp_path, "--reader", "Reader^One")
    sr = highdicom.sr.srread(objects / "sr.dcm")
    assert (sr.VerificationFlag, sr.CompletionFlag) == ("UNVERIFIED", "COMPLETE")
    groups = sr.content.get_volumetric_roi_measurement_groups()
    case = read_stored(tmp_path / "result")
    lesions = exported_lesions(case, {}, "1.2.3")
    assert len(groups) == len(lesions) == 4
    for group, lesion in zip(groups, lesions, strict=True):
        values = {m.name.meaning: float(m.value) for m in group.get_measurements()}
        c = lesion.candidate
        assert values["Volume"] == pytest.approx(c.volume_mm3, abs=0.05)
        assert values["Attenuation Coefficient"] == pytest.approx(c.mean_hu, abs=0.05)
        assert values["Hide-and-Seek attribution"] == pytest.approx(c.delta, abs=5e-5)
        assert values["Probability of cancer"] == pytest.approx(97.31)
        words = {e.name.meaning: e.value.meaning for e in group.get_qualitative_evaluations()}
        assert words["Lesion phenotype"] == f"Osteo{c.polarity}"
        assert words["Review state"] == "Candidate, not reviewed"
        numbers = group.referenced_segment[0].ReferencedSOPSequence[0].ReferencedSegmentNumber
        assert numbers == lesion.number


def test_only_a_reader_of_everything_signs(tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    ct = write_study(tmp_path / "study")
    write_result(tmp_path / "result", ct)
    line = ["dicom", "export", str(tmp_path / "result"), "--study", str(tmp_path / "study")]
    line += ["--out", str(tmp_path / "o"), "--sign"]
    assert main(line) == 2
    assert "name and organization" in capsys.readouterr().err
    line += ["--reader", "Reader^One", "--organization", "Hospital"]
    assert main(line) == 2
    assert "4 are not reviewed" in capsys.readouterr().err
    decisions = {f"{v}:{n}": "accept" for v in ("T12", "L1") for n in (1, 2)}
    (tmp_path / "d.json").write_text(json.dumps(decisions))
    assert main([*line, "--decisions", str(tmp_path / "d.json")]) == 0
    sr = pydicom.dcmread(tmp_path / "o" / "sr.dcm")
    assert sr.VerificationFlag == "VERIFIED"
    assert sr.VerifyingObserverSequence[0].VerifyingObserverName == "Reader^One"


def test_key_images_carry_their_words(tmp_path: Path) -> None:
    objects = export(tmp_path)
    keys = [pydicom.dcmread(path) for path in sorted(objects.glob("key-*.dcm"))]
    assert len(keys) == 4
    assert len({key.SeriesInstanceUID for key in keys}) == 1
    for key in keys:
        assert "research use only" in key.SeriesDescription
        picture = key.pixel_array
        assert picture.shape == (key.Rows, key.Columns, 3)
        assert (
            len(np.unique(picture[::9, ::9].reshape(-1, 3), axis=0)) > 200
        )  # pictures, not a blank


def test_a_pseudonymised_export_names_nobody(tmp_path: Path) -> None:
    write_result(tmp_path / "result", write_study(tmp_path / "study"))
    source = pydicom.dcmread(next((tmp_path / "study").glob("*.dcm")))
    objects = export(tmp_path, "--pseudonym", "P001")
    secret = [
        b"Doe",
        b"ACC77",
        *(str(source[k].value).encode() for k in ("StudyInstanceUID", "SeriesInstanceUID")),
        str(source.FrameOfReferenceUID).encode(),
    ]
    files = sorted(objects.rglob("*.dcm"))
    assert len(files) == 50 + 2 + 4
    for path in files:
        content = path.read_bytes()
        assert not [word for word in secret if word in content], path.name
    # The copy of the CT and the segmentation still fit each other.
    ct = read_study(objects / "ct").volume
    back, _ = onto_grid(read_segmentation(objects / "seg.dcm")[0], ct)
    np.testing.assert_array_equal(ct.data, read_study(tmp_path / "study").volume.data)
    assert set(np.unique(back)) == {0, 1, 2, 3, 4}


def test_the_command_names_no_patient(tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    export(tmp_path)
    said = "".join(capsys.readouterr())
    assert "Doe" not in said and "ACC77" not in said


def test_another_ct_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    ct = write_study(tmp_path / "study")
    write_result(tmp_path / "result", ct)
    write_ct_series(ct.with_data(ct.data + 400), tmp_path / "other")
    line = ["dicom", "export", str(tmp_path / "result"), "--study", str(tmp_path / "other")]
    assert main([*line, "--out", str(tmp_path / "o")]) == 2
    assert "not the CT" in capsys.readouterr().err
    assert not (tmp_path / "o").exists()


def test_candidates_without_voxels_are_counted_and_named(
    tmp_path: Path, capsys: pytest.CaptureFixture
) -> None:
    """Lost between two thick slices: they are in the tables, and in no object."""
    write_result(tmp_path / "result", write_study(tmp_path / "study"))
    file = tmp_path / "result" / "case.json.gz"
    stored = json.loads(gzip.decompress(file.read_bytes()))
    for vertebra in stored["vertebrae"]:
        if vertebra["vertebra"] == "L1":
            vertebra["block_labels"] = None
    file.write_bytes(gzip.compress(json.dumps(stored).encode("ascii")))
    export(tmp_path)
    said = " ".join(capsys.readouterr().err.split())
    assert "2 candidates have no voxel on the grid of the CT" in said
    assert "L1 lytic 1, L1 blastic 2" in said
    line = ["dicom", "export", str(tmp_path / "result"), "--study", str(tmp_path / "study")]
    (tmp_path / "d.json").write_text('{"T12:1": "reject", "T12:2": "reject"}')
    line += ["--decisions", str(tmp_path / "d.json"), "--out", str(tmp_path / "o")]
    assert main(line) == 2
    assert "2 candidates have no voxel" in capsys.readouterr().err, "and not that none is kept"


def test_the_tables_of_a_review_bring_its_threshold(tmp_path: Path) -> None:
    write_result(tmp_path / "result", write_study(tmp_path / "study"))
    columns = "vertebra,candidate,kept,decision"
    rows = ["T12,1,false,", "T12,2,true,accept", "T12,3,true,", "L1,1,false,reject", "L1,2,false,"]
    (tmp_path / "candidates.csv").write_text("\n".join([columns, *rows]))
    objects = export(tmp_path, "--decisions", str(tmp_path / "candidates.csv"))
    labels = [s.SegmentLabel for s in pydicom.dcmread(objects / "seg.dcm").SegmentSequence]
    assert labels == ["T12 blastic 2", "T12 lytic 3 (not reviewed)"]


def test_odd_levels_must_be_counted_first(tmp_path: Path) -> None:
    write_result(tmp_path / "result", write_study(tmp_path / "study"))
    case = read_stored(tmp_path / "result")
    assert check_levels(case) == ()
    gap = replace(case, vertebrae=tuple(v for v in case.vertebrae if v.level != "L1"))
    assert "L1 is missing between T11 and L2" in check_levels(gap)[0]
    t13 = replace(
        case,
        vertebrae=tuple(
            replace(v, level="T13", candidates=(), block_labels=None) if v.level == "T11" else v
            for v in case.vertebrae
        ),
    )
    assert "T13 is present" in check_levels(t13)[0]


needs_dciodvfy = pytest.mark.skipif(
    shutil.which("dciodvfy") is None, reason="dciodvfy is absent (Debian: dicom3tools)"
)


@needs_dciodvfy
def test_the_validator_finds_no_error(tmp_path: Path) -> None:
    plain = export(tmp_path, "--rejected", "--reader", "Reader^One")
    hidden = tmp_path / "hidden"
    shutil.copytree(plain, hidden)
    export(tmp_path, "--pseudonym", "P001^", "--overwrite")
    files = [*hidden.glob("*.dcm"), *plain.glob("*.dcm"), next((plain / "ct").iterdir())]
    files.append(next((tmp_path / "study").iterdir()))
    assert len(files) == 14
    for path in files:
        done = subprocess.run(["dciodvfy", "-new", str(path)], capture_output=True, text=True)
        errors = [x for x in (done.stdout + done.stderr).splitlines() if x.startswith("Error")]
        assert not errors, (path.name, errors)


def dcmqi(tool: str) -> str:
    found = shutil.which(tool, path=str(Path(sys.executable).parent)) or shutil.which(tool)
    if found is None:
        pytest.skip(f"{tool} is absent (pip install dcmqi==1.5.7)")
    return found


def test_dcmqi_reads_the_same_voxels_and_numbers(tmp_path: Path) -> None:
    reader, to_image = dcmqi("tid1500reader"), dcmqi("segimage2itkimage")
    objects = export(tmp_path, directions="oblique")
    out = tmp_path / "dcmqi"
    out.mkdir()
    seg = ["--inputDICOM", str(objects / "seg.dcm"), "--outputDirectory", str(out)]
    subprocess.run([to_image, *seg, "-t", "nrrd"], check=True, capture_output=True)
    case = read_stored(tmp_path / "result")
    grid = Volume(np.zeros(case.shape, np.int16), case.affine)
    wanted = expected(tmp_path)
    for number in range(1, 5):
        mask, _ = onto_grid(read_label_map(out / f"{number}.nrrd").volume, grid)
        np.testing.assert_array_equal(mask > 0, wanted == number)
    told = tmp_path / "sr.json"
    line = [reader, "--inputDICOM", str(objects / "sr.dcm"), "--outputMetadata", str(told)]
    subprocess.run(line, check=True, capture_output=True)
    groups = json.loads(told.read_text(encoding="utf-8"))["Measurements"]
    lesions = exported_lesions(case, {}, "1.2.3")
    assert [g["TrackingIdentifier"] for g in groups] == [
        f"{x.candidate.vertebra} {x.candidate.polarity} {x.candidate.number}" for x in lesions
    ]
    for group, lesion in zip(groups, lesions, strict=True):
        values = {m["quantity"]["CodeValue"]: float(m["value"]) for m in group["measurementItems"]}
        assert values["118565006"] == pytest.approx(lesion.candidate.volume_mm3, abs=0.05)
        assert values["DELTA"] == pytest.approx(lesion.candidate.delta, abs=5e-5)
        assert values["PWITHOUT"] == pytest.approx(100 * lesion.candidate.p_without, abs=5e-3)


def test_a_follow_up_keeps_the_earlier_tracking_uids(tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    first = export(tmp_path / "a")
    uids = {s.TrackingID: s.TrackingUID for s in pydicom.dcmread(first / "seg.dcm").SegmentSequence}
    # Another study of the same patient: its own uids would differ.
    (tmp_path / "b").mkdir()
    other = export(tmp_path / "b")
    own = {s.TrackingUID for s in pydicom.dcmread(other / "seg.dcm").SegmentSequence}
    assert not own & set(uids.values())
    for name in "ab":
        _with_bodies(tmp_path / name / "result")
    line = [str(tmp_path / name / "result") for name in "ab"]
    told = tmp_path / "told"
    assert main(["follow-up", *line, "--dicom-earlier", str(first), "--out", str(told)]) == 0
    kept = export(tmp_path / "b", "--follow-up", str(told), "--overwrite")
    found = pydicom.dcmread(kept / "seg.dcm").SegmentSequence
    assert {s.TrackingID: s.TrackingUID for s in found} == uids
    report = pydicom.dcmread(kept / "sr.dcm")
    assert all(uid in str(report) for uid in uids.values())


def _with_bodies(result: Path) -> None:
    """Bodies about the sample case's lesions, as `hideseek segment` writes them."""
    case = read_stored(result)
    bodies = np.zeros(case.shape, np.uint8)
    for vertebra in case.vertebrae:
        if vertebra.block_labels is not None:
            i, j, k = vertebra.block_origin_ijk
            shape = vertebra.block_labels.shape
            bodies[i : i + shape[0], j : j + shape[1], k : k + shape[2]] = VERSE_VALUES[
                vertebra.level
            ]
    write_nifti(Volume(bodies, case.affine), result / "bodies.nii.gz")
