"""The DICOM section: what it asks for, and what the real worker writes for a study on this disk."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import slicer
import slicer.util
from harness import ROOT, PanelBench, spin, wait

from HideSeekLib.anatomy.geometry import grid_of, voxels_of
from HideSeekLib.case.segments import segment_id

sys.path.insert(0, str(ROOT / "hideseek_backend" / "tests"))
tiny_model = pytest.importorskip("tiny_model", reason="the backend's tests are not here")
pydicom = pytest.importorskip("pydicom", reason="needs the extra dicom")
pytest.importorskip("highdicom", reason="needs the extra dicom")
segmentation = pytest.importorskip("hideseek_backend.dicom.segmentation")
ct_series = pytest.importorskip("hideseek_backend.dicom.ct_series")
volume = pytest.importorskip("hideseek_backend.volumes.volume")
grids = pytest.importorskip("hideseek_backend.volumes.grids")
cli = pytest.importorskip("hideseek_backend.cli")

NAME, NUMBER = "Doe^Jane", "ACC77"


@pytest.fixture(scope="module", name="tiny")
def tiny_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder: Path = tiny_model.write_tiny_model(tmp_path_factory.mktemp("models") / "tiny")
    return folder


@pytest.fixture(name="bench")
def analysed(core: Any, tiny: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """A panel with an analysed vertebra, and the study of its CT on the disk."""
    monkeypatch.setenv("PYTHONPATH", str(ROOT / "hideseek_backend" / "src"))
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    made = PanelBench(real=True)
    made.ui.modelCombo.setEditText(str(tiny))
    made.ui.deviceCombo.setEditText("cpu")
    grid = grid_of(made.ct)
    ct = volume.Volume(voxels_of(made.ct), grid.affine)
    ct_series.write_ct_series(ct, tmp_path / "study", patient=NAME, accession=NUMBER)
    made.board.start_job("segment", ("T12", "L1"))
    made.finish(120)
    assert made.panel.review.rows(), made.status()
    made.ui.exportFolder.currentPath = str(tmp_path / "out")
    made.expand("exportCollapsible", "dicomGroup")
    yield made
    made.close()


def export(bench: PanelBench) -> str:
    bench.click("dicomButton")
    wait(lambda: not bench.panel.dicom.busy(), 120)
    spin()
    return str(bench.ui.dicomMessageLabel.text)


def some_lesions(bench: PanelBench) -> list[str]:
    """Two candidates with voxels of each vertebra; nothing else is kept from now on."""
    case, chosen = bench.board.case, []
    case.set_threshold(9.0)
    for level in ("T12", "L1"):
        own = [
            row.key for row in case.rows() if row.vertebra == level and len(case.voxels(row.key))
        ]
        chosen += own[:2]
    return chosen


def segments(folder: Path, bench: PanelBench) -> dict[str, np.ndarray]:
    """Label of each segment of the written SEG -> its mask on the CT's grid."""
    read, _names = segmentation.read_segmentation(folder / "seg.dcm")
    grid = grid_of(bench.ct)
    on_ct, _ = grids.onto_grid(read, volume.Volume(np.zeros(grid.shape, np.int16), grid.affine))
    labels = [s.SegmentLabel for s in pydicom.dcmread(folder / "seg.dcm").SegmentSequence]
    return {label: on_ct == n for n, label in enumerate(labels, 1)}


def lesion_mask(bench: PanelBench, level: str, polarity: str) -> np.ndarray:
    array = slicer.util.arrayFromSegmentBinaryLabelmap(
        bench.board.case.lesions, segment_id(level, polarity), bench.ct
    )
    return array.transpose(2, 1, 0) > 0


