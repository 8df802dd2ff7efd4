"""Has the reviewed case written as DICOM objects for its study; the worker does it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from HideSeekLib.case.case import Case
from HideSeekLib.case.stored_case import stored_case, vertebra_messages
from HideSeekLib.errors import InputError, SceneError
from HideSeekLib.i18n import _
from HideSeekLib.run import words
from HideSeekLib.run.board import Board
from HideSeekLib.worker.request import Failure, percent


class DicomWriting:
    """Writes one export at a time, beside a running analysis; nothing is sent anywhere.

    busy: one is under way. progress: 0 to 100. written: the files of the last one.
    on_change(): one of these changed. say(text): what the reader is told.
    """

    def __init__(
        self, board: Board, on_change: Callable[[], None], say: Callable[[str], None]
    ) -> None:
        self.board, self._on_change, self._say = board, on_change, say
        self.busy, self.progress = False, 0
        self.written: list[Path] = []
        self._case: Case | None = None
        self._steps: Iterator[dict[str, Any]] = iter(())
        self._vertebrae: list[dict[str, Any]] = []
        self._wanted: dict[str, Any] = {}
        self._request = ""
        self._asked = 0  # answers to what was given up are dropped

    def start(self, wanted: dict[str, Any]) -> None:
        """Begin with the case under review; `step` goes on.

        wanted: parameters of the worker's `dicom_export` beside the case.
        Raises InputError without a case, or while another is being written.
        """
        case = self.board.live_case()
        if case is None:
            raise InputError(_("Nothing was analysed yet."))
        if self.busy:
            raise InputError(_("DICOM objects are being written. Wait for them, or cancel."))
        self._case, self._steps, self._vertebrae = case, vertebra_messages(case), []
        self._wanted = dict(wanted)
        self._asked += 1
        self.busy, self.progress = True, 0
        self._say(_("Gathering the case …"))
        self._on_change()

    def step(self) -> bool:
        """Gather one vertebra, or send what was gathered; returns whether there is more to do."""
        if self._case is None:
            return False
        try:
            vertebra = next(self._steps, None)
            if vertebra is not None:
                self._vertebrae.append(vertebra)
                return True
            params = {**stored_case(self._case, self._vertebrae), **self._wanted}
        except SceneError as error:
            self._end("⚠ " + str(error))
            return False
        self._case, self._vertebrae = None, []
        self._send(params)
        return False

    def cancel(self) -> None:
        """Give up; what was in the folder before is still there."""
        if self._request:
            self.board.analysis.client.cancel(self._request)
        elif self.busy:
            self._asked += 1
            self._end(_("Cancelled."))

    def forget(self) -> None:
        """Drop what is on its way, for another case or a closing scene."""
        self._asked += 1
        if self._request:
            self.board.analysis.client.cancel(self._request)
        self.written = []
        self._end("")

    def _send(self, params: dict[str, Any]) -> None:
        asked, folder = self._asked, str(self._wanted["out"])

        def written(result: dict[str, Any]) -> None:
            if asked == self._asked:
                names = [Path(str(name)).name for name in result.get("files") or ()]
                self.written = [Path(folder) / name for name in names]
                self._end(words.about_dicom(result, folder))

        def failed(failure: Failure) -> None:
            if asked == self._asked:
                self._end(words.about_failed_export(failure))

        def progressed(message: dict[str, Any]) -> None:
            done = percent(message)
            if asked == self._asked and done is not None:
                self.progress = done
                self._on_change()

        self._say(_("Writing …"))
        self._request = self.board.ask("dicom_export", params, written, failed, progressed)

    def _end(self, text: str) -> None:
        self.busy, self._request, self._case, self._vertebrae = False, "", None, []
        if text:
            self._say(text)
        self._on_change()
