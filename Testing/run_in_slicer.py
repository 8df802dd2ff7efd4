"""The main path in a real Slicer: phantom, panel, screen, analyse, review, save, reopen, export.

    Slicer --python-script Testing/run_in_slicer.py

Needs the HideSeek module in Slicer's module paths and a Python with the backend (set on the
module's set-up page, or in the environment variable HIDESEEK_PYTHON); without one the steps that
compute are skipped, saying so. Prints one line a step, what to look at with one's own eyes, and a
JSON that can be pasted into an issue (versions and results, no paths, no patient data); the exit
code is 0 when no step failed. Slicer's test driver runs the same class as a unit test.
"""

from __future__ import annotations

import functools
import json
import os
import platform
import subprocess
import sys
import tempfile
import time
import traceback
import unittest
from collections.abc import Callable
from pathlib import Path
from typing import Any

import slicer

LOOK_AT = """
Only your eyes can prove these, in the window that is open now:
 1. The panel: every text is readable in light and dark mode, nothing is cut off at 350 px width.
 2. Screen: the vertebra table is coloured by P(malignant).
 3. A click on a row of the candidate table moves all slice views and draws a yellow line.
 4. Drag the Δ slider: red and blue areas come and go without stutter, in 3D too on release.
 5. Keys: accept, reject, reset, undo and redo on the selected rows.
 6. Fade and flicker: the healthy edit lies exactly over the CT.
 7. Pick: click a vertebra in each of the slice views.
 8. Cancel during an analysis: it stops within 2 s; what was finished stays.
 9. Segment Statistics on the lesion segmentation gives the volumes of the vertebra table.
10. The Sample Data module offers the phantom, with a picture.
"""


def wait_for(condition: Callable[[], bool], seconds: float, what: str) -> float:
    """Let Slicer work until the condition holds; returns the longest pause between two events.

    Raises AssertionError when it does not hold in time.
    """
    end = time.monotonic() + seconds
    longest = 0.0
    while not condition():
        started = time.monotonic()
        if started > end:
            raise AssertionError(f"{what}: not after {seconds:.0f} s")
        slicer.app.processEvents()
        longest = max(longest, time.monotonic() - started)
        time.sleep(0.005)
    return longest


@functools.cache
def backend_is_there() -> bool:
    """Whether the Python that the panel would use has the backend."""
    from HideSeekLib.setup import sample_data

    try:
        command, environment = sample_data.backend_python()
    except ValueError:
        return False
    words = [*command, "-c", "import hideseek_backend, torch"]
    return subprocess.run(words, env=environment, capture_output=True, check=False).returncode == 0


class Panel(unittest.TestCase):
    """What needs no backend: the module opens, binds to the real widgets, and lets go."""

    def test_module(self) -> None:
        """The module's own quick test."""
        import HideSeek

        HideSeek.HideSeekTest().runTest()


