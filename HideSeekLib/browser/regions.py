"""Regions of the reader in the browser: drawn with a ball, or segments of a file. Knows no page."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from HideSeekLib.browser import sources
from HideSeekLib.case.drawing import draw_ball, new_region
from HideSeekLib.case.nodes import OURS_ATTRIBUTE
from HideSeekLib.case.region import clicked_bodies
from HideSeekLib.case.views import HIGHLIGHT_NAME
from HideSeekLib.errors import InputError
from HideSeekLib.i18n import _
from HideSeekLib.run.board import Board
from HideSeekLib.run.region import RegionScoring

DEFAULT_RADIUS_MM = 4.0


class Regions:
    """What is drawn, and which segment is scored.

    app: an `application.Application`. on_change(): what the page shows of it is out of date.
    chosen: "node id/segment id", "" for none. drawing, erasing: what the left button does in a
    slice view. drawn_mm3: volume of the segment that was drawn in last.
    """

    def __init__(self, app: Any, board: Board, on_change: Callable[[], None]) -> None:
        self.app, self.board, self.on_change = app, board, on_change
        self.scoring = RegionScoring(board)
        self.radius_mm = DEFAULT_RADIUS_MM
        self.drawing = self.erasing = False
        self.chosen = ""
        self.drawn_mm3 = 0.0

    def choices(self) -> list[dict[str, str]]:
        """Segments that can be scored: all but vertebrae, bodies and what the case made."""
        found = []
        taken = [self.board.parameters.vertebrae, self.board.parameters.bodies]
        case = self.board.live_case()
        taken += clicked_bodies(case) if case is not None else []
        scene = self.app.scene
        for index in range(scene.GetNumberOfNodesByClass("vtkMRMLSegmentationNode")):
            node = scene.GetNthNodeByClass(index, "vtkMRMLSegmentationNode")
            ours = node.GetAttribute(OURS_ATTRIBUTE) or node.GetName() == HIGHLIGHT_NAME
            if ours or any(node is other for other in taken):
                continue
            segmentation = node.GetSegmentation()
            for segment_id in segmentation.GetSegmentIDs():
                name = segmentation.GetSegment(segment_id).GetName()
                value = f"{node.GetID()}/{segment_id}"
                found.append({"title": f"{name} ({node.GetName()})", "value": value})
        return found

    def choose(self, value: str) -> None:
        """Choose a segment to score, or to draw on in."""
        self.chosen = value if value in {c["value"] for c in self.choices()} else ""
        self.drawn_mm3 = 0.0
        self.on_change()

    def draw(self, on: bool) -> None:
        """Let the left button draw, in a segment of its own where none of ours is chosen."""
        if on:
            self._target()
            self.board.say(
                _("Draw in the slice views: each place is a ball. Then Score. Esc leaves.")
            )
        self.drawing = on
        self.on_change()

    def new(self) -> None:
        """Begin another region."""
        node, segment_id = new_region(self._case())
        self.chosen, self.drawn_mm3 = f"{node.GetID()}/{segment_id}", 0.0
        self.draw(True)

    def at(self, ras_world: tuple[float, float, float]) -> None:
        """Put a ball at a place in world RAS (mm), or take one away there."""
        case = self._case()
        node, segment_id = self._target()
        voxels = draw_ball(case, node, segment_id, ras_world, self.radius_mm, erase=self.erasing)
        self.drawn_mm3 = voxels * case.record.grid.voxel_volume_mm3
        self.on_change()

    def load(self, path: Path) -> None:
        """Put the segments of a file beside the case, to be scored one by one.

        Raises InputError when it cannot be read.
        """
        node = sources.load_vertebrae(self.app, path, self._case().ct)
        segments = node.GetSegmentation()
        if not segments.GetNumberOfSegments():
            self.app.scene.RemoveNode(node)
            raise InputError(_("'{name}' has no segment.").format(name=path.name))
        self.chosen = f"{node.GetID()}/{segments.GetNthSegmentID(0)}"
        self.board.say(
            _("{n} segments of '{name}'. Choose one and score it.").format(
                n=segments.GetNumberOfSegments(), name=path.name
            )
        )
        self.on_change()

    def score(self, on_scored: Callable[[Any], None]) -> None:
        """Have the chosen segment scored. on_scored(candidate): it is in the case now."""
        if not self.chosen:
            raise InputError(_("Draw a region first, or choose a segment."))
        self.draw(False)
        node, segment_id = self._node_of(self.chosen)
        self.scoring.score(node, segment_id, self.on_change, on_scored)

    def forget(self) -> None:
        """Let go of everything, for another case."""
        self.scoring.forget()
        self.drawing = self.erasing = False
        self.chosen = ""

    def _case(self) -> Any:
        case = self.board.live_case()
        if case is None:
            raise InputError(
                _("Screen or analyse first: the region is scored beside what is known.")
            )
        return case

    def _node_of(self, value: str) -> tuple[Any, str]:
        node_id, _slash, segment_id = value.partition("/")
        node = self.app.scene.GetNodeByID(node_id)
        if node is None or node.GetSegmentation().GetSegment(segment_id) is None:
            raise InputError(_("The chosen segment is no longer there."))
        return node, segment_id

    def _target(self) -> tuple[Any, str]:
        """Segment that is drawn in: the chosen one, or a new one."""
        case = self._case()
        if self.chosen not in {c["value"] for c in self.choices()}:
            node, segment_id = new_region(case)
            self.chosen = f"{node.GetID()}/{segment_id}"
        return self._node_of(self.chosen)
