"""Has regions that the reader drew scored, and puts them beside the other candidates."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from HideSeekLib.case.case import Case
from HideSeekLib.case.region import Region, region_of
from HideSeekLib.errors import InputError
from HideSeekLib.i18n import _
from HideSeekLib.run import words
from HideSeekLib.run.board import Board
from HideSeekLib.wire.records import Candidate
from HideSeekLib.worker.request import Failure


class RegionScoring:
    """Scores one region at a time. busy: one is under way."""

    def __init__(self, board: Board) -> None:
        self.board = board
        self.busy = False
        self._asked = 0  # answers of a case that is gone are dropped

    def score(
        self,
        segmentation_node: Any,
        segment_id: str,
        on_change: Callable[[], None],
        on_scored: Callable[[Candidate], None] | None = None,
    ) -> None:
        """Send a segment to the backend; what comes of it is said to the reader.

        on_change(): `busy` changed. on_scored(candidate): it is in the case now.
        Raises InputError without a case, or for a segment without voxels or in no vertebra.
        """
        case = self.board.live_case()
        if case is None:
            raise InputError(
                _("Screen or analyse first: the region is scored beside what is known.")
            )
        if self.busy:
            raise InputError(_("A region is being scored. Wait for it."))
        region = region_of(case, segmentation_node, segment_id)
        self._asked += 1
        asked = self._asked
        self.busy = True
        on_change()
        self.board.say(_("Scoring the region in {level} …").format(level=region.level))

        def scored(result: dict[str, Any]) -> None:
            if asked == self._asked:
                self.busy = False
                self.board.guarded(lambda: self._scored(case, region, result, on_scored))
                on_change()

        def failed(failure: Failure) -> None:
            if asked == self._asked:
                self.busy = False
                self.board.say("⚠ " + str(failure))
                on_change()

        params = {**region.params, "options": self.board.run_options()}
        self.board.ask("score", params, scored, failed)

    def forget(self) -> None:
        """Drop what is on its way, for another case or a closing scene."""
        self._asked += 1
        self.busy = False

    def _scored(
        self,
        case: Case,
        region: Region,
        result: dict[str, Any],
        on_scored: Callable[[Candidate], None] | None,
    ) -> None:
        candidate = case.add_region(result.get("candidate") or {}, region.voxels)
        if case is not self.board.case:
            self.board.set_case(case)
        else:
            self.board.case_changed.emit()
        self.board.say(
            " · ".join([words.about_region(candidate), *map(str, result.get("warnings") or ())])
        )
        if on_scored is not None:
            on_scored(candidate)