class HideSeekInSlicer(unittest.TestCase):
    """The steps share one scene and run in the order of their names."""

    panel: Any = None
    case: Any = None
    folder: Path

    @classmethod
    def setUpClass(cls) -> None:
        """Open the module on an empty scene."""
        slicer.mrmlScene.Clear()
        cls.folder = Path(tempfile.mkdtemp(prefix="hideseek-"))
        # Without a main window there is no module selector; the widget is made either way.
        if slicer.util.mainWindow() is not None:
            slicer.util.selectModule("HideSeek")
        cls.panel = slicer.modules.hideseek.widgetRepresentation().self().panel
        python = os.environ.get("HIDESEEK_PYTHON")
        if python:
            from HideSeekLib.worker.settings import BackendSettings

            settings = BackendSettings.load(slicer.app.userSettings())
            settings.python = python
            settings.store(slicer.app.userSettings())
            cls.panel.board.settings = settings
            cls.panel.board.restart_backend()

    def setUp(self) -> None:
        """Skip what needs a backend where there is none."""
        if not backend_is_there():
            self.skipTest("no Python with hideseek_backend: set HIDESEEK_PYTHON")

    def test_1_sample_data(self) -> None:
        """The phantom is made on this computer and loaded."""
        from HideSeekLib.setup import sample_data

        ct, vertebrae = sample_data.load(self.folder / "phantom")
        self.assertGreater(ct.GetImageData().GetNumberOfPoints(), 0)
        self.panel.ui.ctSelector.setCurrentNode(ct)
        self.panel.ui.vertebraeSelector.setCurrentNode(vertebrae)
        slicer.app.processEvents()
        self.assertGreaterEqual(len(self.panel.board.levels()), 6)

    def test_2_screen(self) -> None:
        """Every level gets its P(malignant); the window stays alive."""
        self.panel.ui.screenButton.click()
        longest = wait_for(lambda: self._rows("screen") > 0, 120, "screening")
        print(f"  longest pause of the window while screening: {1000 * longest:.0f} ms")

    def test_3_analyse(self) -> None:
        """What is suspicious is analysed; candidates arrive in the scene."""
        self.panel.ui.analyseButton.click()
        longest = wait_for(lambda: self._rows("candidates") > 0, 600, "analysis")
        wait_for(lambda: not self.panel.board.analysis.busy(), 600, "end of the analysis")
        print(f"  longest pause of the window while analysing: {1000 * longest:.0f} ms")
        type(self).case = self._newest()
        self.assertIsNotNone(self.case.lesions)

    def test_4_review(self) -> None:
        """Decisions change segments and volumes, and can be taken back."""
        from HideSeekLib.case import views

        key = self.case.rows()[0].key
        views.show_candidate(self.case, key)
        before = [row.kept for row in self.case.rows()]
        self.case.decide([key], "reject" if before[0] else "accept", "run_in_slicer")
        self.assertNotEqual([row.kept for row in self.case.rows()], before)
        report = self.case.undo()
        self.assertEqual([row.kept for row in self.case.rows()], before)
        self.assertLess(report.seconds, 0.1)

    def test_5_save_and_reopen(self) -> None:
        """The review goes on after the scene was closed and opened again."""
        key = self.case.rows()[0].key
        self.case.decide([key], "accept", "saved")
        kept = [row.kept for row in self.case.rows()]
        path = self.folder / "case.mrb"
        self.assertTrue(slicer.util.saveScene(str(path)))
        slicer.mrmlScene.Clear()
        self.assertTrue(slicer.util.loadScene(str(path)))
        type(self).case = self._newest()
        self.assertEqual([row.kept for row in self.case.rows()], kept)
        self.assertEqual(self.case.review.decision(key).reason, "saved")
        self.assertEqual(self.case.undo().edited_by_hand, ())

    def test_6_segment_statistics(self) -> None:
        """Slicer's own statistics give the volumes that our table gives."""
        import SegmentStatistics

        logic = SegmentStatistics.SegmentStatisticsLogic()
        logic.getParameterNode().SetParameter("Segmentation", self.case.lesions.GetID())
        logic.computeStatistics()
        volume = "LabelmapSegmentStatisticsPlugin.volume_mm3"
        statistics = logic.getStatistics()
        grid = self.case.record.grid
        for segment_id in statistics["SegmentIDs"]:
            _prefix, level, polarity = segment_id.split("_")
            voxels = sum(
                len(self.case.voxels(row.key))
                for row in self.case.rows()
                if row.kept and (row.vertebra, row.polarity) == (level, polarity)
            )
            found = statistics.get((segment_id, volume), 0.0)
            self.assertAlmostEqual(found, voxels * grid.voxel_volume_mm3, delta=0.01 * found + 1)

    def test_7_export(self) -> None:
        """Files are written where they were asked for."""
        from HideSeekLib.case import files as export

        files = export.export_lesions(self.case, self.folder / "out")
        files += export.export_tables(self.case, self.folder / "out")
        self.assertTrue(all(path.stat().st_size > 0 for path in files))
        print("  " + ", ".join(str(path) for path in files))

    def _newest(self) -> Any:
        from HideSeekLib.case import case as scene

        cases = scene.cases_in_scene()
        self.assertTrue(cases, "no case is in the scene")
        return cases[-1]

    def _rows(self, what: str) -> int:
        from HideSeekLib.case import case as scene

        cases = scene.cases_in_scene()
        if not cases:
            return 0
        return len(cases[-1].rows() if what == "candidates" else cases[-1].vertebra_rows())


def summary(result: unittest.TestResult) -> dict[str, Any]:
    """Versions and results, without paths."""

    def first_line(trace: str) -> str:
        return trace.strip().splitlines()[-1]

    return {
        "slicer": slicer.app.applicationVersion,
        "python": platform.python_version(),
        "system": f"{platform.system()} {platform.machine()}",
        "window": slicer.util.mainWindow() is not None,
        "run": result.testsRun,
        "skipped": {str(test.id()).rpartition(".")[2]: why for test, why in result.skipped},
        "failed": {
            str(test.id()).rpartition(".")[2]: first_line(trace)
            for test, trace in [*result.failures, *result.errors]
        },
    }


def main() -> int:
    """Run the steps in this Slicer and say what is left to look at."""
    load = unittest.defaultTestLoader.loadTestsFromTestCase
    suite = unittest.TestSuite([load(Panel), load(HideSeekInSlicer)])
    result = unittest.TextTestRunner(stream=sys.stdout, verbosity=2).run(suite)
    print(LOOK_AT)
    print("For an issue:")
    print(json.dumps(summary(result), indent=1))
    return 0 if result.wasSuccessful() else 1


if __name__ == "__main__":
    try:
        code = main()
    except Exception:
        traceback.print_exc()
        code = 1
    # With a window the picture stays for the eyes; without one, Slicer ends with the code.
    if slicer.app.commandOptions().noMainWindow:
        slicer.util.exit(code)
