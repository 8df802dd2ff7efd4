"""Export: lesions, tables and the report of the case under review."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import ctk
import slicer

from HideSeekLib.case import files as export
from HideSeekLib.case import report_message
from HideSeekLib.errors import SceneError
from HideSeekLib.i18n import _
from HideSeekLib.panel import qt_tools, tables
from HideSeekLib.run.board import Board
from HideSeekLib.worker.request import Failure

FOLDER_KEY = "HideSeek/ExportFolder"


class ExportSection:
    """Writes files one kind at a time, so that the window stays alive between them."""

    def __init__(self, ui: Any, board: Board) -> None:
        self.board = board
        self.ui = ui
        self._todo: list[Callable[[], list[Path]]] = []
        self._written: list[str] = []
        self._problems: list[str] = []
        self._reporting = False
        ui.exportFolder.filters = ctk.ctkPathLineEdit.Dirs
        ui.exportFolder.currentPath = str(slicer.app.userSettings().value(FOLDER_KEY, "") or "")
        ui.exportFolder.connect("currentPathChanged(QString)", lambda path: self.refresh())
        # A cleared field is no valid input, and only this signal says so.
        ui.exportFolder.connect("validInputChanged(bool)", lambda valid: self.refresh())
        for check in self._checks():
            check.connect("toggled(bool)", lambda on: self.refresh())
        ui.exportButton.connect("clicked()", self.start)
        self._next = qt_tools.single_shot(0, self._step)
        board.case_changed.connect(self.refresh)
        self._say("")

    def _checks(self) -> tuple[Any, ...]:
        ui = self.ui
        return (ui.exportNrrdCheck, ui.exportNiftiCheck, ui.exportTablesCheck, ui.exportReportCheck)

    def busy(self) -> bool:
        """Return whether files are being written."""
        return bool(self._todo) or self._reporting

    def refresh(self) -> None:
        """Enable the button when there is something to write and a place for it."""
        case = self.board.live_case()
        ready = case is not None and bool(self.ui.exportFolder.currentPath.strip())
        chosen = any(check.checked for check in self._checks())
        self.ui.exportButton.enabled = ready and chosen and not self.busy()

    def start(self) -> None:
        """Write the chosen files."""
        case = self.board.live_case()
        if case is None or self.busy():
            return
        if not self.ui.exportFolder.currentPath.strip():
            self._say("⚠ " + _("Choose a folder for the export first."))
            return
        folder = Path(self.ui.exportFolder.currentPath).expanduser()
        slicer.app.userSettings().setValue(FOLDER_KEY, str(folder))
        try:
            folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            self._say("⚠ " + _("The folder cannot be made: {error}").format(error=error))
            return
        ui = self.ui
        self._written, self._problems, self._todo = [], [], []
        formats = [
            name
            for check, name in ((ui.exportNrrdCheck, "seg.nrrd"), (ui.exportNiftiCheck, "nii.gz"))
            if check.checked
        ]
        for name in formats:
            self._todo.append(partial(export.export_lesions, case, folder, (name,)))
        if ui.exportTablesCheck.checked:
            self._todo.append(lambda: export.export_tables(case, folder))
            self._todo.append(lambda: export.export_case(case, folder))
        if ui.exportReportCheck.checked:
            self._todo.append(lambda: self._ask_report(case, folder))
        self._say(_("Writing …"))
        self.refresh()
        self._next.start()

    def _step(self) -> None:
        if self._todo:
            write = self._todo.pop(0)
            try:
                self._written += [str(path) for path in write()]
            except (SceneError, OSError) as error:
                self._problems.append(str(error))
            self._next.start()
        elif not self._reporting:
            self._finish()

    def _ask_report(self, case: Any, folder: Path) -> list[Path]:
        self._reporting = True
        target = folder / "report.html"

        def answered(result: dict[str, Any]) -> None:
            self._reporting = False
            try:
                page = report_message.put_title(str(result.get("html", "")), case.name)
                target.write_text(page, encoding="utf-8")
                self._written.append(str(target))
            except OSError as error:
                self._problems.append(str(error))
            self._finish()

        def failed(failure: Failure) -> None:
            self._reporting = False
            self._problems.append(_("Report: {reason}").format(reason=failure))
            self._finish()

        self.board.ask("report", report_message.report_params(case), answered, failed)
        return []

    def _finish(self) -> None:
        if self.busy():
            return
        lines = []
        if self._written:
            lines.append(
                _("Written: {names}").format(
                    names=", ".join(Path(path).name for path in self._written)
                )
            )
        lines += ["⚠ " + problem for problem in self._problems]
        self._say("\n".join(lines))
        self.refresh()

    def _say(self, text: str) -> None:
        tables.show_text(self.ui.exportMessageLabel, text)
