"""Draw the panel's sections about dates from two results of `hideseek segment --slices all`.

    python Testing/panel/date_pictures.py --earlier SCAN RESULT --current SCAN RESULT

SCAN: folder with ct.nii.gz and bodies.nii.gz (VerSe's values); the answers are the real worker's.
"""

from __future__ import annotations

import argparse
import gzip
import json
import tempfile
from pathlib import Path
from typing import Any

from conftest import ROOT  # sets the path and the stand-ins up
from harness import PanelBench, spin
from make_demo_scene import load_volume, vertebra_segmentation
from PySide6.QtWidgets import QApplication
from screenshot import draw
from slicer_core_app import CoreApp
from standins import slicer_modules

from hideseek_lab.readers.plan import make_plan
from HideSeekLib.case import case as scene_case
from HideSeekLib.wire import worklist

SECTIONS = ("inputs", "analysis", "review", "export", "settings", "followUp", "worksheet",
            "worklist")  # fmt: skip


def add_case(scene: Any, scan: Path, result: Path, name: str) -> Any:
    """Load a scan and put a stored result beside it, as if it had just been analysed."""
    ct = load_volume(scene, scan / "ct.nii.gz", name)
    labels = load_volume(scene, scan / "bodies.nii.gz", "labels", label_map=True)
    vertebrae = vertebra_segmentation(scene, labels, ct, "verse", f"{name} vertebrae")
    with gzip.open(result / "case.json.gz") as stream:
        stored = json.loads(stream.read())
    case = scene_case.begin_run(
        ct, vertebrae, model=stored["provenance"]["model"], options=stored["options"],
        body_node=vertebrae,
    )  # fmt: skip
    for message in stored["vertebrae"]:
        if message["analysed"]:
            case = case.add_vertebra(message)
    return case


def main() -> None:
    """Draw follow-up and worksheet."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    for name in ("--earlier", "--current"):
        parser.add_argument(name, nargs=2, type=Path, metavar=("SCAN", "RESULT"), required=True)
    parser.add_argument("--level", default="T11", help="of the worksheet")
    parser.add_argument("--out", type=Path, default=ROOT / "build" / "panel")
    arguments = parser.parse_args()
    application = QApplication.instance() or QApplication([])
    application.setStyle("Fusion")
    app = CoreApp()
    with tempfile.TemporaryDirectory() as folder:
        slicer_modules.install(app, str(Path(folder) / "settings.ini"))
        bench = PanelBench(real=True)
        for node in (bench.ct, bench.vertebrae):
            app.scene.RemoveNode(node)
        add_case(app.scene, *arguments.earlier, "2026-04-02")
        bench.board.set_case(add_case(app.scene, *arguments.current, "2026-10-01"))
        show(bench, "followUp")
        bench.ui.sameProtocolCheck.checked = True  # both phantoms are scanned alike
        bench.click("compareButton")
        bench.finish(300)
        bench.ui.followUpTable.selectRow(0)
        draw(bench, arguments.out / "10-follow-up-panel.png")
        show(bench, "worksheet")
        combo = bench.ui.sheetLevelCombo
        combo.setCurrentIndex(combo.findText(arguments.level))
        bench.click("suggestButton")
        bench.finish(300)
        draw(bench, arguments.out / "11-worksheet-panel.png")
        worklist_of(arguments, Path(folder) / "cases")
        bench.ui.worklistFolder.currentPath = str(Path(folder) / "cases")
        bench.ui.worklistReaderEdit.text = "AB"
        bench.panel.worklist.refresh()
        show(bench, "worklist")
        draw(bench, arguments.out / "12-worklist-panel.png")
        bench.close()
    app.close()


def worklist_of(arguments: argparse.Namespace, folder: Path) -> None:
    """Both scans as a worklist with a plan, the first reading done."""
    for name in ("earlier", "current"):
        scan, result = getattr(arguments, name)
        (folder / name).mkdir(parents=True)
        for file in ("ct.nii.gz", "bodies.nii.gz"):
            (folder / name / file).symlink_to(scan.resolve() / file)
        (folder / name / "result").symlink_to(result.resolve())
    plan = make_plan(["current", "earlier"], ["AB", "CD"], 7)
    (folder / worklist.PLAN).write_text(json.dumps(plan), encoding="utf-8")
    case, arm = plan["readers"]["AB"][0]
    worklist.store_reading(folder, worklist.Reading("AB", case, arm, 96.0, True))


def show(bench: PanelBench, section: str) -> None:
    """Open one section alone."""
    for name in SECTIONS:
        getattr(bench.ui, f"{name}Collapsible").collapsed = name != section
    spin(0.2)


if __name__ == "__main__":
    main()
