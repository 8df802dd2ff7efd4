"""Score region: the Δ of what the reader draws, or of a segment of any other tool."""

from __future__ import annotations

from typing import Any

import slicer
import slicer.util

from HideSeekLib.case.case import Case
from HideSeekLib.case.region import Region, has_vertebrae, region_of
from HideSeekLib.i18n import _
from HideSeekLib.panel import tables
from HideSeekLib.run import words
from HideSeekLib.run.board import Board
from HideSeekLib.worker.request import Failure


class RegionSection:
    """Chooses a segment, has it scored, and puts it beside the other candidates."""

    def __init__(self, ui: Any, board: Board) -> None:
        self.board = board
        self.ui = ui
        self._asked = 0  # answers of a case that is gone are dropped
        self._scoring = False
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
        node = self.ui.regionSelector.currentNode()
        if node is None:
            name = _("{case} regions").format(case=case.name)
            node = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLSegmentationNode", name)
            node.CreateDefaultDisplayNodes()
            node.SetReferenceImageGeometryParameterFromVolumeNode(case.ct)
            node.SetAndObserveTransformNodeID(case.ct.GetTransformNodeID())
            self.ui.regionSelector.setCurrentNode(node)
        segment_id = node.GetSegmentation().AddEmptySegment("", _("Region"))
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
        case = self.board.live_case()
        node = self.ui.regionSelector.currentNode()
        segment_id = tables.combo_key(self.ui.regionSegmentCombo)
        if case is None or node is None or not segment_id or self._scoring:
            return
        region = region_of(case, node, segment_id)
        options = {"protocol": self.board.parameters.protocol.value}
        self._asked += 1
        asked = self._asked
        self._scoring = True
        self._enable()
        self.board.say(_("Scoring the region in {level} …").format(level=region.level))

        def scored(result: dict[str, Any]) -> None:
            if asked == self._asked:
                self._scoring = False
                self.board.guarded(lambda: self._scored(case, region, result))
                self._enable()

        def failed(failure: Failure) -> None:
            if asked == self._asked:
                self._scoring = False
                self.board.say("⚠ " + str(failure))
                self._enable()

        self.board.ask("score", {**region.params, "options": options}, scored, failed)

    def forget(self) -> None:
        """Drop what is on its way, for a closing scene or module."""
        self._asked += 1
        self._scoring = False

    def _scored(self, case: Case, region: Region, result: dict[str, Any]) -> None:
        candidate = case.add_region(result.get("candidate") or {}, region.voxels)
        if case is not self.board.case:
            self.board.set_case(case)
        else:
            self.board.case_changed.emit()
        self.board.say(
            " · ".join([words.about_region(candidate), *map(str, result.get("warnings") or ())])
        )

    def _enable(self) -> None:
        case = self.board.live_case()
        ready = case is not None and has_vertebrae(case)
        chosen = bool(tables.combo_key(self.ui.regionSegmentCombo))
        idle = not (self._scoring or self.board.analysis.busy())
        self.ui.drawRegionButton.enabled = case is not None
        self.ui.scoreRegionButton.enabled = ready and chosen and idle
