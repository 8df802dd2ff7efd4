"""Worklist: the next case by one key, findings and time of a reader, blinded by plan."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import ctk
import slicer
import slicer.util

from HideSeekLib.errors import InputError
from HideSeekLib.i18n import _
from HideSeekLib.panel import tables
from HideSeekLib.run.board import Board
from HideSeekLib.wire import worklist
from HideSeekLib.wire.errors import WireError
from HideSeekLib.wire.worklist import LABELS, Reading, Task

FOLDER_KEY, READER_KEY = "HideSeek/WorklistFolder", "HideSeek/WorklistReader"
ARM_WORDS = {"with": "with the tool", "without": "without the tool"}


class WorklistSection:
    """Opens the cases of a folder one after the other, and keeps what the reader says of each."""

    def __init__(self, ui: Any, board: Board) -> None:
        self.board = board
        self.ui = ui
        self.task: Task | None = None
        self._found: dict[str, str] = {}
        self._started = 0.0
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

    @property
    def reader(self) -> str:
        """Who reads."""
        return str(self.ui.worklistReaderEdit.text).strip()

    def _folder(self) -> Path:
        return Path(str(self.ui.worklistFolder.currentPath).strip()).expanduser()

    def refresh(self) -> None:
        """Show the list, or why there is none."""
        table = self.ui.worklistTable
        todo: list[Task] = []
        text = ""
        if str(self.ui.worklistFolder.currentPath).strip() and self.reader:
            try:
                todo = worklist.tasks(self._folder(), self.reader)
                text = _("{done} of {n} done.").format(
                    done=sum(task.state == "done" for task in todo), n=len(todo)
                )
            except (WireError, OSError) as error:
                text = "⚠ " + str(error)
        table.setRowCount(len(todo))
        for row, task in enumerate(todo):
            spent = f"{task.seconds:.0f} s" if task.seconds else ""
            words = (task.case, _(ARM_WORDS[task.arm]), _(task.state), spent)
            for column, shown in enumerate(words):
                table.setItem(row, column, tables.cell(shown, right=column == 3))
        tables.fit_columns(table, 1)
        tables.show_text(self.ui.worklistLabel, text)
        self.ui.nextCaseButton.enabled = worklist.next_task(todo) is not None
        self._show_findings()

    def open_next(self) -> None:
        """Keep the open case as it is and open the next one that is not done.

        Raises InputError where a scene is open that is not the worklist's, or files are missing.
        """
        if self.task is not None:
            self._keep(done=False)
        elif slicer.mrmlScene.GetNumberOfNodesByClass("vtkMRMLScalarVolumeNode"):
            raise InputError(_("Save and close the scene first: the next case needs an empty one."))
        folder = self._folder()
        try:
            todo = worklist.tasks(folder, self.reader)
            others = [t for t in todo if self.task is None or (t.case, t.arm) != self._key()]
            task = worklist.next_task(others) or worklist.next_task(todo)
            if task is None:
                return
            files = worklist.case_files(folder, task.case)
        except WireError as error:
            raise InputError(str(error)) from error
        settings = slicer.app.userSettings()
        settings.setValue(FOLDER_KEY, str(folder))
        settings.setValue(READER_KEY, self.reader)
        slicer.mrmlScene.Clear(0)
        ct = slicer.util.loadVolume(str(files[0]), properties={"name": task.case})
        vertebrae = slicer.util.loadSegmentation(str(files[1]))
        self.board.parameters.ct, self.board.parameters.vertebrae = ct, vertebrae
        self.task = task
        before = worklist.stored_reading(folder, self.reader, task.case, task.arm)
        self._found = dict(before.labels) if before is not None else {}
        self._started = time.monotonic() - (before.seconds if before is not None else 0.0)
        self._blind(task.arm == "without")
        self.board.match_inputs()
        self.refresh()
        self.board.say(_("{case}, {arm}.").format(case=task.case, arm=_(ARM_WORDS[task.arm])))

    def done(self) -> None:
        """Keep findings and time as final, and the scene beside them."""
        if self.task is None:
            return
        path = self._keep(done=True)
        slicer.util.saveScene(str(path.with_suffix(".mrb")))
        self.task = None
        slicer.mrmlScene.Clear(0)
        self._blind(False)
        self.refresh()

    def forget(self) -> None:
        """The scene closes: what was said so far is kept."""
        if self.task is not None and not self.board.closing:
            self.board.guarded(lambda: self._keep(done=False))

    def _key(self) -> tuple[str, str]:
        assert self.task is not None
        return self.task.case, self.task.arm

    def _keep(self, *, done: bool) -> Path:
        assert self.task is not None
        case = self.board.live_case()
        labels = {level: self._label(level) for level in self.board.levels()}
        volumes: dict[str, float] = {}
        decisions: dict[str, str] = {}
        if case is not None and self.task.arm == "with":
            decisions = case.review.decision_map()
            for row in case.rows():
                if row.decision == "accept":
                    volumes[row.vertebra] = volumes.get(row.vertebra, 0.0) + row.volume_mm3
        seconds = time.monotonic() - self._started
        try:
            return worklist.store_reading(
                self._folder(),
                Reading(self.reader, *self._key(), seconds, done, tuple(labels.items()),
                        tuple(volumes.items()), tuple(decisions.items())),
            )  # fmt: skip
        except (WireError, OSError) as error:
            raise InputError(_("The reading was not kept: {error}").format(error=error)) from error

    def _label(self, level: str) -> str:
        """What the reader said of a level, else what was accepted there; unmarked is healthy."""
        if level in self._found:
            return self._found[level]
        case = self.board.live_case()
        kinds = set()
        if case is not None and self.task is not None and self.task.arm == "with":
            rows = [c for c in case.rows() if c.vertebra == level]
            kinds = {c.polarity for c in rows if c.decision == "accept"}
        return "mixed" if len(kinds) > 1 else kinds.pop() if kinds else "healthy"

    def _cycle(self, row: int) -> None:
        levels = self.board.levels()
        if self.task is None or row >= len(levels):
            return
        level = levels[row]
        place = LABELS.index(self._label(level))
        self._found[level] = LABELS[(place + 1) % len(LABELS)]
        self._show_findings()

    def _show_findings(self) -> None:
        table = self.ui.findingsTable
        levels = self.board.levels() if self.task is not None else ()
        table.setRowCount(len(levels))
        for row, level in enumerate(levels):
            table.setItem(row, 0, tables.cell(level))
            table.setItem(row, 1, tables.cell(_(self._label(level))))
        self.ui.doneCaseButton.enabled = self.task is not None

    def _blind(self, blind: bool) -> None:
        """Without the tool nothing of it is to be seen."""
        ui = self.ui
        for section in (ui.analysisCollapsible, ui.reviewCollapsible, ui.followUpCollapsible,
                        ui.worksheetCollapsible, ui.exportCollapsible):  # fmt: skip
            section.enabled = not blind