def test_the_reviewed_segments_are_written_as_they_are_now(
    bench: PanelBench, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    case, ui = bench.board.case, bench.ui
    case.decide(some_lesions(bench), "accept")
    rows = [row for row in bench.panel.review.rows() if row.kept]
    shown = {(row.vertebra, row.polarity) for row in rows}
    level, polarity = next(where for where in sorted(shown) if where[0] == "L1")
    assert len(shown) > 1
    # The reader adds a ball of bone and erases the lower half.
    mask = lesion_mask(bench, level, polarity)
    i, j, k = np.argwhere(mask).mean(axis=0).round().astype(int)
    mask[i - 4 : i + 4, j - 4 : j + 4, k - 3 : k + 5] = True
    mask[..., :k] = False
    slicer.util.updateSegmentBinaryLabelmapFromArray(
        np.ascontiguousarray(mask.transpose(2, 1, 0).astype(np.uint8)),
        case.lesions,
        segment_id(level, polarity),
        bench.ct,
    )
    bench.panel.dicom.refresh()
    assert "Edited by hand" in ui.dicomStateLabel.text and "L1:" in ui.dicomStateLabel.text
    ui.dicomStudy.currentPath = str(tmp_path / "study")
    ui.dicomReaderEdit.text = "Reader^One"
    said = export(bench)
    assert "lesions written" in said and "Nothing was sent" in said, said
    folder = tmp_path / "out" / "dicom"
    written = segments(folder, bench)
    for where in sorted(shown):
        want = mask if where == (level, polarity) else lesion_mask(bench, *where)
        union = np.zeros(want.shape, bool)
        for label, found in written.items():
            if label.split()[:2] == list(where):
                assert not (union & found).any()
                union |= found
        assert want.any() and np.array_equal(union, want), where
    sr = pydicom.dcmread(folder / "sr.dcm")
    assert sr.VerificationFlag == "UNVERIFIED"
    # The patient is in the objects, where the PACS needs it, and nowhere else.
    assert sr.PatientName == NAME
    assert len(list(folder.glob("key-*.dcm"))) == len(written)
    told = said + bench.status() + ui.dicomStateLabel.text + caplog.text
    told += bench.ui.logText._cpp.toPlainText()
    assert not [word for word in (NAME, NUMBER, "Doe") if word in told]


@pytest.mark.slow
def test_an_exported_review_gives_the_command_the_same_objects(
    bench: PanelBench, tmp_path: Path
) -> None:
    case, ui = bench.board.case, bench.ui
    chosen = some_lesions(bench)
    case.decide(chosen, "accept")
    case.decide(chosen[-1:], "reject")
    ui.dicomStudy.currentPath = str(tmp_path / "study")
    assert "lesions written" in export(bench)
    bench.click("exportButton")
    wait(lambda: not bench.panel.export.busy() and bench.idle(), 60)
    line = ["dicom", "export", str(tmp_path / "out"), "--study", str(tmp_path / "study")]
    assert cli.main([*line, "--out", str(tmp_path / "again")]) == 0
    ours = segments(tmp_path / "out" / "dicom", bench)
    theirs = segments(tmp_path / "again", bench)
    assert ours.keys() == theirs.keys() and ours
    assert all(np.array_equal(ours[label], theirs[label]) for label in ours)


def test_only_who_signs_verifies_and_what_is_missing_is_said(
    bench: PanelBench, tmp_path: Path
) -> None:
    case, ui = bench.board.case, bench.ui
    case.set_threshold(-9.0)
    assert "Choose the folder of the study" in export(bench)
    ui.dicomStudy.currentPath = str(tmp_path / "nothing")
    assert "got nothing" in export(bench)
    ui.dicomStudy.currentPath = str(tmp_path / "study")
    ui.dicomSignCheck.checked = True
    assert "name and organization" in export(bench)
    ui.dicomReaderEdit.text, ui.dicomOrganizationEdit.text = "Reader^One", "Hospital"
    assert "are not reviewed" in export(bench)
    assert not (tmp_path / "out" / "dicom").exists()
    case.decide(some_lesions(bench), "accept")
    assert "lesions written" in export(bench)
    sr = pydicom.dcmread(tmp_path / "out" / "dicom" / "sr.dcm")
    assert sr.VerificationFlag == "VERIFIED"
    # Name and organization are remembered on this computer, the signature is not.
    bench.close()
    fresh = PanelBench()
    assert fresh.ui.dicomReaderEdit.text == "Reader^One" and not fresh.ui.dicomSignCheck.checked
    fresh.close()


@pytest.mark.slow
def test_a_ct_from_slicers_database_needs_no_folder(bench: PanelBench, tmp_path: Path) -> None:
    files = sorted((tmp_path / "study").iterdir())
    uids = [str(pydicom.dcmread(f, stop_before_pixels=True).SOPInstanceUID) for f in files]
    bench.ct.SetAttribute("DICOM.instanceUIDs", " ".join(uids))
    bench.panel.dicom.refresh()
    assert "database" not in bench.ui.dicomStateLabel.text, "it knows none of them yet"
    slicer.app.dicomDatabase().files.update(zip(uids, map(str, files), strict=True))
    bench.panel.dicom.refresh()
    assert f"{len(files)} files" in bench.ui.dicomStateLabel.text
    bench.ui.dicomPseudonymEdit.text = "P001"
    bench.board.case.decide(some_lesions(bench), "accept")
    assert "lesions written" in export(bench)
    folder = tmp_path / "out" / "dicom"
    for path in (folder / "seg.dcm", folder / "sr.dcm", *(folder / "ct").iterdir()):
        assert pydicom.dcmread(path).PatientName == "P001" and b"Doe" not in path.read_bytes()


@pytest.fixture(name="simple")
def panel_with_a_scripted_worker(core: Any, tmp_path: Path) -> Iterator[PanelBench]:
    made = PanelBench()
    made.board.start_job("segment", ("L1",))
    made.finish()
    made.ui.exportFolder.currentPath = str(tmp_path / "out")
    made.ui.dicomStudy.currentPath = str(tmp_path)
    made.expand("exportCollapsible", "dicomGroup")
    yield made
    made.close()


def test_levels_are_counted_before_anything_is_written(simple: PanelBench) -> None:
    ui = simple.ui
    assert "nothing odd" in ui.dicomStateLabel.text and ui.dicomButton.enabled
    assert not ui.dicomProgress.visible and not ui.dicomLevelsCheck.visible
    simple.vertebrae.GetSegmentation().GetNthSegment(1).SetName("T13")  # it was T12
    simple.panel.inputs.later()
    wait(lambda: "T13" in ui.dicomStateLabel.text, 5)
    assert "transitional vertebra" in ui.dicomStateLabel.text
    assert "T12 is missing" in ui.dicomStateLabel.text
    assert not ui.dicomButton.enabled
    ui.dicomLevelsCheck.checked = True
    assert ui.dicomButton.enabled


def test_a_remote_backend_is_told_where_to_export(simple: PanelBench) -> None:
    simple.board.settings = simple.board.settings.__class__(prefix="ssh host")
    simple.click("dicomButton")
    assert "another computer" in simple.ui.dicomMessageLabel.text
    assert not simple.panel.dicom.busy()


def test_a_failure_and_a_closing_scene_leave_the_section_usable(simple: PanelBench) -> None:
    simple.click("dicomButton")
    assert simple.panel.dicom.busy() and simple.ui.dicomCancelButton.enabled
    wait(lambda: not simple.panel.dicom.busy(), 10)
    assert "unknown method" in simple.ui.dicomMessageLabel.text  # the scripted worker writes none
    simple.click("dicomButton")
    simple.click("dicomCancelButton")
    wait(lambda: not simple.panel.dicom.busy(), 10)
    assert "Cancelled" in simple.ui.dicomMessageLabel.text
    simple.click("dicomButton")
    slicer.mrmlScene.Clear(0)
    spin()
    assert not simple.panel.dicom.busy() and not simple.ui.dicomButton.enabled
