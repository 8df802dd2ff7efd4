"""The reviewed case as DICOM objects for its study. Knows no page."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from HideSeekLib.case.dicom_study import FOLDER, odd_levels
from HideSeekLib.errors import InputError
from HideSeekLib.run import words
from HideSeekLib.run.board import Board
from HideSeekLib.run.dicom import DicomWriting


class DicomExport:
    """Writes segmentation, report and key images for the study that a CT is from.

    out: folder of the exports. on_change(): what the page shows of it is out of date. odd: what is
    odd about the levels, a sentence each.
    """

    def __init__(self, board: Board, out: Path, on_change: Callable[[], None]) -> None:
        self.board, self.folder, self.on_change = board, out / FOLDER, on_change
        self.odd: tuple[str, ...] = ()
        self.writing = DicomWriting(board, on_change, board.say)

    def look(self) -> None:
        """Look at the levels of the case, before anything is written."""
        case = self.board.live_case()
        self.odd = odd_levels(case) if case is not None else ()
        self.on_change()

    def start(self, study: str, reader: str, levels_checked: bool) -> None:
        """Have the objects written. study: folder, zip or DICOMDIR on this computer.

        Raises InputError where something is missing.
        """
        if not study.strip():
            raise InputError(words.no_study())
        self.look()
        if self.odd and not levels_checked:
            raise InputError(words.about_levels(self.odd))
        self.writing.start(
            {
                "study": str(Path(study.strip()).expanduser()),
                "out": str(self.folder),
                "reader": reader.strip(),
                "levels_checked": levels_checked,
                "overwrite": True,
            }
        )
        while self.writing.step():
            pass

    def forget(self) -> None:
        """Drop what is on its way, for another case."""
        self.writing.forget()
        self.odd = ()
