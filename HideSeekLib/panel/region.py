"""Score region: the Δ of what the reader draws, or of a segment of any other tool."""

from __future__ import annotations

from typing import Any

import slicer
import slicer.util

from HideSeekLib.case.drawing import new_region
from HideSeekLib.case.region import has_vertebrae
from HideSeekLib.panel import tables
from HideSeekLib.run.board import Board
from HideSeekLib.run.region import RegionScoring


class RegionSection:
    """Chooses a segment, has it scored, and puts it beside the other candidates."""

    def __init__(self, ui: Any, board: Board) -> None:
        self.board = board
        self.ui = ui
        self.scoring = RegionScoring(board)
        ui.regionSelector.connect(
            "currentNodeChanged(vtkMRMLNode*)", lambda node: board.guarded(self.refresh)
        )
        ui.scoreRegionButton.connect("clicked()", lambda: board.guarded(self.score))
        ui.drawRegionButton.connect("clicked()", lambda: board.guarded(self.draw))
        ui.regionGroup.connect("toggled(bool)", lambda on: board.guarded(self.refresh))
        board.inputs_changed.connect(self.refresh)
        board.case_changed.connect(self.refresh)
        board.job_changed.connect(lambda job: self._enable())
        self.refresh()

    def refresh(self) -> None:
        """Show the segments of the chosen segmentation."""
        node = self.ui.regionSelector.currentNode()
        entries = []
        if node is not None:
            segmentation = node.GetSegmentation()
            for index in range(segmentation.GetNumberOfSegments()):
                identifier = segmentation.GetNthSegmentID(index)
                entries.append((segmentation.GetSegment(identifier).GetName(), identifier))
        combo = self.ui.regionSegmentCombo
        tables.fill_combo(combo, entries, tables.combo_key(combo))
        self._enable()

    def draw(self) -> None:
        """Make a segment to paint in, and go to the Segment Editor with it."""
        case = self.board.live_case()
        if case is None or case.ct is None:
            return
        chosen = self.ui.regionSelector.currentNode()
        node, segment_id = new_region(case, chosen)
        if chosen is None:
            self.ui.regionSelector.setCurrentNode(node)
        self.refresh()
        tables.choose(self.ui.regionSegmentCombo, segment_id)
        slicer.util.selectModule("SegmentEditor")
        editor = getattr(slicer.modules, "SegmentEditorWidget", None)
        if editor is not None:
            editor.editor.setSegmentationNode(node)
            editor.editor.setSourceVolumeNode(case.ct)
            editor.editor.setCurrentSegmentID(segment_id)

    def score(self) -> None:
        """Send the chosen segment to the backend."""
        node = self.ui.regionSelector.currentNode()
        segment_id = tables.combo_key(self.ui.regionSegmentCombo)
        if node is not None and segment_id:
            self.scoring.score(node, segment_id, self._enable)

    def forget(self) -> None:
        """Drop what is on its way, for a closing scene or module."""
        self.scoring.forget()

    def _enable(self) -> None:
        case = self.board.live_case()
        ready = case is not None and has_vertebrae(case)
        chosen = bool(tables.combo_key(self.ui.regionSegmentCombo))
        idle = not (self.scoring.busy or self.board.analysis.busy())
        self.ui.drawRegionButton.enabled = case is not None
        self.ui.scoreRegionButton.enabled = ready and chosen and idle
