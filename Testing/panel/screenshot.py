"""Draw the panel into build/, light and dark, with whatever CT and worker it is given.

`python Testing/panel/screenshot.py` uses the scripted worker of the fault tests, so its numbers are
made up; with `--ct` and `--vertebrae` it loads those files and uses the real backend and model.
"""

from __future__ import annotations

import argparse
import tempfile
from pathlib import Path
from typing import Any

from conftest import ROOT  # sets the path and the stand-ins up
from harness import PanelBench, add_spine, spin, wait
from PySide6.QtGui import QColor, QPalette
from PySide6.QtWidgets import QApplication
from slicer_core_app import CoreApp
from standins import slicer_modules

SPINE = ("T8", "T9", "T10", "T11", "T12", "L1", "L2", "L3", "L4", "L5")
WIDTH = 460


def dark_palette() -> QPalette:
    """Return a dark palette like that of Slicer's Dark style."""
    palette = QPalette()
    roles = QPalette.ColorRole
    for role, colour in (
        (roles.Window, "#2d2d2f"),
        (roles.WindowText, "#e6e6e6"),
        (roles.Base, "#1e1e20"),
        (roles.AlternateBase, "#272729"),
        (roles.Text, "#e6e6e6"),
        (roles.Button, "#3a3a3d"),
        (roles.ButtonText, "#e6e6e6"),
        (roles.Highlight, "#2f6fb5"),
        (roles.ToolTipBase, "#3a3a3d"),
        (roles.ToolTipText, "#e6e6e6"),
        (roles.HighlightedText, "#ffffff"),
        (roles.PlaceholderText, "#909094"),
        (roles.Link, "#6fb1ff"),
    ):
        palette.setColor(role, QColor(colour))
    for role in (roles.Text, roles.WindowText, roles.ButtonText):
        palette.setColor(QPalette.ColorGroup.Disabled, role, QColor("#7d7d82"))
    return palette


def draw(bench: PanelBench, path: Path) -> None:
    """Save the whole panel as it is."""
    widget = bench.panel.widget._cpp
    widget.resize(WIDTH, 400)
    spin(0.1)
    needed = widget.layout().totalHeightForWidth(WIDTH)  # labels wrap, so the width decides
    widget.resize(WIDTH, max(400, needed + 10))
    spin(0.2)
    path.parent.mkdir(parents=True, exist_ok=True)
    if not widget.grab().save(str(path)):
        raise OSError(f"{path} could not be written")


def take(out: Path, name: str, ct: Path | None, vertebrae: Path | None) -> None:
    """Run screening and analysis, decide a little, and draw the panel's states."""
    app = CoreApp()
    with tempfile.TemporaryDirectory() as folder:
        slicer_modules.install(app, str(Path(folder) / "settings.ini"))
        bench = PanelBench("many", real=ct is not None)
        load(bench, ct, vertebrae)
        bench.click("screenButton")
        bench.finish(600)
        draw(bench, out / f"{name}-screened.png")
        bench.click("analyseButton")
        wait(lambda: bench.board.analysis.job and bench.board.analysis.job.finished, 600)
        draw(bench, out / f"{name}-running.png")
        bench.finish(1800)
        decide(bench)
        draw(bench, out / f"{name}.png")
        for section in ("inputsCollapsible", "analysisCollapsible", "reviewCollapsible"):
            getattr(bench.ui, section).collapsed = True
        bench.expand("settingsCollapsible", "exportCollapsible")
        bench.click("checkEnvironmentButton")
        wait(lambda: bench.ui.checkEnvironmentButton.enabled, 120)
        draw(bench, out / f"{name}-environment.png")
        bench.close()
    app.close()


def load(bench: PanelBench, ct: Path | None, vertebrae: Path | None) -> None:
    """Put the CT and its segmentation into the scene."""
    import slicer

    if ct is None or vertebrae is None:
        volume, segmentation = add_spine(SPINE, "Phantom CT")
    else:
        from make_demo_scene import load_volume, vertebra_segmentation

        scene = slicer.mrmlScene
        volume = load_volume(scene, ct, "Phantom CT")
        labels = load_volume(scene, vertebrae, "labels", label_map=True)
        segmentation = vertebra_segmentation(scene, labels, volume, "verse", "Vertebrae")
    bench.ui.ctSelector.setCurrentNode(volume)
    bench.ui.vertebraeSelector.setCurrentNode(segmentation)
    spin()


def decide(bench: PanelBench) -> None:
    """Accept the first candidate, reject the second with a reason, select the third."""
    table: Any = bench.ui.candidatesTable
    for row, verdict in ((0, "accept"), (1, "reject")):
        if row < table.rowCount:
            table.selectRow(row)
            bench.panel.review.decide(verdict)
    if table.rowCount > 1:
        table.selectRow(1)
        bench.ui.reasonEdit.text = "Schmorl node"
        bench.panel.review._set_reason()
    table.selectRow(min(2, table.rowCount - 1))
    spin(0.2)


def main() -> None:
    """Draw light and dark."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, default=ROOT / "build" / "panel")
    parser.add_argument("--ct", type=Path)
    parser.add_argument("--vertebrae", type=Path)
    arguments = parser.parse_args()
    application = QApplication.instance() or QApplication([])
    application.setStyle("Fusion")
    light = application.palette()
    for name, palette in (("panel", light), ("panel-dark", dark_palette())):
        application.setPalette(palette)
        take(arguments.out, name, arguments.ct, arguments.vertebrae)


if __name__ == "__main__":
    main()
