"""Follow-up, worksheet and report text in the panel, answered by the real worker (no model)."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import replies
import slicer
from harness import PanelBench, add_spine, spin
from PySide6.QtWidgets import QApplication
from scene_helpers import to_numpy_affine

from HideSeekLib.case import case as scene
from HideSeekLib.case import dates
from HideSeekLib.case.dicom_database import acquisition
from HideSeekLib.wire.sins import ITEMS

pydicom = pytest.importorskip("pydicom", reason="needs the extra dicom")

OPTIONS = {"tau": 0.5, "slices": "all"}


def add_case(ct: Any, vertebrae: Any, deltas: dict[str, list[float]], size: int) -> Any:
    case = scene.begin_run(ct, vertebrae, model={"name": "m", "hash": "abc"}, options=OPTIONS)
    # In the middle of T12's box: i 18 to 38, j 20 to 34, k 46 to 60.
    message = replies.vertebra_reply("T12", (20, 22, 48), deltas, to_numpy_affine(ct), size=size)
    return case.add_vertebra(message)


@pytest.fixture
def bench(core: Any) -> Iterator[PanelBench]:
    made = PanelBench(real=True)
    earlier_ct, earlier_vertebrae = add_spine(title="April")
    add_case(earlier_ct, earlier_vertebrae, {"lytic": [0.9]}, 4)
    case = add_case(made.ct, made.vertebrae, {"lytic": [0.8]}, 6)
    made.board.set_case(case)
    made.expand("followUpCollapsible", "worksheetCollapsible")
    yield made
    made.close()


def cells(table: Any) -> list[list[str]]:
    return [
        [table.item(r, c).text() for c in range(table.columnCount)] for r in range(table.rowCount)
    ]


def test_a_lesion_that_grew(bench: PanelBench) -> None:
    ui = bench.ui
    assert ui.earlierCombo.currentText == "April HideSeek"
    assert not ui.earlierFlickerButton.enabled
    bench.click("compareButton")
    bench.finish(300)
    (row,) = cells(ui.followUpTable)
    assert row[:3] == ["T12", "grown", "lytic"], (row, bench.status())
    assert row[3:5] == ["0.51 mL", "1.73 mL"] and row[5].startswith("+238 %")
    assert "Limits of agreement of lesions that this model found: assumed" in ui.followUpLabel.text
    assert "Earlier CT" not in ui.followUpLabel.text  # neither CT came from DICOM
    told = dates.follow_up_of(bench.board.case)
    assert told is not None and len(told.pairs) == 3
    assert "kernel and contrast medium: the limits are wider" in ui.followUpLabel.text
    ui.sameProtocolCheck.checked = True
    bench.click("compareButton")
    bench.finish(300)
    assert "kernel and contrast medium: taken to be the same" in ui.followUpLabel.text
    ui.followUpTable.selectRow(0)
    spin()
    composite = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLSliceCompositeNode")
    bench.click("earlierFlickerButton")
    spin(1.2)
    shown = bench.board.case.node.GetNodeReference("earlierCt")
    assert shown is not None and shown.GetName().endswith("earlier CT")
    seen = {composite.GetForegroundVolumeID()}
    for _n in range(12):
        spin(0.1)
        seen.add(composite.GetForegroundVolumeID())
    assert seen == {None, shown.GetID()}
    bench.click("earlierFlickerButton")
    assert composite.GetForegroundVolumeID() is None


def test_the_worksheet_sums_only_what_is_complete_and_signed(bench: PanelBench) -> None:
    ui = bench.ui
    bench.click("suggestButton")
    bench.finish(300)
    assert ui.locationLabel.text.startswith("Suggested: junctional"), bench.status()
    assert "% lytic" in ui.lesionLabel.text and "mm" in ui.alignmentLabel.text
    assert ui.painLabel.text == ""
    combos = [combo for combo, _label in bench.panel.worksheet.items.values()]
    assert all(combo.currentIndex == 0 for combo in combos)  # nothing is chosen for the reader
    assert ui.sheetTotalLabel.text == ""
    for combo in combos:
        combo.setCurrentIndex(1)
        combo._cpp.activated.emit(1)
    assert "No sum" in ui.sheetTotalLabel.text
    ui.sheetReaderEdit.text = "AB"
    ui.sheetReaderEdit._cpp.editingFinished.emit()
    assert "No sum" in ui.sheetTotalLabel.text
    ui.sheetSignedCheck.checked = True
    worst = sum(next(iter(c.values())) for c in ITEMS.values())
    assert ui.sheetTotalLabel.text == f"{worst} of 18: unstable (by AB)"
    assert dates.sheets_of(bench.board.case)["T12"].total == worst
    combos[0].setCurrentIndex(2)
    combos[0]._cpp.activated.emit(2)  # a change takes the signature back
    assert not ui.sheetSignedCheck.checked and "No sum" in ui.sheetTotalLabel.text


def test_text_on_the_clipboard(bench: PanelBench, tmp_path: Path) -> None:
    bench.expand("exportCollapsible")
    bench.click("copyTextButton")
    bench.finish(300)
    assert "nothing to report" in bench.status()
    bench.board.case.decide(["T12:1"], "accept")
    bench.click("copyTextButton")
    bench.finish(300)
    assert QApplication.clipboard().text() == (
        "T12: lytic lesion 1.7 mL, 9 % of the body; body height not measured."
    )
    template = tmp_path / "mine.txt"
    template.write_text("{% for v in vertebrae %}{{ v.level }}!{% endfor %}", encoding="utf-8")
    bench.ui.textTemplatePath.currentPath = str(template)
    bench.click("copyTextButton")
    bench.finish(300)
    assert QApplication.clipboard().text() == "T12!"
    bench.ui.textTemplatePath.currentPath = str(tmp_path / "none.txt")
    bench.click("copyTextButton")
    assert "cannot be read" in bench.status()


def test_a_case_that_goes_away_leaves_nothing(bench: PanelBench) -> None:
    bench.click("compareButton")
    slicer.mrmlScene.RemoveNode(bench.board.case.node)
    bench.finish(300)
    spin()
    assert bench.ui.followUpTable.rowCount == 0


def a_slice(path: Path, uid: str, kernel: str, agent: str | None) -> None:
    """A CT slice without pixels: what a database reads of its headers."""
    header = pydicom.Dataset()
    header.file_meta = pydicom.dataset.FileMetaDataset()
    header.file_meta.TransferSyntaxUID = pydicom.uid.ExplicitVRLittleEndian
    header.SOPClassUID, header.SOPInstanceUID = pydicom.uid.CTImageStorage, uid
    header.PatientName, header.ConvolutionKernel = "Doe^Jane", kernel
    header.SliceThickness, header.KVP = 1.5, 120
    if agent is not None:
        header.ContrastBolusAgent = agent
    header.save_as(path, enforce_file_format=True)


@pytest.mark.usefixtures("core")
def test_how_both_cts_were_made_is_told(tmp_path: Path) -> None:
    made = PanelBench(real=True)
    earlier_ct, earlier_vertebrae = add_spine(title="April")
    database = slicer.app.dicomDatabase()
    for ct, uid, kernel, agent in (
        (earlier_ct, "1.2.3", "B60f", None), (made.ct, "1.2.4", "B30f", "Ultravist"),
    ):  # fmt: skip
        ct.SetAttribute("DICOM.instanceUIDs", uid)
        assert acquisition(ct) is None  # a database that does not know the file says nothing
        a_slice(tmp_path / uid, uid, kernel, agent)
        database.files[uid] = str(tmp_path / uid)
    earlier = add_case(earlier_ct, earlier_vertebrae, {"lytic": [0.9]}, 4)
    case = add_case(made.ct, made.vertebrae, {"lytic": [0.8]}, 6)
    then, now = (one.record.provenance["scan"] for one in (earlier, case))
    assert (then["bone_kernel"], now["bone_kernel"]) == (True, False)
    # A database gives "" for an absent agent too, which must not be read as none given.
    assert (then.get("contrast"), now["contrast"]) == (None, True)
    made.board.set_case(case)
    made.expand("followUpCollapsible")
    made.click("compareButton")
    made.finish(300)
    text = made.ui.followUpLabel.text
    assert "Earlier CT: kernel B60f, 1.5 mm slices, 120 kV" in text, text
    assert "This CT: kernel B30f, contrast medium, 1.5 mm slices, 120 kV" in text
    assert "Other kernel: B60f before, B30f now; the limits are wider for it" in text
    assert "Doe" not in text
    made.close()
