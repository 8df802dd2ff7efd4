"""Worklist: the next case by one key, findings and time of a reader, blinded by plan."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import ctk
import slicer
import slicer.util

from HideSeekLib.errors import InputError
from HideSeekLib.i18n import _
from HideSeekLib.panel import tables
from HideSeekLib.run.board import Board
from HideSeekLib.run.reading import Readings, about_task, task_cells
from HideSeekLib.wire.worklist import Task, next_task

FOLDER_KEY, READER_KEY = "HideSeek/WorklistFolder", "HideSeek/WorklistReader"


class WorklistSection:
    """Opens the cases of a folder one after the other, and keeps what the reader says of each."""

    def __init__(self, ui: Any, board: Board) -> None:
        self.board = board
        self.ui = ui
        self.readings = Readings(board)
        settings = slicer.app.userSettings()
        ui.worklistFolder.filters = ctk.ctkPathLineEdit.Dirs
        ui.worklistFolder.currentPath = str(settings.value(FOLDER_KEY, "") or "")
        ui.worklistReaderEdit.text = str(settings.value(READER_KEY, "") or "")
        for table, names in (
            (ui.worklistTable, ("Case", "Read", "State", "Time")),
            (ui.findingsTable, ("Level", "Finding")),
        ):
            table.setColumnCount(len(names))
            table.setHorizontalHeaderLabels([_(name) for name in names])
            tables.stretch_columns(table, len(names) // 2 - 1)
        ui.worklistFolder.connect("currentPathChanged(QString)", lambda path: self.refresh())
        ui.worklistReaderEdit.connect("editingFinished()", self.refresh)
        ui.worklistCollapsible.connect("contentsCollapsed(bool)", lambda shut: self.refresh())
        ui.nextCaseButton.connect("clicked()", lambda: board.guarded(self.open_next))
        ui.doneCaseButton.connect("clicked()", lambda: board.guarded(self.done))
        ui.findingsTable.connect("cellClicked(int,int)", lambda row, column: self._cycle(row))
        board.inputs_changed.connect(self._show_findings)
        board.case_changed.connect(self._show_findings)
        board.review_changed.connect(self._show_findings)
        self.refresh()

    def refresh(self) -> None:
        """Show the list, or why there is none."""
        table = self.ui.worklistTable
        todo: list[Task] = []
        text = ""
        if self._chosen():
            try:
                todo = self.readings.todo()
                text = _("{done} of {n} done.").format(
                    done=sum(task.state == "done" for task in todo), n=len(todo)
                )
            except InputError as error:
                text = "⚠ " + str(error)
        table.setRowCount(len(todo))
        for row, task in enumerate(todo):
            for column, shown in enumerate(task_cells(task)):
                table.setItem(row, column, tables.cell(shown, right=column == 3))
        tables.fit_columns(table, 1)
        tables.show_text(self.ui.worklistLabel, text)
        self.ui.nextCaseButton.enabled = next_task(todo) is not None
        self._show_findings()

    def open_next(self) -> None:
        """Keep the open case as it is and open the next one that is not done.

        Raises InputError where a scene is open that is not the worklist's, or files are missing.
        """
        readings = self.readings
        images = slicer.mrmlScene.GetNumberOfNodesByClass("vtkMRMLScalarVolumeNode")
        if readings.task is None and images:
            raise InputError(_("Save and close the scene first: the next case needs an empty one."))
        if not self._chosen():
            return
        task = readings.open_next(self._open)
        if task is None:
            return
        settings = slicer.app.userSettings()
        settings.setValue(FOLDER_KEY, str(readings.folder))
        settings.setValue(READER_KEY, readings.reader)
        self._blind(readings.blind)
        self.board.match_inputs()
        self.refresh()
        self.board.say(about_task(task))

    def done(self) -> None:
        """Keep findings and time as final, and the scene beside them."""
        path = self.readings.done()
        if path is None:
            return
        slicer.util.saveScene(str(path.with_suffix(".mrb")))
        slicer.mrmlScene.Clear(0)
        self._blind(False)
        self.refresh()

    def forget(self) -> None:
        """The scene closes: what was said so far is kept."""
        if not self.board.closing:
            self.board.guarded(lambda: self.readings.keep(done=False))

    def _chosen(self) -> bool:
        """Take the folder and the reader; returns whether both are given."""
        path = str(self.ui.worklistFolder.currentPath).strip()
        self.readings.take(path, str(self.ui.worklistReaderEdit.text).strip())
        return bool(path and self.readings.reader)

    def _open(self, name: str, ct_file: Path, mask_file: Path) -> None:
        slicer.mrmlScene.Clear(0)
        ct = slicer.util.loadVolume(str(ct_file), properties={"name": name})
        vertebrae = slicer.util.loadSegmentation(str(mask_file))
        self.board.parameters.ct, self.board.parameters.vertebrae = ct, vertebrae

    def _cycle(self, row: int) -> None:
        levels = self.board.levels()
        if row < len(levels):
            self.readings.cycle(levels[row])
            self._show_findings()

    def _show_findings(self) -> None:
        table = self.ui.findingsTable
        levels = self.board.levels() if self.readings.task is not None else ()
        table.setRowCount(len(levels))
        for row, level in enumerate(levels):
            table.setItem(row, 0, tables.cell(level))
            table.setItem(row, 1, tables.cell(_(self.readings.label(level))))
        self.ui.doneCaseButton.enabled = self.readings.task is not None

    def _blind(self, blind: bool) -> None:
        """Without the tool nothing of it is to be seen."""
        ui = self.ui
        for section in (ui.analysisCollapsible, ui.reviewCollapsible, ui.followUpCollapsible,
                        ui.worksheetCollapsible, ui.exportCollapsible):  # fmt: skip
            section.enabled = not blind
