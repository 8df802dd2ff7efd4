"""The reviewed case as DICOM objects for its study; the worker writes them. Knows no page."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from HideSeekLib.case.dicom_study import FOLDER, odd_levels
from HideSeekLib.case.stored_case import stored_case
from HideSeekLib.errors import InputError
from HideSeekLib.i18n import _
from HideSeekLib.run import words
from HideSeekLib.run.board import Board
from HideSeekLib.worker.request import Failure, percent


class DicomExport:
    """Writes segmentation, report and key images for the study that a CT is from.

    out: folder of the exports. on_change(): what the page shows of it is out of date. odd: what is
    odd about the levels, a sentence each. progress: 0 to 100. written: the files of the last one.
    """

    def __init__(self, board: Board, out: Path, on_change: Callable[[], None]) -> None:
        self.board, self.folder, self.on_change = board, out / FOLDER, on_change
        self.busy, self.progress = False, 0
        self.odd: tuple[str, ...] = ()
        self.written: list[Path] = []
        self._request = ""
        self._asked = 0  # answers to what was given up are dropped

    def look(self) -> None:
        """Look at the levels of the case, before anything is written."""
        case = self.board.live_case()
        self.odd = odd_levels(case) if case is not None else ()
        self.on_change()

    def start(self, study: str, reader: str, levels_checked: bool) -> None:
        """Have the objects written. study: folder, zip or DICOMDIR on this computer.

        Raises InputError where something is missing.
        """
        case = self.board.live_case()
        if case is None:
            raise InputError(_("Nothing was analysed yet."))
        if self.busy:
            raise InputError(_("DICOM objects are being written. Wait for them, or cancel."))
        if not study.strip():
            raise InputError(words.no_study())
        self.look()
        if self.odd and not levels_checked:
            raise InputError(words.about_levels(self.odd))
        wanted = {
            "study": str(Path(study.strip()).expanduser()),
            "out": str(self.folder),
            "reader": reader.strip(),
            "levels_checked": levels_checked,
            "overwrite": True,
        }
        self._asked += 1
        asked = self._asked
        self.busy, self.progress = True, 0

        def written(result: dict[str, Any]) -> None:
            if asked == self._asked:
                self.written = [self.folder / Path(str(f)).name for f in result.get("files") or ()]
                self._end(words.about_dicom(result, str(self.folder)))

        def failed(failure: Failure) -> None:
            if asked == self._asked:
                self._end(words.about_failed_export(failure))

        def progressed(message: dict[str, Any]) -> None:
            done = percent(message)
            if asked == self._asked and done is not None:
                self.progress = done
                self.on_change()

        self.board.say(_("Writing …"))
        params = {**stored_case(case), **wanted}
        self._request = self.board.ask("dicom_export", params, written, failed, progressed)
        self.on_change()

    def cancel(self) -> None:
        """Give up; what was in the folder before is still there."""
        if self._request:
            self.board.analysis.client.cancel(self._request)

    def forget(self) -> None:
        """Drop what is on its way, for another case."""
        self._asked += 1
        self.cancel()
        self.busy, self._request, self.written, self.odd = False, "", [], ()

    def _end(self, text: str) -> None:
        self.busy, self._request = False, ""
        self.board.say(text)
        self.on_change()
