"""A reader at a worklist: the next case, findings, time; what was said is kept beside the cases."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path

from HideSeekLib.errors import InputError
from HideSeekLib.i18n import _
from HideSeekLib.run.board import Board
from HideSeekLib.wire import worklist
from HideSeekLib.wire.errors import WireError
from HideSeekLib.wire.worklist import LABELS, Reading, Task

_ARM_WORDS = {"with": "with the tool", "without": "without the tool"}


def about_task(task: Task) -> str:
    """What was opened, for the reader."""
    return _("{case}, {arm}.").format(case=task.case, arm=_(_ARM_WORDS[task.arm]))


def task_cells(task: Task) -> tuple[str, str, str, str]:
    """A row of the list: case, arm, state and time."""
    spent = f"{task.seconds:.0f} s" if task.seconds else ""
    return task.case, _(_ARM_WORDS[task.arm]), _(task.state), spent


class Readings:
    """One reader at one folder of cases. task: the reading that is open, None for none.

    `take` folder and reader first.
    """

    def __init__(self, board: Board) -> None:
        self.board = board
        self.folder, self.reader = Path(), ""
        self.task: Task | None = None
        self._found: dict[str, str] = {}
        self._started = 0.0

    @property
    def blind(self) -> bool:
        """Whether nothing of the tool may be seen."""
        return self.task is not None and self.task.arm == "without"

    def take(self, folder: str, reader: str) -> None:
        """Read this folder as this reader; what is open belongs to whoever opened it."""
        if self.task is None:
            self.folder, self.reader = Path(folder).expanduser(), reader

    def todo(self) -> list[Task]:
        """What the reader has to do, in order. Raises InputError where there is no such list."""
        try:
            return worklist.tasks(self.folder, self.reader)
        except (WireError, OSError) as error:
            raise InputError(str(error)) from error

    def open_next(self, open_case: Callable[[str, Path, Path], None]) -> Task | None:
        """Keep the open case as it is and open the next one that is not done.

        open_case(name, ct, mask): puts the files into an empty scene. Returns the task, None where
        nothing is left. Raises InputError where files are missing or cannot be read.
        """
        self.keep(done=False)
        todo = self.todo()
        others = [t for t in todo if self.task is None or (t.case, t.arm) != self._key()]
        task = worklist.next_task(others) or worklist.next_task(todo)
        if task is None:
            return None
        try:
            ct, mask = worklist.case_files(self.folder, task.case)
            before = worklist.stored_reading(self.folder, self.reader, task.case, task.arm)
        except WireError as error:
            raise InputError(str(error)) from error
        open_now, self.task = self.task, None
        try:
            open_case(task.case, ct, mask)
        except Exception:
            self.task = open_now
            raise
        self.task = task
        self._found = dict(before.labels) if before is not None else {}
        self._started = time.monotonic() - (before.seconds if before is not None else 0.0)
        return task

    def done(self) -> Path | None:
        """Keep findings and time as final; returns their file, beside which a scene may lie."""
        path = self.keep(done=True)
        self.task = None
        return path

    def leave(self) -> None:
        """Another case is opened: what was said so far is kept. Raises InputError as `keep`."""
        self.keep(done=False)
        self.task = None

    def keep(self, *, done: bool) -> Path | None:
        """Keep what was said so far, where a case is open. Raises InputError where it cannot."""
        if self.task is None:
            return None
        case = self.board.live_case()
        labels = {level: self.label(level) for level in self.board.levels()}
        volumes: dict[str, float] = {}
        decisions: dict[str, str] = {}
        if case is not None and not self.blind:
            decisions = case.review.decision_map()
            for row in case.rows():
                if row.decision == "accept":
                    volumes[row.vertebra] = volumes.get(row.vertebra, 0.0) + row.volume_mm3
        seconds = time.monotonic() - self._started
        try:
            return worklist.store_reading(
                self.folder,
                Reading(self.reader, *self._key(), seconds, done, tuple(labels.items()),
                        tuple(volumes.items()), tuple(decisions.items())),
            )  # fmt: skip
        except (WireError, OSError) as error:
            raise InputError(_("The reading was not kept: {error}").format(error=error)) from error

    def label(self, level: str) -> str:
        """What the reader said of a level, else what was accepted there; unmarked is healthy."""
        if level in self._found:
            return self._found[level]
        case = self.board.live_case()
        kinds = set()
        if case is not None and self.task is not None and not self.blind:
            rows = [c for c in case.rows() if c.vertebra == level]
            kinds = {c.polarity for c in rows if c.decision == "accept"}
        return "mixed" if len(kinds) > 1 else kinds.pop() if kinds else "healthy"

    def cycle(self, level: str) -> None:
        """Say the next label of a level."""
        if self.task is not None and level in self.board.levels():
            place = LABELS.index(self.label(level))
            self._found[level] = LABELS[(place + 1) % len(LABELS)]

    def _key(self) -> tuple[str, str]:
        assert self.task is not None
        return self.task.case, self.task.arm
